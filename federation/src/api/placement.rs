//! The fields that say where replicas go, shared by deployments and jobs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where replicas go. Flattened into the spec of deployments and jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementFields {
    /// The clusters to run on, comma-separated: "cluster2, cluster3". `clusters` wins over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locations: Option<String>,
    /// The clusters to run on, one name an entry. Wins over `locations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Vec<String>>,
    /// How many clusters the policy chooses when none are named. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub number_of_locations: Option<u32>,
    /// How clusters are ranked. Default `most_traffic`. `-` may stand for `_`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement_policy: Option<String>,
    /// Settings of the policy, by name (see the documentation of each policy).
    #[serde(
        default,
        deserialize_with = "super::lenient::texts",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub policy_parameters: BTreeMap<String, String>,
    /// Replicas by position along `locations` (a list, or "2,3"); read only together with it.
    /// `clusterReplicas` wins over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub replica_overrides: Option<ReplicaOverrides>,
    /// Replicas of single clusters. Wins over `replicaOverrides`.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cluster_replicas: Vec<ClusterReplicas>,
    /// What `replicas` counts: each location's replicas, or all of them together.
    #[serde(default)]
    pub replica_scheduling: ReplicaScheduling,
    /// Only clusters whose `MemberCluster` carries these labels.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Option::is_none"
    )]
    pub cluster_selector: Option<LabelSelector>,
    /// Taints of clusters that are tolerated.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tolerations: Vec<Toleration>,
    /// The cluster, or the region, where the users are; `nearest` ranks by distance to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub origin: Option<String>,
    /// Where replicas go that a chosen cluster cannot hold. Default: `Nearest` when clusters are
    /// named, `Policy` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    /// May replicas run on cloud clusters, and may one be made for them?
    #[serde(default)]
    pub burst: Burst,
    /// Of several objects that wait for room, the higher priority is decided first.
    #[serde(default)]
    pub priority: i32,
    /// JSON patches on the template, for single clusters.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub overrides: Vec<ClusterOverride>,
    /// Do `ConfigMap`s, `Secret`s, `ServiceAccount`s and claims that the template names go along?
    #[serde(default)]
    pub dependencies: Dependencies,
    /// When the object is deleted, what it brought to the clusters stays there.
    #[serde(default)]
    pub preserve_on_deletion: bool,
}

/// Replicas by position along `locations`, in either of the two forms that the original reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ReplicaOverrides {
    /// `[2, 3]`; the original also takes numbers written as text.
    List(Vec<serde_json::Value>),
    /// `"2,3"`
    Text(String),
}

impl ReplicaOverrides {
    /// The numbers, or the first entry that is none.
    pub fn parse(&self) -> Result<Vec<u32>, String> {
        let entries: Vec<String> = match self {
            Self::List(list) => list
                .iter()
                .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
                .collect(),
            Self::Text(text) => text.split(',').map(str::to_owned).collect(),
        };
        entries
            .iter()
            .map(|entry| entry.trim().parse().map_err(|_| entry.clone()))
            .collect()
    }
}

/// The replicas of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterReplicas {
    /// Name of the `MemberCluster`.
    #[schemars(length(min = 1, max = 63))]
    pub cluster: String,
    /// Replicas there.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub replicas: u32,
}

/// What `replicas` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReplicaScheduling {
    /// Each location runs `replicas`.
    #[default]
    PerLocation,
    /// All locations together run `replicas`, divided evenly (largest remainder, ties by name).
    Total,
}

/// Where replicas go that a chosen cluster cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overflow {
    /// To the clusters nearest to the full one.
    Nearest,
    /// On down the policy's ranking.
    Policy,
    /// Nowhere: they stay unplaced.
    None,
}

/// May cloud clusters serve?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Burst {
    /// As the last resort.
    #[default]
    Allowed,
    /// Never, unless a cloud cluster is named.
    Never,
}

/// JSON patch (RFC 6902) on the template for one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterOverride {
    /// Name of the `MemberCluster`.
    #[schemars(length(min = 1, max = 63))]
    pub cluster: String,
    /// Operations in order; paths start at the template: `/spec/containers/0/image`.
    #[schemars(length(min = 1, max = 64))]
    pub patch: Vec<PatchOperation>,
}

/// One operation of a JSON patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PatchOperation {
    /// `add`, `remove`, `replace`, `move`, `copy` or `test`.
    pub op: String,
    /// JSON pointer into the template.
    pub path: String,
    /// JSON pointer, for `move` and `copy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Value, for `add`, `replace` and `test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// Do objects that the template names go along?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dependencies {
    /// Yes. Shared ones leave a member with their last owner; a claim is never deleted by a move.
    #[default]
    Auto,
    /// No.
    None,
}
