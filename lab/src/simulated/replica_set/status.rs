//! A `ReplicaSet`'s status.

use std::cmp::Ordering;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::simulated::context::whole;
use crate::simulated::pods::holds_labels;

/// How many pods there are of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) replicas: usize,
    pub(super) fully_labeled: usize,
    pub(super) ready: usize,
    pub(super) available: usize,
}

/// Whether a pod has all labels of the template.
pub(super) fn is_fully_labeled(set: &ReplicaSet, pod: &Pod) -> bool {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let wanted = template.and_then(|template| template.metadata.as_ref());
    let wanted = wanted.and_then(|meta| meta.labels.as_ref());
    holds_labels(pod.metadata.labels.as_ref(), wanted)
}

/// The status that a `ReplicaSet` should have. `failed` says why pods could not be made or deleted.
pub(super) fn next_status(
    set: &ReplicaSet,
    counts: Counts,
    failed: Option<&str>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    // What is zero is left out, as the API server stores it.
    let some = |count: usize| (count > 0).then(|| number(count));
    let status = set.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.unwrap_or_default();
    let known = conditions.iter().any(|one| one.type_ == "ReplicaFailure");
    match failed {
        Some(message) if !known => {
            let wanted = set
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(1);
            let reason = match number(counts.replicas).cmp(&wanted) {
                Ordering::Less => "FailedCreate",
                Ordering::Greater => "FailedDelete",
                Ordering::Equal => "",
            };
            conditions.push(ReplicaSetCondition {
                type_: "ReplicaFailure".to_owned(),
                status: "True".to_owned(),
                reason: Some(reason.to_owned()),
                message: Some(message.to_owned()),
                last_transition_time: Some(whole(now)),
            });
        }
        Some(_) => {}
        None => conditions.retain(|one| one.type_ != "ReplicaFailure"),
    }
    ReplicaSetStatus {
        replicas: number(counts.replicas),
        fully_labeled_replicas: some(counts.fully_labeled),
        ready_replicas: some(counts.ready),
        available_replicas: some(counts.available),
        // The gate DeploymentReplicaSetTerminatingReplicas is off in 1.34.
        terminating_replicas: None,
        observed_generation: set.metadata.generation,
        conditions: (!conditions.is_empty()).then_some(conditions),
    }
}

/// The status as a merge patch: what it lacks is taken away.
pub(super) fn as_patch(status: &ReplicaSetStatus) -> Value {
    json!({
        "replicas": status.replicas,
        "fullyLabeledReplicas": status.fully_labeled_replicas,
        "readyReplicas": status.ready_replicas,
        "availableReplicas": status.available_replicas,
        "observedGeneration": status.observed_generation,
        "conditions": status.conditions,
    })
}
