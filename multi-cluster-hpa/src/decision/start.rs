//! What is decided without asking a metric.

use federation::api::ReplicaScheduling;

use super::{Condition, ConditionKind, Decision, Scaling, Scope, Snapshot};

/// What a number outside its bounds becomes before any metric is queried.
pub(super) enum Start {
    /// Nothing: the target is set to zero, which turns scaling off.
    Disabled,
    /// The nearest bound, and why.
    Jump(u32, &'static str),
    /// It is within: the metrics decide.
    Query,
}

impl Start {
    pub(super) const fn of(current: u32, scaling: &Scaling) -> Self {
        let bounds = scaling.bounds;
        if current == 0 && bounds.min > 0 && !scaling.zero_is_allowed {
            Self::Disabled
        } else if current > bounds.max {
            Self::Jump(
                bounds.max,
                "Current number of replicas above Spec.MaxReplicas",
            )
        } else if current < bounds.min {
            Self::Jump(
                bounds.min,
                "Current number of replicas below Spec.MinReplicas",
            )
        } else {
            Self::Query
        }
    }
}

/// A decision to do nothing, where the deployment is not made for this scope or has no location.
pub(super) fn refuse(snapshot: &Snapshot) -> Option<Decision> {
    let (reason, message) = match (snapshot.scaling.scope, snapshot.replica_scheduling) {
        (Scope::PerCluster, ReplicaScheduling::Total) => (
            "ReplicaSchedulingMismatch",
            "scope PerCluster sets the replicas of each cluster, and the deployment has \
             replicaScheduling: Total: write PerLocation there, or scope: Global here",
        ),
        (Scope::Global, ReplicaScheduling::PerLocation) => (
            "ReplicaSchedulingMismatch",
            "scope Global sets the replicas of all clusters together, and the deployment has \
             replicaScheduling: PerLocation: write Total there, or scope: PerCluster here",
        ),
        (Scope::PerCluster, _) if snapshot.layout.wanted.is_empty() => (
            "NoLocations",
            "the deployment has no clusters yet: its own status says why",
        ),
        _ => return None,
    };
    let current = match snapshot.scaling.scope {
        Scope::PerCluster => snapshot.layout.total(),
        Scope::Global => snapshot.replicas,
    };
    Some(Decision {
        current,
        desired: current,
        conditions: vec![Condition {
            kind: ConditionKind::AbleToScale,
            status: false,
            reason,
            message: message.to_owned(),
        }],
        ..Decision::default()
    })
}

/// Whether the numbers are to be written even if none changes, because there are some of clusters
/// that are no locations any more. Not where scaling is turned off.
pub(super) fn must_prune(snapshot: &Snapshot) -> bool {
    let start = Start::of(snapshot.layout.total(), &snapshot.scaling);
    let is_off = matches!(start, Start::Disabled);
    snapshot.layout.has_stale_entries && snapshot.scaling.scope == Scope::PerCluster && !is_off
}
