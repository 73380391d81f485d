//! `MultiClusterHorizontalPodAutoscaler`: scales a `MultiClusterDeployment` from metrics.

mod metric;
mod schedule;
mod status;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use metric::{
    Metric, MetricType, PrometheusMetricSource, PrometheusTarget, PrometheusTargetType,
};
pub use schedule::Schedule;
pub use status::{
    ClusterScale, MetricStatus, MultiClusterHorizontalPodAutoscalerStatus, PrometheusMetricStatus,
};

/// Scales a `MultiClusterDeployment` from metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "MultiClusterHorizontalPodAutoscaler",
    shortname = "mchpa",
    shortname = "mchpas",
    namespaced,
    derive = "PartialEq",
    status = "MultiClusterHorizontalPodAutoscalerStatus",
    doc = "Scales a MultiClusterDeployment from metrics.",
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".spec.scaleTargetRef.name"
    ),
    printcolumn(name = "Metrics", type_ = "string", json_path = ".status.metrics"),
    printcolumn(name = "Min", type_ = "integer", json_path = ".spec.minReplicas"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.maxReplicas"),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.currentReplicas"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct MultiClusterHorizontalPodAutoscalerSpec {
    /// The object that is scaled.
    pub scale_target_ref: ScaleTargetRef,
    /// Never fewer in all clusters together. Default 1; 0 needs a metric of type External, Object
    /// or Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_replicas: Option<u32>,
    /// Never more in all clusters together. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_replicas: Option<u32>,
    /// Never fewer in one location. Default 1, or 0 while the minimum is 0. Only with scope
    /// `PerCluster`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_replicas_per_cluster: Option<u32>,
    /// What is measured, and what it shall be; of all metrics the highest proposal wins. As in
    /// `autoscaling/v2`, and besides `Prometheus`. Default: cpu at 80 % of the requests.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub metrics: Vec<Metric>,
    /// How fast. As in `autoscaling/v2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
    /// Whether each location has a number of its own, or all have one together.
    #[serde(default)]
    pub scope: Scope,
    /// By what the locations' numbers differ. Only with scope `PerCluster`.
    #[serde(default)]
    pub distribution: Distribution,
    /// Limits that hold for a time. Of several active ones that give the same limit the last counts.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub schedules: Vec<Schedule>,
    /// The time between two evaluations. Default: the operator's `--interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub evaluation_interval_seconds: Option<u32>,
}

impl MultiClusterHorizontalPodAutoscalerSpec {
    /// `maxReplicas` where none is given: the original's.
    pub const DEFAULT_MAX: u32 = 100;
}

/// The object that is scaled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleTargetRef {
    /// `fogguru.eu/v1`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `MultiClusterDeployment`
    pub kind: String,
    /// Name, in the same namespace.
    pub name: String,
}

/// What has a number of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// Each location, by its own load. The target's `replicaScheduling` is `PerLocation`.
    #[default]
    PerCluster,
    /// All locations together. The target's `replicaScheduling` is `Total`, and divides it.
    Global,
}

/// By what the locations' numbers differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Distribution {
    /// By each location's own load.
    #[default]
    Load,
    /// By where requests arrive: one number for all, divided in proportion to the traffic.
    Traffic,
}
