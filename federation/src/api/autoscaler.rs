//! `MultiClusterHorizontalPodAutoscaler`: scales a `MultiClusterDeployment` from metrics.

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    printcolumn(name = "Min", type_ = "integer", json_path = ".spec.minReplicas"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.maxReplicas"),
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
    /// Never fewer. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_replicas: Option<u32>,
    /// Never more. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_replicas: Option<u32>,
    /// As in `autoscaling/v2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricSpec>,
    /// As in `autoscaling/v2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
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

/// What the autoscaler reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MultiClusterHorizontalPodAutoscalerStatus {
    /// The generation of the spec that this status answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Replicas now.
    #[serde(default)]
    pub current_replicas: u32,
    /// Replicas wanted.
    #[serde(default)]
    pub desired_replicas: u32,
    /// Standard conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
