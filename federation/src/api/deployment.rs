//! `MultiClusterDeployment`: a Deployment that runs on several clusters.

use k8s_openapi::api::apps::v1::DeploymentStrategy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::placement::PlacementFields;
use super::status::WorkloadStatus;

/// A Deployment that runs on several clusters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "MultiClusterDeployment",
    shortname = "mcd",
    shortname = "mcds",
    category = "all",
    namespaced,
    derive = "PartialEq",
    status = "WorkloadStatus",
    doc = "A Deployment that runs on several clusters.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Policy", type_ = "string", json_path = ".status.policy"),
    printcolumn(name = "Clusters", type_ = "string", json_path = ".status.clusters"),
    printcolumn(name = "Placed", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(
        name = "Unplaced",
        type_ = "integer",
        json_path = ".status.unplacedReplicas"
    ),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct MultiClusterDeploymentSpec {
    /// Replicas of each location (`replicaScheduling: PerLocation`) or of all (`Total`).
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub replicas: u32,
    /// Selects the pods, as in a Deployment. It cannot be changed.
    #[serde(deserialize_with = "super::lenient::field")]
    pub selector: LabelSelector,
    /// The pod template, as in a Deployment. Passed to the members as it is.
    #[serde(deserialize_with = "super::lenient::field")]
    #[schemars(schema_with = "super::schema::pod_template")]
    pub template: serde_json::Value,
    /// As in a Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<DeploymentStrategy>,
    /// As in a Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
    /// As in a Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// As in a Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<i32>,
    /// Fields that another client on a member may set, e.g. an autoscaler; from then on they are its own.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub retain: Vec<RetainedField>,
    /// Where replicas go.
    #[serde(flatten)]
    pub placement: PlacementFields,
}

/// A field of the members' Deployments that may be theirs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum RetainedField {
    /// How many pods run: for an autoscaler on the member.
    Replicas,
    /// How pods are replaced.
    Strategy,
    /// As in a Deployment.
    MinReadySeconds,
    /// As in a Deployment.
    RevisionHistoryLimit,
    /// As in a Deployment.
    ProgressDeadlineSeconds,
}

impl RetainedField {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Replicas,
        Self::Strategy,
        Self::MinReadySeconds,
        Self::RevisionHistoryLimit,
        Self::ProgressDeadlineSeconds,
    ];

    /// Its name below `spec`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replicas => "replicas",
            Self::Strategy => "strategy",
            Self::MinReadySeconds => "minReadySeconds",
            Self::RevisionHistoryLimit => "revisionHistoryLimit",
            Self::ProgressDeadlineSeconds => "progressDeadlineSeconds",
        }
    }
}

fn one() -> u32 {
    1
}
