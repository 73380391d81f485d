//! From one metric of one set of pods to a number of replicas.
//!
//! The rules and the arithmetic are those of Kubernetes' `ReplicaCalculator`
//! (`pkg/controller/podautoscaler/replica_calculator.go` of v1.34), with one difference: a sample
//! of a pod that is not in the set does not count. `tests/kubernetes` compares the two.

mod groups;
mod per_pod;
mod pod;
mod value;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

pub use per_pod::{average_usage, utilization};
pub use pod::{Container, Phase, Pod, PodError, PodKey, Readiness};
pub use value::{average_value, value};

/// How far a metric may be off its target without a change, as parts of the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Above the target.
    pub up: f64,
    /// Below the target.
    pub down: f64,
}

/// What the calculation takes from outside the pods and the metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The time of the evaluation.
    pub now: Timestamp,
    /// So long after its start, the CPU usage of a pod counts only when the pod is ready and the
    /// sample was taken after it became so.
    pub cpu_initialization_period: SignedDuration,
    /// A pod that became unready within this time of its start has never been ready.
    pub initial_readiness_delay: SignedDuration,
    /// How far off the target counts as on it.
    pub tolerances: Tolerances,
}

/// One measurement of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Thousandths of the metric's unit (of a core, of a byte, of a request per second).
    pub milli: i64,
    /// When it was taken: the end of its window.
    pub timestamp: Timestamp,
    /// The time that it covers.
    pub window: SignedDuration,
}

/// A pod, and its sample of the metric where there is one.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its sample; none when it is missing, too old, or not a number.
    pub sample: Option<Sample>,
}

/// What one metric asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Replicas.
    pub replicas: u32,
    /// The metric's value that was compared, in thousandths: the average of the pods that count,
    /// or the value itself where the target is a `Value`.
    pub milli: i64,
    /// The average as percent of the requests, where the target is a utilization.
    pub utilization: Option<i32>,
}

/// Why a metric asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no pod.
    #[error("no pods returned by selector while calculating replica count")]
    NoPods,
    /// No pod that counts has a sample.
    #[error("did not receive metrics for targeted pods (pods might be unready)")]
    NoSamples,
    /// A utilization needs requests.
    #[error(
        "missing request for {resource} in container {container} of Pod {pod}: set resources.requests in the template"
    )]
    MissingRequest {
        /// The resource.
        resource: String,
        /// The container.
        container: String,
        /// The pod.
        pod: String,
    },
    /// The pod's own requests (`spec.resources`) lack the resource, and so do its containers'.
    #[error("missing pod-level request for {resource} in Pod {pod}")]
    MissingPodRequest {
        /// The resource.
        resource: String,
        /// The pod.
        pod: String,
    },
    /// All requests together are zero.
    #[error("no metrics returned matched known pods")]
    NoRequests,
}

impl Tolerances {
    /// Whether a ratio of usage to target counts as one.
    pub(crate) fn hold(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }

    /// The larger of the two.
    pub(crate) fn widest(self) -> f64 {
        self.up.max(self.down)
    }
}
