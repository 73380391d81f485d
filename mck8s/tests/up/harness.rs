//! A running `mck8s up`, and looks at it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kube::api::{DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;

/// A running `mck8s up`.
pub struct Up {
    pub process: Child,
    kubeconfig: PathBuf,
    said: PathBuf,
}

impl Drop for Up {
    fn drop(&mut self) {
        // Only what a failed test leaves.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Up {
    /// Starts it in a folder, on any port.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let kubeconfig = folder.join("kubeconfig");
        // An earlier run's names another port.
        drop(std::fs::remove_file(&kubeconfig));
        let mut command = Command::new(env!("CARGO_BIN_EXE_mck8s"));
        command
            .arg("up")
            .args(arguments)
            .arg("--data-dir")
            .arg(folder);
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--listen"))
        {
            command.arg("--listen=127.0.0.1:0");
        }
        let said = folder.with_extension("said");
        let file = File::create(&said).unwrap();
        let process = command.stdin(Stdio::null());
        let process = process.stdout(file.try_clone().unwrap()).stderr(file);
        Self {
            process: process.spawn().unwrap(),
            kubeconfig,
            said,
        }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    /// Ends it as Ctrl-C does.
    pub fn stop(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }

    /// The configuration of a context, once it is written.
    pub async fn config(&self, context: &str) -> Config {
        until("a kubeconfig", async || {
            let there = self.kubeconfig.exists();
            there.then_some(()).ok_or_else(String::new)
        })
        .await;
        let file = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let options = KubeConfigOptions {
            context: Some(context.to_owned()),
            ..KubeConfigOptions::default()
        };
        Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap()
    }

    /// A client of a context.
    pub async fn client(&self, context: &str) -> Client {
        Client::try_from(self.config(context).await).unwrap()
    }

    /// Objects of ours on the hub.
    pub async fn ours(&self, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("fogguru.eu", "v1", kind));
        let client = self.client("hub").await;
        if kind == "MemberCluster" {
            return Api::all_with(client, &resource);
        }
        Api::default_namespaced_with(client, &resource)
    }

    /// Deployments on the hub.
    pub async fn deployments(&self) -> Api<DynamicObject> {
        self.ours("MultiClusterDeployment").await
    }

    /// The Deployments on a member, and how many replicas are ready.
    pub async fn on_member(&self, context: &str) -> Vec<(String, Option<i64>)> {
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

/// Looks again and again; fails with what was seen last after two minutes.
pub async fn until(what: &str, mut look: impl AsyncFnMut() -> Result<(), String>) {
    let limit = Instant::now() + Duration::from_mins(2);
    loop {
        match look().await {
            Ok(()) => return,
            Err(seen) => assert!(Instant::now() < limit, "no {what}: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An empty folder of this name.
pub fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("up-{name}"));
    drop(std::fs::remove_dir_all(&folder));
    folder
}

/// Two replicas in each of two clusters.
pub fn deployment(name: &str, policy: &str) -> DynamicObject {
    let object = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": name },
        "spec": {
            "numberOfLocations": 2, "placementPolicy": policy, "replicas": 2,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": name, "image": "hello:1" }] },
            },
        },
    });
    serde_json::from_value(object).unwrap()
}
