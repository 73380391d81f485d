//! What was decided, and why.

use std::collections::BTreeMap;

use crate::calculator::Proposal;

/// What was decided, and why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What to write to the deployment; none: leave it as it is.
    pub wanted: Option<Wanted>,
    /// Replicas wanted so far, over all locations.
    pub current: u32,
    /// Replicas wanted from now on, over all locations.
    pub desired: u32,
    /// Why the number changes, as Kubernetes words it in its Event (`cpu above target`, `All metrics
    /// below target`); none when it does not.
    pub reason: Option<String>,
    /// The object's metrics over all pods, in the order of the spec: what people see first.
    pub metrics: Vec<MetricReport>,
    /// Each location, by name.
    pub locations: Vec<LocationReport>,
    /// `AbleToScale`, `ScalingActive`, `ScalingLimited`, as far as they were decided on.
    pub conditions: Vec<Condition>,
}

impl Decision {
    /// Whether a number is to be another one.
    pub fn has_changed(&self) -> bool {
        let mut locations = self.locations.iter();
        self.desired != self.current || locations.any(|one| one.current != one.desired)
    }
}

/// What to write to the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `clusterReplicas`: every location, also those that stay as they are.
    PerCluster(BTreeMap<String, u32>),
    /// `replicas`.
    Total(u32),
}

/// What one metric said.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricReport {
    /// Its name, for people.
    pub name: String,
    /// Its proposal with the value that was compared, or why there is none.
    pub outcome: Result<Proposal, String>,
}

/// What became of one location.
#[derive(Clone, Debug, PartialEq)]
pub struct LocationReport {
    /// Name of the `MemberCluster`.
    pub cluster: String,
    /// Its pods that run or will, wherever they are.
    pub pods: u32,
    /// Replicas wanted so far.
    pub current: u32,
    /// Replicas wanted from now on.
    pub desired: u32,
    /// What each metric said, in the order of the spec. Empty where no metric was queried.
    pub metrics: Vec<MetricReport>,
    /// What was made of it.
    pub verdict: Verdict,
}

/// What was made of a location's metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They decide.
    Followed,
    /// They do, as far as something else lets them: what, for people.
    Limited(String),
    /// The location keeps its number, and why.
    Kept(String),
}

/// A condition of the autoscaler, with Kubernetes' reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: ConditionKind,
    /// `True` or `False`.
    pub status: bool,
    /// Its reason.
    pub reason: &'static str,
    /// What a person can make of it.
    pub message: String,
}

/// The type of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// Can the number be set, and does nothing recent hold it back?
    AbleToScale,
    /// Do the metrics say anything?
    ScalingActive,
    /// Did a limit cut what the metrics ask for?
    ScalingLimited,
}

impl ConditionKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AbleToScale, Self::ScalingActive, Self::ScalingLimited];

    /// The type as it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AbleToScale => "AbleToScale",
            Self::ScalingActive => "ScalingActive",
            Self::ScalingLimited => "ScalingLimited",
        }
    }
}
