//! The conditions, and what is decided without asking a metric.

use federation::api::ReplicaScheduling;

use super::pool::Failure;
use super::{Condition, ConditionKind, Decision, Scope, Snapshot};
use crate::behavior::{Bounds, Limit, Stabilization};

/// What a number outside its bounds becomes before any metric is asked.
pub(super) enum Start {
    /// Nothing: somebody has set it to zero, which turns scaling off.
    Disabled,
    /// The nearest bound, and why.
    Jump(u32, &'static str),
    /// It is within: the metrics decide.
    Ask,
}

impl Start {
    pub(super) const fn of(current: u32, bounds: Bounds) -> Self {
        if current == 0 && bounds.min > 0 {
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
            Self::Ask
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

/// The target can be read, and no metric was asked.
pub(super) fn reachable() -> Condition {
    Condition {
        kind: ConditionKind::AbleToScale,
        status: true,
        reason: "SucceededGetScale",
        message: "the target's current scale is known".to_owned(),
    }
}

pub(super) fn disabled() -> Condition {
    Condition {
        kind: ConditionKind::ScalingActive,
        status: false,
        reason: "ScalingDisabled",
        message: "scaling is disabled since the replica count of the target is zero".to_owned(),
    }
}

pub(super) fn active(message: String) -> Condition {
    Condition {
        kind: ConditionKind::ScalingActive,
        status: true,
        reason: "ValidMetricFound",
        message,
    }
}

pub(super) fn inactive(failure: &Failure) -> Condition {
    Condition {
        kind: ConditionKind::ScalingActive,
        status: false,
        reason: failure.reason,
        message: format!(
            "the replica count could not be computed: {}",
            failure.message
        ),
    }
}

/// `clusters` are those that it holds for; empty for all.
pub(super) fn able(stabilization: Stabilization, clusters: &[&str]) -> Condition {
    Condition {
        kind: ConditionKind::AbleToScale,
        status: true,
        reason: stabilization.reason(),
        message: naming(stabilization.message(), clusters),
    }
}

/// `clusters` are those that it holds for; empty for all.
pub(super) fn limited(limit: Limit, limits: bool, clusters: &[&str]) -> Condition {
    Condition {
        kind: ConditionKind::ScalingLimited,
        status: limits,
        reason: limit.reason(),
        message: naming(limit.message(), clusters),
    }
}

fn naming(message: &str, clusters: &[&str]) -> String {
    if clusters.is_empty() {
        message.to_owned()
    } else {
        format!("{message} ({})", clusters.join(", "))
    }
}
