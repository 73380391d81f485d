//! Writing what was decided into the target. Only there, and only our own fields.

use federation::api::MultiClusterDeployment;
use federation::members::Deadlined as _;
use federation::operator::key::NamespacedName;
use federation::operator::redacted::redacted_message;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use std::time::Duration;

use crate::decision::Wanted;

/// Owner of what is written into targets.
pub(crate) const FIELD_MANAGER: &str = "multi-cluster-hpa";

/// Why it was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    /// Somebody else applies the field.
    #[error("{0}")]
    Conflict(String),
    /// The hub refused it, or did not answer.
    #[error("{}", redacted_message(.0.as_ref()))]
    Api(#[from] Box<kube::Error>),
}

/// Writes replicas by server-side apply. A field that somebody else applies stays as it is; one that
/// was written in another way is taken over, as Kubernetes' autoscaler does it: the default that
/// `kubectl apply` has created the object with belongs to it, too, and nobody could take it out of a
/// manifest. The uid makes sure that it is this object and not one that was created again.
pub(crate) async fn apply(
    hub: &Client,
    target: &NamespacedName,
    uid: &str,
    wanted: &Wanted,
    deadline: Duration,
) -> Result<(), ActError> {
    let targets: Api<MultiClusterDeployment> = Api::namespaced(hub.clone(), &target.namespace);
    let failed = |error| ActError::Api(Box::new(error));
    let params = PatchParams::apply(FIELD_MANAGER);
    let written = write(&targets, target, uid, wanted, &params);
    let Err(error) = written.with_deadline(deadline).await else {
        return Ok(());
    };
    let Some(with) = conflict(&error) else {
        return Err(failed(error));
    };
    let found = targets.get_metadata(&target.name).with_deadline(deadline);
    let managed = found.await.map_err(failed)?.metadata.managed_fields;
    if is_applied_by_others(managed.as_deref().unwrap_or_default(), wanted) {
        return Err(ActError::Conflict(message(target, wanted, &with)));
    }
    let params = params.force();
    let written = write(&targets, target, uid, wanted, &params);
    written.with_deadline(deadline).await.map_err(failed)
}

async fn write(
    targets: &Api<MultiClusterDeployment>,
    target: &NamespacedName,
    uid: &str,
    wanted: &Wanted,
    params: &PatchParams,
) -> kube::Result<()> {
    let value = match wanted {
        Wanted::PerCluster(replicas) => {
            let entries = replicas.iter();
            entries
                .map(|(cluster, replicas)| json!({ "cluster": cluster, "replicas": replicas }))
                .collect()
        }
        Wanted::Total(replicas) => json!(replicas),
    };
    // Not through the scale subresource: kube-apiserver cannot apply that of a custom resource.
    let object = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": target.name, "namespace": target.namespace, "uid": uid },
        "spec": { field(wanted): value },
    });
    let patch = Patch::Apply(&object);
    targets
        .patch_metadata(&target.name, params, &patch)
        .await
        .map(drop)
}

/// The field of the target's spec that says how many.
fn field(wanted: &Wanted) -> &'static str {
    match wanted {
        Wanted::PerCluster(_) => "clusterReplicas",
        Wanted::Total(_) => "replicas",
    }
}

/// Whether the field, or a part of it, is in what somebody else applies.
fn is_applied_by_others(managed: &[ManagedFieldsEntry], wanted: &Wanted) -> bool {
    let path = format!("/f:spec/f:{}", field(wanted));
    let mut others = managed.iter().filter(|entry| {
        let is_ours = entry.manager.as_deref() == Some(FIELD_MANAGER);
        entry.operation.as_deref() == Some("Apply") && !is_ours
    });
    others.any(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer(&path).is_some())
    })
}

fn message(target: &NamespacedName, wanted: &Wanted, with: &str) -> String {
    let field = field(wanted);
    format!(
        "{field} of MultiClusterDeployment {target} is applied by another manager ({with}) and stays as it is: remove {field} from what that manager applies, or delete this autoscaler"
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
