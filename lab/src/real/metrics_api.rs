//! A member's `metrics.k8s.io`: metrics-server as a process, registered with the API server.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::cluster::Cluster;
use super::error::{Error, Result};
use super::wait;

/// The `APIService`'s name: version and group.
const NAME: &str = "v1beta1.metrics.k8s.io";

impl Cluster {
    /// Registers metrics-server and waits until the API server reaches it.
    pub(super) async fn register_metrics_api(&self) -> Result<()> {
        let client = self.client().await?;
        let failed = || Error::kube(&self.name);
        // The name of a service whose address is outside of the cluster: a process on this machine.
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "metrics-server", "namespace": "kube-system" },
            "spec": { "type": "ExternalName", "externalName": "localhost" },
        });
        let api_service = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": { "name": NAME },
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1",
                "groupPriorityMinimum": 100, "versionPriority": 100,
                "service": { "name": "metrics-server", "namespace": "kube-system", "port": self.ports().metrics_server },
                // As metrics-server's own manifests have it: it signs its certificate itself.
                "insecureSkipTLSVerify": true,
            },
        });
        let params = PatchParams::apply("lab").force();
        let services: Api<Service> = Api::namespaced(client.clone(), "kube-system");
        let applied = services
            .patch("metrics-server", &params, &Patch::Apply(&service))
            .await;
        applied.map_err(failed())?;
        let api_services: Api<APIService> = Api::all(client);
        let applied = api_services
            .patch(NAME, &params, &Patch::Apply(&api_service))
            .await;
        applied.map_err(failed())?;
        wait::until(&self.name, "metrics.k8s.io", || async {
            self.check_alive()?;
            let found = api_services.get(NAME).await.map_err(failed())?;
            Ok(is_available(&found))
        })
        .await
    }
}

/// `Err` says why it is not.
fn is_available(service: &APIService) -> std::result::Result<(), String> {
    let conditions = service.status.as_ref().and_then(|s| s.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    match conditions.find(|one| one.type_ == "Available") {
        Some(one) if one.status == "True" => Ok(()),
        Some(one) => Err(one.message.clone().unwrap_or_default()),
        None => Err("nobody has looked yet".to_owned()),
    }
}
