//! `MultiClusterJob`: a Job that runs on several clusters.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::placement::PlacementFields;
use super::status::WorkloadStatus;

/// A Job on each of several clusters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "MultiClusterJob",
    shortname = "mcj",
    shortname = "mcjs",
    category = "all",
    namespaced,
    derive = "PartialEq",
    status = "WorkloadStatus",
    doc = "A Job that runs on several clusters.",
    printcolumn(name = "Policy", type_ = "string", json_path = ".status.policy"),
    printcolumn(name = "Clusters", type_ = "string", json_path = ".status.clusters"),
    printcolumn(name = "Placed", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(
        name = "Unplaced",
        type_ = "integer",
        json_path = ".status.unplacedReplicas"
    ),
    printcolumn(name = "Succeeded", type_ = "integer", json_path = ".status.succeeded"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failed"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct MultiClusterJobSpec {
    /// Pods at a time (`parallelism`) and in all (`completions`) of each location, or of all
    /// locations together (`replicaScheduling: Total`). Default 1; `parallelism` and
    /// `completions` win over it with `PerLocation`.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub replicas: u32,
    /// The pod template, as in a Job. Passed to the members as it is.
    #[serde(deserialize_with = "super::lenient::field")]
    #[schemars(schema_with = "super::schema::pod_template")]
    pub template: serde_json::Value,
    /// As in a Job, for each location.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub parallelism: Option<u32>,
    /// As in a Job, for each location.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub completions: Option<u32>,
    /// As in a Job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<i32>,
    /// As in a Job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
    /// As in a Job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i32>,
    /// Where the pods go.
    #[serde(flatten)]
    pub placement: PlacementFields,
}

fn one() -> u32 {
    1
}
