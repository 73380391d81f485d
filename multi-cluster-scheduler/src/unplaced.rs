//! What a decision leaves without a cluster, as a provisioner reads it: pure.

use std::collections::BTreeMap;

use federation::api::{ReplicaShape, UnplacedReason, UnplacedReplicas};
use federation::capacity::quantities_of;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use placement::{Plan, PodShape};

use crate::validate::{Validated, short_digest};

/// Entries of a status, at most: the status is part of an object, whose size the hub limits.
pub const MAX_UNPLACED: usize = 64;

/// The replicas of a plan that have no cluster, by location and reason. `before` is what the decision
/// before left: what is unplaced still is so since then.
pub fn of(
    plan: &Plan,
    validated: &Validated,
    before: &[UnplacedReplicas],
    now: Timestamp,
) -> Vec<UnplacedReplicas> {
    if plan.unplaced.is_empty() {
        return Vec::new();
    }
    let shape = replica_shape(&validated.shape);
    let since = |location: Option<&str>, reason| {
        let same =
            |one: &&UnplacedReplicas| one.location.as_deref() == location && one.reason == reason;
        let known = before.iter().find(same);
        known.map_or(Time(now), |one| one.since.clone())
    };
    // One entry each for what has a name, and one a reason for what has none, or is beyond the limit.
    let reasons = 4;
    let mut named = MAX_UNPLACED - reasons;
    let mut all: BTreeMap<(Option<&str>, UnplacedReason), u32> = BTreeMap::new();
    for one in &plan.unplaced {
        let location = one.location.as_ref().map(placement::ClusterName::as_str);
        let location = location.filter(|_| named > 0);
        named -= usize::from(location.is_some());
        let replicas = all.entry((location, one.reason.into())).or_default();
        *replicas = replicas.saturating_add(one.replicas);
    }
    all.into_iter()
        .map(|((location, reason), replicas)| UnplacedReplicas {
            location: location.map(str::to_owned),
            replicas,
            reason,
            since: since(location, reason),
            burst_allowed: validated.eligibility.cloud,
            shape: shape.clone(),
        })
        .collect()
}

/// The same for shapes that fit on the same nodes.
pub fn digest(shape: &PodShape) -> String {
    // Not the labels: they decide between pods, not which nodes to add.
    let (host_ports, anti_affinity) = (&shape.profile.host_ports, &shape.profile.anti_affinity);
    let needs = (&shape.requests, &shape.constraints, host_ports);
    let among_pods = (anti_affinity, &shape.affinity, &shape.spread);
    short_digest(&format!("{needs:?} {among_pods:?}"))
}

fn replica_shape(shape: &PodShape) -> ReplicaShape {
    let mut requests = quantities_of(&shape.requests);
    requests.retain(|_, amount| amount.0 != "0");
    ReplicaShape {
        digest: digest(shape),
        requests,
    }
}

#[cfg(test)]
#[path = "unplaced_tests.rs"]
mod tests;
