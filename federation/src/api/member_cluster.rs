//! `MemberCluster`: the registry of members.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DeletedObject;

/// A cluster that workloads can be placed on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "MemberCluster",
    shortname = "mcl",
    derive = "PartialEq",
    derive = "Default",
    status = "MemberClusterStatus",
    doc = "A cluster that workloads can be placed on.",
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes"),
    printcolumn(name = "Free-CPU", type_ = "string", json_path = ".status.free.cpu"),
    printcolumn(
        name = "Free-Memory",
        type_ = "string",
        json_path = ".status.free.memory"
    ),
    printcolumn(
        name = "Cordoned",
        type_ = "boolean",
        json_path = ".spec.unschedulable",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct MemberClusterSpec {
    /// How the cluster is reached.
    pub access: ClusterAccess,
    /// On-premises clusters come first; cloud clusters are the last resort.
    #[serde(default)]
    pub role: Role,
    /// Region, for `origin` and for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Zone, for people and selectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The name of its serf node, where that is not the cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serf_name: Option<String>,
    /// Cordoned: it keeps what it has and gets nothing new.
    #[serde(default)]
    pub unschedulable: bool,
    /// This cluster is the hub itself, and workloads may run on it. Without it, the hub is refused.
    #[serde(default)]
    pub allow_hub: bool,
    /// Keep workloads away (`NoSchedule`) or move them off (`NoExecute`) unless tolerated.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub taints: Vec<Taint>,
    /// Nodes that are being made and have not joined yet. Nothing is placed on them before they join;
    /// they are room to come, so that nobody adds nodes twice for one need. Whoever makes nodes
    /// announces them here, and takes them out as they join.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(length(max = 64))]
    pub upcoming: Vec<UpcomingNodes>,
}

/// Nodes of one kind that have not joined yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpcomingNodes {
    /// How many.
    #[schemars(range(min = 0, max = 10_000))]
    pub nodes: u32,
    /// What pods may request on each, by resource.
    pub allocatable: BTreeMap<String, Quantity>,
    /// Labels of each.
    #[serde(
        default,
        deserialize_with = "super::lenient::texts",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Taints of each.
    #[serde(
        default,
        deserialize_with = "super::lenient::field",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub taints: Vec<Taint>,
    /// The deadline: if they have not joined by then, they count no more.
    pub until: Time,
}

/// How a member is reached: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterAccess {
    /// A context of the kubeconfig that the operator was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// A Secret on the hub that holds a kubeconfig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// A `KubeFedCluster` on the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kube_fed_cluster: Option<KubeFedClusterReference>,
}

/// A Secret with a kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// Key that holds the kubeconfig. Default `kubeconfig`, then `value` (Cluster API's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A `KubeFedCluster` object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KubeFedClusterReference {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

/// What a cluster is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// A cluster that is there anyway.
    #[default]
    OnPremises,
    /// A cluster that costs money while it runs.
    Cloud,
}

/// What the scheduler sees of a member. Written when it changed, at most every few seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberClusterStatus {
    /// The generation of the spec that this status answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the member answers and its state is known. `Drained`: it holds nothing of this hub.
    /// `FailedOver`, while it is silent for
    /// longer than is tolerated: its replicas are placed elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Uid of the cluster that is served under this name: that of its namespace `kube-system`. Of
    /// two names of one cluster, the first has it.
    #[serde(
        default,
        rename = "clusterUID",
        skip_serializing_if = "Option::is_none"
    )]
    pub cluster_uid: Option<String>,
    /// Version that the API server reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Nodes that are ready.
    #[serde(default)]
    pub nodes: u32,
    /// Sum over the ready nodes, by resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub allocatable: BTreeMap<String, Quantity>,
    /// Allocatable less the requests of the pods, by resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub free: BTreeMap<String, Quantity>,
    /// Free room by class of node, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_classes: Vec<NodeClass>,
    /// Round-trip times to the nearest clusters, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<Neighbour>,
    /// What is placed on it.
    #[serde(default)]
    pub placements: PlacedSummary,
    /// Deleted objects that it still holds something of, as an earlier release wrote them: each becomes
    /// a `Leftover`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<DeletedObject>,
}

/// What is placed on a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacedSummary {
    /// Objects of the hub that have a share there, services included.
    pub objects: u32,
    /// Their replicas, also those that only wait to leave.
    pub replicas: u32,
}

/// Nodes of one size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeClass {
    /// Nodes of this size.
    pub nodes: u32,
    /// What one of them has, by resource.
    pub allocatable: BTreeMap<String, Quantity>,
    /// What is free on all of them, by resource.
    pub free: BTreeMap<String, Quantity>,
    /// What is free on the emptiest of them, by resource.
    pub largest_free: BTreeMap<String, Quantity>,
}

/// A near cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Neighbour {
    /// Name of the `MemberCluster`.
    pub cluster: String,
    /// Round-trip time in milliseconds.
    pub round_trip_millis: f64,
}

/// Reason of `Ready`: the cluster is served under another name.
pub const REASON_DUPLICATE_CLUSTER: &str = "DuplicateCluster";

/// Reason of `Ready`: the cluster is the hub.
pub const REASON_HUB_CLUSTER: &str = "HubCluster";

impl MemberCluster {
    /// Whether the scheduler has found that nothing is served under this name: the cluster is
    /// served under another one, or is the hub.
    pub fn is_refused(&self) -> bool {
        let conditions = self.status.iter().flat_map(|status| &status.conditions);
        let mut ready = conditions.filter(|one| one.type_ == super::CONDITION_READY);
        ready.any(|one| {
            matches!(
                one.reason.as_str(),
                REASON_DUPLICATE_CLUSTER | REASON_HUB_CLUSTER
            )
        })
    }
}
