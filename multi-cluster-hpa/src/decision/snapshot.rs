//! What a decision is made from.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::api::ReplicaScheduling;
use jiff::{SignedDuration, Timestamp};

use super::{Layout, Metric};
use crate::behavior::{Behavior, Bounds};
use crate::calculator::{Pod, Settings, Tolerances};

/// Everything that is known when a decision is made.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The time of the evaluation.
    pub now: Timestamp,
    /// What the operator's flags set.
    pub defaults: Defaults,
    /// What the autoscaler's object asks for.
    pub scaling: Scaling,
    /// What `replicas` of the deployment counts.
    pub replica_scheduling: ReplicaScheduling,
    /// `replicas` of the deployment.
    pub replicas: u32,
    /// The deployment's locations, and where its replicas are.
    pub layout: Layout,
    /// The deployment's pods on all members.
    pub pods: Vec<Arc<Pod>>,
    /// Clusters whose pods are not known now, and why: an unreachable member.
    pub unknown: BTreeMap<String, String>,
    /// The metrics of the object, each with what was read.
    pub metrics: Vec<Metric>,
    /// Where requests arrive: any unit, by cluster. None when it is not known.
    pub traffic: Option<BTreeMap<String, f64>>,
}

/// What the operator sets for objects that do not say it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// How far off its target a metric may be, as part of it, both ways.
    pub tolerance: f64,
    /// How long a scale-down waits for a higher proposal.
    pub downscale_stabilization: SignedDuration,
    /// See [`Settings::cpu_initialization_period`].
    pub cpu_initialization_period: SignedDuration,
    /// See [`Settings::initial_readiness_delay`].
    pub initial_readiness_delay: SignedDuration,
}

/// Kubernetes' own defaults.
impl Default for Defaults {
    fn default() -> Self {
        Self {
            tolerance: 0.1,
            downscale_stabilization: SignedDuration::from_mins(5),
            cpu_initialization_period: SignedDuration::from_mins(5),
            initial_readiness_delay: SignedDuration::from_secs(30),
        }
    }
}

/// What the object asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The limits of the sum over all clusters, those of an active schedule applied.
    pub bounds: Bounds,
    /// Whether the minimum may be zero, now or at another time: then zero replicas are no sign
    /// that scaling is turned off.
    pub zero_is_allowed: bool,
    /// The fewest of each location.
    pub min_per_cluster: u32,
    /// What is scaled.
    pub scope: Scope,
    /// What divides replicas over locations.
    pub distribution: Distribution,
    /// How fast.
    pub behavior: Option<Behavior>,
}

/// What is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Each location by its own load.
    #[default]
    PerCluster,
    /// One number; the deployment divides it.
    Global,
}

/// What divides replicas over locations, with [`Scope::PerCluster`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Each location's own load.
    #[default]
    Load,
    /// Where requests arrive.
    Traffic,
}

impl Snapshot {
    pub(super) fn settings(&self) -> Settings {
        let behavior = self.scaling.behavior.as_ref();
        let own = |tolerance: Option<f64>| tolerance.unwrap_or(self.defaults.tolerance);
        Settings {
            now: self.now,
            cpu_initialization_period: self.defaults.cpu_initialization_period,
            initial_readiness_delay: self.defaults.initial_readiness_delay,
            tolerances: Tolerances {
                up: own(behavior.and_then(|behavior| behavior.up.tolerance)),
                down: own(behavior.and_then(|behavior| behavior.down.tolerance)),
            },
        }
    }
}
