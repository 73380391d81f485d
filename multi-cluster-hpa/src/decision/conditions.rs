//! The conditions.

use super::pool::Failure;
use super::{Condition, ConditionKind};
use crate::behavior::{Limit, Stabilization};

/// The target can be read, and no metric was queried.
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
