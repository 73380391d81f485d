//! What has come of a `CloudProvisioner`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What has come of a `CloudProvisioner`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudProvisionerStatus {
    /// The generation of the spec that this status answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What goes on, in one word: that of the cluster which is furthest from being settled.
    #[serde(default)]
    pub phase: CloudPhase,
    /// How many clusters there are.
    #[serde(default)]
    pub cluster_count: u32,
    /// Workers of all clusters, also those that are being made.
    #[serde(default)]
    pub nodes: u32,
    /// Their flavors, comma-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavors: Option<String>,
    /// What all machines cost in an hour, in the unit of the prices; absent where a price is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_hour: Option<String>,
    /// The clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<CloudCluster>,
    /// `Ready`: it is served. `Settled`: nothing is being made or deleted, and every replica that may
    /// burst has a machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A cluster that was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudCluster {
    /// Its name: that of the Cluster API `Cluster` and of the `MemberCluster`.
    pub name: String,
    /// How far it is.
    #[serde(default)]
    pub phase: CloudPhase,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Its workers, by flavor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<NodePool>,
    /// Since when it has had no work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Time>,
    /// Why it runs, or what it waits for.
    #[serde(default)]
    pub message: String,
}

/// Workers of one flavor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodePool {
    /// The flavor.
    pub flavor: String,
    /// How many there are to be.
    #[serde(default)]
    pub nodes: u32,
    /// How many are ready.
    #[serde(default)]
    pub ready: u32,
}

/// How far a cloud cluster is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum CloudPhase {
    /// There is none.
    #[default]
    Idle,
    /// It serves.
    Running,
    /// It is idle, and its workloads, if it gets any, are moved off before it is deleted.
    Draining,
    /// Workers are being made.
    Scaling,
    /// It is being made.
    Provisioning,
    /// It is being deleted.
    Deleting,
    /// It was not ready in time, and is being deleted.
    Failed,
}
