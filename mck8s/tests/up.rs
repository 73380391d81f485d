//! `mck8s up` as people run it: a process, its kubeconfig, and what comes of objects.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::{Value, json};

struct Up {
    process: Child,
    kubeconfig: PathBuf,
}

impl Drop for Up {
    fn drop(&mut self) {
        // Only what a failed test leaves.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Up {
    fn start(folder: &Path) -> Self {
        let kubeconfig = folder.join("kubeconfig");
        // An earlier run's names another port.
        drop(std::fs::remove_file(&kubeconfig));
        let process = Command::new(env!("CARGO_BIN_EXE_mck8s"))
            .args(["up", "--listen=127.0.0.1:0", "--members=2", "--nodes=2"])
            .arg("--data-dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            kubeconfig,
        }
    }

    async fn client(&self, context: &str) -> Client {
        until("a kubeconfig", async || {
            self.kubeconfig
                .exists()
                .then_some(())
                .ok_or_else(String::new)
        })
        .await;
        let file = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let options = KubeConfigOptions {
            context: Some(context.to_owned()),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(file, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    async fn deployments(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("fogguru.eu", "v1", "MultiClusterDeployment");
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.client("hub").await, "default", &resource)
    }

    async fn on_member(&self, context: &str) -> Vec<(String, Option<i64>)> {
        let kind = GroupVersionKind::gvk("apps", "v1", "Deployment");
        let resource = ApiResource::from_gvk(&kind);
        let client = self.client(context).await;
        let api: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
        let found = api.list(&ListParams::default()).await.unwrap().items;
        let ready = |one: &DynamicObject| one.data["status"]["readyReplicas"].as_i64();
        found
            .iter()
            .map(|one| (one.name_any(), ready(one)))
            .collect()
    }
}

/// Looks again and again; fails with what was seen last after a minute.
async fn until(what: &str, mut look: impl AsyncFnMut() -> Result<(), String>) {
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        match look().await {
            Ok(()) => return,
            Err(seen) => assert!(Instant::now() < limit, "no {what}: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn hello() -> Value {
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": "hello" },
        "spec": {
            "numberOfLocations": 2, "placementPolicy": "worst_fit", "replicas": 2,
            "selector": { "matchLabels": { "app": "hello" } },
            "template": {
                "metadata": { "labels": { "app": "hello" } },
                "spec": { "containers": [{ "name": "hello", "image": "hello:1" }] },
            },
        },
    })
}

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
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("up");
    drop(std::fs::remove_dir_all(&folder));
    let mut up = Up::start(&folder);
    let api = up.deployments().await;
    let object = serde_json::from_value(hello()).unwrap();
    let created = api.create(&PostParams::default(), &object).await.unwrap();
    let uid = created.uid().unwrap();
    until_ready(&api, &uid).await;
    let ready = [("hello".to_owned(), Some(2))];
    assert_eq!(up.on_member("cluster1").await, ready);
    assert_eq!(up.on_member("cluster2").await, ready);

    up.process.kill().unwrap();
    up.process.wait().unwrap();
    let mut up = Up::start(&folder);
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

#[test]
fn a_wrong_configuration_is_said_with_its_line() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join("wrong.yaml");
    std::fs::write(&file, "clusters:\n  - {name: edge, nodez: 3}\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mck8s"))
        .args(["up", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("wrong.yaml, line 2") && said.contains("nodez"),
        "{said}"
    );
}
