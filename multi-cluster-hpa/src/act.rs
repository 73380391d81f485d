//! Writing what was decided into the target. Only there, and only our own fields.

use federation::api::MultiClusterDeployment;
use federation::members::Deadlined as _;
use federation::operator::key::NamespacedName;
use federation::operator::redacted::redacted_message;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::time::Duration;

use crate::decision::Wanted;

/// Owner of what is written into targets.
pub(crate) const FIELD_MANAGER: &str = "multi-cluster-hpa";

/// Why it was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    /// Another manager owns the field.
    #[error("{0}")]
    Conflict(String),
    /// The hub refused it, or did not answer.
    #[error("{}", redacted_message(.0.as_ref()))]
    Api(#[from] Box<kube::Error>),
}

/// Writes replicas by server-side apply, without force: a field that another manager set stays as
/// it is. The uid makes sure that it is this object and not one that was created again.
pub(crate) async fn apply(
    hub: &Client,
    target: &NamespacedName,
    uid: &str,
    wanted: &Wanted,
    deadline: Duration,
) -> Result<(), ActError> {
    let targets: Api<MultiClusterDeployment> = Api::namespaced(hub.clone(), &target.namespace);
    let params = PatchParams::apply(FIELD_MANAGER);
    let metadata = json!({ "name": target.name, "namespace": target.namespace, "uid": uid });
    let written = match wanted {
        Wanted::PerCluster(replicas) => {
            let entries = replicas.iter();
            let entries: Value = entries
                .map(|(cluster, replicas)| json!({ "cluster": cluster, "replicas": replicas }))
                .collect();
            let object = json!({
                "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
                "metadata": metadata, "spec": { "clusterReplicas": entries },
            });
            let patch = Patch::Apply(&object);
            targets
                .patch_metadata(&target.name, &params, &patch)
                .with_deadline(deadline)
                .await
                .map(drop)
        }
        Wanted::Total(replicas) => {
            let scale = json!({
                "apiVersion": "autoscaling/v1", "kind": "Scale",
                "metadata": metadata, "spec": { "replicas": replicas },
            });
            let patch = Patch::Apply(&scale);
            targets
                .patch_scale(&target.name, &params, &patch)
                .with_deadline(deadline)
                .await
                .map(drop)
        }
    };
    written.map_err(|error| match conflict(&error) {
        Some(with) => ActError::Conflict(message(target, wanted, &with)),
        None => ActError::Api(Box::new(error)),
    })
}

fn message(target: &NamespacedName, wanted: &Wanted, with: &str) -> String {
    let field = match wanted {
        Wanted::PerCluster(_) => "clusterReplicas",
        Wanted::Total(_) => "replicas",
    };
    format!(
        "{field} of MultiClusterDeployment {target} is set by another manager ({with}) and stays as it is: remove {field} from what that manager applies, or delete this autoscaler"
    )
}

/// With whom a field is in conflict, if that is what an error says.
fn conflict(error: &kube::Error) -> Option<String> {
    let kube::Error::Api(status) = error else {
        return None;
    };
    let causes = status.details.as_ref().map(|details| &details.causes)?;
    let conflicts = causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict");
    let mut managers: Vec<_> = conflicts.map(|cause| cause.message.clone()).collect();
    managers.dedup();
    (!managers.is_empty()).then(|| managers.join(", "))
}
