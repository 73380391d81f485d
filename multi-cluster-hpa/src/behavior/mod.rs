//! How fast a number of replicas may follow what the metrics ask for.
//!
//! Kubernetes has two ways, and so have we (`horizontal.go` of v1.34): without `spec.behavior` a
//! scale-down waits for the stabilization window and a scale-up at most doubles (or gives four);
//! with it, windows and rates are as the object says, and what it leaves out has the defaults of
//! `autoscaling/v2`.

mod rate;
mod rules;
mod series;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

pub use rules::{Behavior, BehaviorError, Policy, PolicyKind, Rules, Select};
pub use series::Series;

/// What limits a step, beside the behavior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Never fewer.
    pub min: u32,
    /// Never more.
    pub max: u32,
}

/// A step that the metrics ask for.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The time of the evaluation.
    pub now: Timestamp,
    /// Replicas wanted so far.
    pub current: u32,
    /// Replicas that the metrics ask for.
    pub proposed: u32,
    /// The limits.
    pub bounds: Bounds,
    /// The object's behavior, if it has one.
    pub behavior: Option<&'a Behavior>,
    /// How long a scale-down waits where the object does not say it.
    pub downscale_stabilization: SignedDuration,
}

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Replicas.
    pub replicas: u32,
    /// Whether recent proposals held it back.
    pub stabilization: Stabilization,
    /// What limited it.
    pub limit: Limit,
}

/// Whether recent proposals changed the step; the reason of the condition `AbleToScale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stabilization {
    /// They did not.
    ReadyForNewScale,
    /// A lower one holds the scale-up back.
    ScaleUpStabilized,
    /// A higher one holds the scale-down back.
    ScaleDownStabilized,
}

/// What limited a step; the reason of the condition `ScalingLimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing.
    DesiredWithinRange,
    /// The rate of scale-up.
    ScaleUpLimit,
    /// The rate of scale-down.
    ScaleDownLimit,
    /// The maximum.
    TooManyReplicas,
    /// The minimum.
    TooFewReplicas,
}

impl Allowed {
    /// Whether a limit cut the step.
    pub fn is_limited(self) -> bool {
        self.limit != Limit::DesiredWithinRange
    }
}

impl Stabilization {
    /// The reason, as Kubernetes calls it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReadyForNewScale => "ReadyForNewScale",
            Self::ScaleUpStabilized => "ScaleUpStabilized",
            Self::ScaleDownStabilized => "ScaleDownStabilized",
        }
    }

    /// The message, as Kubernetes words it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::ReadyForNewScale => "recommended size matches current size",
            Self::ScaleUpStabilized => {
                "recent recommendations were lower than current one, applying the lowest recent \
                 recommendation"
            }
            Self::ScaleDownStabilized => {
                "recent recommendations were higher than current one, applying the highest recent \
                 recommendation"
            }
        }
    }
}

impl Limit {
    /// The reason, as Kubernetes calls it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::DesiredWithinRange => "DesiredWithinRange",
            Self::ScaleUpLimit => "ScaleUpLimit",
            Self::ScaleDownLimit => "ScaleDownLimit",
            Self::TooManyReplicas => "TooManyReplicas",
            Self::TooFewReplicas => "TooFewReplicas",
        }
    }

    /// The message, as Kubernetes words it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::DesiredWithinRange => "the desired count is within the acceptable range",
            Self::ScaleUpLimit => {
                "the desired replica count is increasing faster than the maximum scale rate"
            }
            Self::ScaleDownLimit => {
                "the desired replica count is decreasing faster than the maximum scale rate"
            }
            Self::TooManyReplicas => {
                "the desired replica count is more than the maximum replica count"
            }
            Self::TooFewReplicas => {
                "the desired replica count is less than the minimum replica count"
            }
        }
    }
}

/// What becomes of a step, after what is on record. The proposal goes on record; that a scaling was
/// carried out is reported by [`Series::scaled`].
pub fn limit(step: &Step<'_>, series: &mut Series) -> Allowed {
    match step.behavior {
        Some(behavior) => with_behavior(step, behavior, series),
        None => without_behavior(step, series),
    }
}

/// `normalizeDesiredReplicas`
fn without_behavior(step: &Step<'_>, series: &mut Series) -> Allowed {
    let stable = series.highest(step.now, step.proposed, step.downscale_stabilization);
    let stabilization = if stable == step.proposed {
        Stabilization::ReadyForNewScale
    } else {
        Stabilization::ScaleDownStabilized
    };
    let (replicas, limit) = rate::double(stable, step.current, step.bounds);
    Allowed {
        replicas,
        stabilization,
        limit,
    }
}

/// `normalizeDesiredReplicasWithBehaviors`
fn with_behavior(step: &Step<'_>, behavior: &Behavior, series: &mut Series) -> Allowed {
    let window = behavior.down.window;
    let windows = (
        behavior.up.window.unwrap_or(SignedDuration::ZERO),
        window.unwrap_or(step.downscale_stabilization),
    );
    let stable = series.stabilize(step.now, step.proposed, step.current, windows);
    let stabilization = if stable == step.proposed {
        Stabilization::ReadyForNewScale
    } else if step.proposed >= step.current {
        Stabilization::ScaleUpStabilized
    } else {
        Stabilization::ScaleDownStabilized
    };
    let (replicas, limit) = rate::by_rules(stable, step, behavior, series);
    Allowed {
        replicas,
        stabilization,
        limit,
    }
}
