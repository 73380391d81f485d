//! Load on members whose usage KWOK plays: what a workload uses in all is divided over its pods.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use lab::e2e::World;
use serde_json::json;

/// What the pods of an app use together.
pub(crate) struct Load {
    /// Their label `app`.
    pub(crate) app: &'static str,
    /// Where those that share it are.
    pub(crate) clusters: &'static [&'static str],
    /// `cpu` in millicores, or `memory` in MiB; every container of a pod uses its share.
    pub(crate) resource: &'static str,
    pub(crate) amount: usize,
}

impl Load {
    /// Sees to it that each pod uses its share.
    pub(crate) async fn spread(&self, world: &World) -> Result<()> {
        let mut found = Vec::new();
        for cluster in self.clusters {
            let client = world.lab.client(cluster).await?;
            let api: Api<Pod> = Api::namespaced(client, &world.namespace());
            let selection = ListParams::default().labels(&format!("app={}", self.app));
            let pods = api.list(&selection).await?.items;
            let alive = pods
                .into_iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_none());
            found.extend(alive.map(|pod| (api.clone(), pod)));
        }
        let annotation = format!("kwok.x-k8s.io/usage-{}", self.resource);
        let unit = if self.resource == "cpu" { "m" } else { "Mi" };
        let share = format!("{}{unit}", self.amount / found.len().max(1));
        for (api, pod) in found {
            if pod.annotations().get(&annotation) == Some(&share) {
                continue;
            }
            let patch = json!({ "metadata": { "annotations": { &annotation: &share } } });
            let patch = Patch::Merge(patch);
            let patched = api
                .patch(&pod.name_any(), &PatchParams::default(), &patch)
                .await;
            match patched {
                // It has gone meanwhile.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                patched => drop(patched?),
            }
        }
        Ok(())
    }
}
