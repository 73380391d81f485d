//! `mck8s up` as people run it: a process, its kubeconfig, and what comes of objects.

#![allow(clippy::unwrap_used, clippy::panic)]

mod adopt;
mod explain;
mod fifty;
mod harness;
mod input;
mod members;
mod others;
mod prometheus;
mod scenario;
mod shapes;

use std::collections::BTreeMap;
use std::process::Command;

use harness::{Up, deployment, folder, until};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::{Api, ResourceExt as _};

async fn until_ready(api: &Api<DynamicObject>, uid: &str) {
    until("four ready replicas", async || {
        match api.get("hello").await {
            Ok(object) if object.uid().as_deref() != Some(uid) => Err("another object".to_owned()),
            Ok(object) if object.data["status"]["readyReplicas"] == 4 => Ok(()),
            Ok(object) => Err(object.data["status"].to_string()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn everything_runs_survives_a_kill_and_ends() {
    let folder = folder("kill");
    let mut up = Up::start(&folder, &["--members=2", "--nodes=2"]);
    let api = up.deployments().await;
    let object = deployment("hello", "worst_fit");
    let created = api.create(&PostParams::default(), &object).await.unwrap();
    let uid = created.uid().unwrap();
    until_ready(&api, &uid).await;
    let ready = [("hello".to_owned(), Some(2))];
    assert_eq!(up.on_member("cluster1").await, ready);
    assert_eq!(up.on_member("cluster2").await, ready);

    up.process.kill().unwrap();
    up.process.wait().unwrap();
    let mut up = Up::start(&folder, &["--members=2", "--nodes=2"]);
    let api = up.deployments().await;
    until_ready(&api, &uid).await;
    assert_eq!(up.on_member("cluster1").await, ready);

    api.delete("hello", &DeleteParams::default()).await.unwrap();
    until("end of it", async || match api.get_opt("hello").await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(up.on_member("cluster1").await, []);
    assert_eq!(up.on_member("cluster2").await, []);
    let id = up.process.id().to_string();
    assert!(Command::new("kill").arg(id).status().unwrap().success());
    assert!(up.process.wait().unwrap().success());
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_in_the_middle_of_writes() {
    let folder = folder("torn");
    let mut up = Up::start(&folder, &["--members=1", "--nodes=1"]);
    let client = up.client("hub").await;
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let writers = (0..8).map(|writer| {
        let api = api.clone();
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            // Until the server is gone.
            for number in 0.. {
                let mut object = ConfigMap::default();
                object.metadata.name = Some(format!("w{writer}-{number}"));
                match api.create(&PostParams::default(), &object).await {
                    Ok(created) => acknowledged.push((created.name_any(), created.uid())),
                    Err(_) => break,
                }
            }
            acknowledged
        })
    });
    let writers: Vec<_> = writers.collect();
    until("some writes", async || {
        let listed = api.list_metadata(&ListParams::default()).await;
        let count = listed.map_or(0, |list| list.items.len());
        (count >= 200)
            .then_some(())
            .ok_or_else(|| format!("{count}"))
    })
    .await;
    up.process.kill().unwrap();
    up.process.wait().unwrap();
    let up = Up::start(&folder, &["--members=1", "--nodes=1"]);
    let api: Api<ConfigMap> = Api::default_namespaced(up.client("hub").await);
    let listed = api.list_metadata(&ListParams::default()).await.unwrap();
    let kept: BTreeMap<_, _> = listed
        .iter()
        .map(|one| (one.name_any(), one.uid()))
        .collect();
    let mut acknowledged = 0;
    for writer in writers {
        for (name, uid) in writer.await.unwrap() {
            assert_eq!(kept.get(&name), Some(&uid), "{name}");
            acknowledged += 1;
        }
    }
    assert!(acknowledged >= 100, "{acknowledged}");
}
