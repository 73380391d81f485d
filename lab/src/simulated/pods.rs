//! What controllers ask of pods, and how they make and delete them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::DeleteParams;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt as _};

use super::context::{Context, after, seconds};

/// `Pending`, `Running`, `Succeeded`, `Failed`.
pub(crate) fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

/// Whether a pod has ended.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether a pod has neither ended nor is to go.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !has_ended(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Whether a pod is to go and has not ended.
pub(crate) fn is_terminating(pod: &Pod) -> bool {
    !has_ended(pod) && pod.metadata.deletion_timestamp.is_some()
}

/// Since when a pod is ready; none if it is not.
pub(crate) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let ready = conditions.iter().find(|one| one.type_ == "Ready")?;
    (ready.status == "True").then_some(())?;
    let since = ready.last_transition_time.as_ref();
    Some(since.map_or(Timestamp::MIN, |time| time.0))
}

/// From when on a pod that stays ready counts as available; none if it is not ready.
pub(crate) fn available_from(pod: &Pod, min_ready_seconds: i32) -> Option<Timestamp> {
    let since = ready_since(pod)?;
    if min_ready_seconds <= 0 {
        return Some(Timestamp::MIN);
    }
    Some(after(since, seconds(min_ready_seconds.into())))
}

/// A pod of a template, which this object controls.
pub(crate) fn of_template<K>(template: &PodTemplateSpec, owner: &K) -> Pod
where
    K: Resource<DynamicType = ()>,
{
    let meta = template.metadata.as_ref();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(generated_name(&owner.name_any())),
            namespace: owner.namespace(),
            labels: meta.and_then(|meta| meta.labels.clone()),
            annotations: meta.and_then(|meta| meta.annotations.clone()),
            finalizers: meta.and_then(|meta| meta.finalizers.clone()),
            owner_references: owner_reference(owner).map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// What the names of an owner's pods begin with.
fn generated_name(owner: &str) -> String {
    format!("{owner}-")
}

/// The reference by which an object controls others.
pub(crate) fn owner_reference<K: Resource<DynamicType = ()>>(owner: &K) -> Option<OwnerReference> {
    let reference = owner.controller_owner_ref(&())?;
    Some(OwnerReference {
        block_owner_deletion: Some(true),
        ..reference
    })
}

impl Context {
    /// Makes pods of a template, one after the other, until one cannot be made.
    pub(crate) async fn create_pods<K>(
        &self,
        source: &str,
        template: &PodTemplateSpec,
        owner: &K,
        count: usize,
    ) -> kube::Result<()>
    where
        K: Resource<DynamicType = ()>,
    {
        let pod = of_template(template, owner);
        let api = self.api::<Pod>(&owner.namespace().unwrap_or_default());
        for _ in 0..count {
            match api.create(&kube::api::PostParams::default(), &pod).await {
                Ok(created) => {
                    let message = format!("Created pod: {}", created.name_any());
                    self.recorder
                        .normal(source, owner, "SuccessfulCreate", message);
                    self.pods.observe(created);
                }
                Err(error) => {
                    let message = format!("Error creating: {}", said(&error));
                    self.recorder
                        .warning(source, owner, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Deletes a pod that this object controls.
    pub(crate) async fn delete_pod<K>(&self, source: &str, pod: &Pod, owner: &K) -> kube::Result<()>
    where
        K: Resource<DynamicType = ()>,
    {
        self.delete(&self.pods, pod, DeleteParams::default())
            .await?;
        let message = format!("Deleted pod: {}", pod.name_any());
        self.recorder
            .normal(source, owner, "SuccessfulDelete", message);
        Ok(())
    }
}

/// What the API server said, without the client's words around it.
pub(crate) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Whether an error says that a namespace is being deleted, so that nothing can be made in it.
pub(crate) fn is_terminating_namespace(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.details.as_ref().is_some_and(|details| {
            details
                .causes
                .iter()
                .any(|cause| cause.reason == "NamespaceTerminating")
        }),
        _ => false,
    }
}

/// Whether labels hold all of these.
pub(crate) fn holds_labels(
    labels: Option<&BTreeMap<String, String>>,
    wanted: Option<&BTreeMap<String, String>>,
) -> bool {
    let mut wanted = wanted.into_iter().flatten();
    wanted.all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}
