//! Many Deployments that do not live long.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use lab::simulated::Options;
use serde_json::json;

use crate::fixture::Lab;

/// How many Deployments there are at a time.
const AT_ONCE: u64 = 50;

/// Creates, scales and deletes Deployments, one after the other. What happens to a Deployment is
/// less and less apart, so that its deletion meets its controllers at ever other steps.
async fn churn(client: Client, worker: u64, deployments: u64) {
    let api: Api<Deployment> = Api::default_namespaced(client);
    for number in 0..deployments / AT_ONCE {
        let name = format!("web-{worker}-{number}");
        let object = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": 3,
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name } },
                    "spec": { "containers": [{ "name": "web", "image": "nginx" }] },
                },
            },
        }));
        let pause = Duration::from_millis((worker * 7 + number * 13) % 120);
        api.create(&PostParams::default(), &object.unwrap())
            .await
            .unwrap();
        tokio::time::sleep(pause).await;
        let scaled = Patch::Merge(json!({ "spec": { "replicas": 5 } }));
        api.patch(&name, &PatchParams::default(), &scaled)
            .await
            .unwrap();
        tokio::time::sleep(pause).await;
        api.delete(&name, &DeleteParams::background())
            .await
            .unwrap();
    }
}

/// Of so many Deployments nothing is left in the end, and nothing is written any more.
async fn nothing_is_left(deployments: u64) {
    let options = Options {
        events: false,
        heartbeat: None,
        ..Options::uniform(20)
    };
    let lab = Lab::start(options, 1).await;
    let workers = (0..AT_ONCE).map(|worker| churn(lab.client.clone(), worker, deployments));
    join_all(workers).await;
    lab.pass(Duration::from_mins(10)).await;
    let all = ListParams::default();
    assert_eq!(
        lab.api::<Deployment>()
            .list(&all)
            .await
            .unwrap()
            .items
            .len(),
        0
    );
    assert_eq!(
        lab.api::<ReplicaSet>()
            .list(&all)
            .await
            .unwrap()
            .items
            .len(),
        0
    );
    assert_eq!(lab.api::<Pod>().list(&all).await.unwrap().items.len(), 0);
    assert_eq!(lab.cluster.pods().len(), 0);
    let before = lab.store.revision();
    lab.pass(Duration::from_mins(10)).await;
    assert_eq!(lab.store.revision(), before);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_1000_short_deployments() {
    nothing_is_left(1000).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "takes minutes without optimization: cargo test --release -p lab -- --ignored"]
async fn nothing_is_left_of_5000_short_deployments() {
    nothing_is_left(5000).await;
}
