//! The kubelets' heartbeats: one lease a node, renewed by one task for all of them.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tracing::debug;

use super::Lost;
use crate::simulated::context::Context;

/// Where the nodes' leases are.
const NAMESPACE: &str = "kube-node-lease";

/// Renews the nodes' leases.
pub(crate) struct Heartbeat {
    pub(crate) context: Arc<Context>,
    pub(crate) lost: Lost,
    pub(crate) interval: Duration,
}

impl Heartbeat {
    /// Renews all leases, again and again.
    pub(crate) async fn run(self) {
        self.context.synced().await;
        loop {
            for node in self.context.nodes.all() {
                let name = node.name_any();
                if self.lost.contains(&name) {
                    continue;
                }
                if let Err(error) = self.renew(&name).await {
                    debug!(node = name, %error, "a heartbeat is lost");
                }
            }
            tokio::time::sleep(self.interval).await;
        }
    }

    async fn renew(&self, node: &str) -> kube::Result<()> {
        let api: Api<Lease> = Api::namespaced(self.context.client.clone(), NAMESPACE);
        let spec = json!({
            "holderIdentity": node,
            "leaseDurationSeconds": 40,
            "renewTime": MicroTime(self.context.now()),
        });
        let patch = Patch::Merge(json!({ "spec": spec }));
        match api.patch(node, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let lease = json!({ "metadata": { "name": node }, "spec": spec });
                let lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
                api.create(&PostParams::default(), &lease).await?;
            }
            other => {
                other?;
            }
        }
        Ok(())
    }
}
