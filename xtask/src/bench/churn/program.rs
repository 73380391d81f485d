//! `mck8s up` as people run it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::repository::{self, root};

/// The program and its data folder. Dropped, it is killed and its data removed.
pub(super) struct Program {
    process: Child,
    folder: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Program {
    /// Builds it.
    pub(super) fn build() -> Result<()> {
        repository::run("cargo", &["build", "--release", "-p", "mck8s"])
    }

    /// Starts it with nothing on disk, at a port that is free.
    pub(super) fn start() -> Result<Self> {
        let folder = root().join("target/bench-churn");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let printed = File::create(folder.join("printed"))?;
        let process = Command::new(root().join("target/release/mck8s"))
            .args(["up", "--listen", "127.0.0.1:0", "--log-level", "info"])
            .arg("--log-file")
            .arg(folder.join("log"))
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(printed.try_clone()?)
            .stderr(printed)
            .spawn()
            .context("mck8s does not start")?;
        Ok(Self { process, folder })
    }

    /// Waits until the members are ready. Gives clients of the hub and of each member.
    pub(super) async fn ready(&self) -> Result<Vec<Client>> {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let Ok(planes) = self.planes().await
                && let Some(hub) = planes.first()
                && are_ready(hub).await.unwrap_or(false)
            {
                return Ok(planes);
            }
            if Instant::now() > deadline {
                bail!("the members do not become ready");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn planes(&self) -> Result<Vec<Client>> {
        let kubeconfig = Kubeconfig::read_from(self.folder.join("data/kubeconfig"))?;
        let mut planes = Vec::new();
        for context in &kubeconfig.contexts {
            let options = KubeConfigOptions {
                context: Some(context.name.clone()),
                ..KubeConfigOptions::default()
            };
            let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await?;
            planes.push(Client::try_from(config)?);
        }
        Ok(planes)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where the stores and the log are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that it has written to standard output and error.
    pub(super) fn printed(&self) -> Result<u64> {
        Ok(fs::metadata(self.folder.join("printed"))?.len())
    }
}

async fn are_ready(hub: &Client) -> Result<bool> {
    let kind = GroupVersionKind::gvk("fogguru.eu", "v1", "MemberCluster");
    let members: Api<DynamicObject> = Api::all_with(hub.clone(), &ApiResource::from_gvk(&kind));
    let members = members.list(&ListParams::default()).await?.items;
    let ready = members.iter().all(|member| {
        let conditions = member.data["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
    });
    Ok(ready && !members.is_empty())
}
