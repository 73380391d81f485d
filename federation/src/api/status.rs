//! The status that placed objects report.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was decided for an object, and how it goes on the members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// The generation of the spec that this status answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The policy that ranked the clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The clusters of the assignment, comma-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<String>,
    /// The assignment: which cluster runs how many.
    #[serde(default)]
    pub placements: Vec<PlacementStatus>,
    /// Replicas that have a cluster.
    #[serde(default)]
    pub replicas: u32,
    /// Replicas that are ready.
    #[serde(default)]
    pub ready_replicas: u32,
    /// Wanted replicas that fit nowhere.
    #[serde(default)]
    pub unplaced_replicas: u32,
    /// The same by location and reason, at most 64; of more, the rest is added up by reason.
    #[serde(default)]
    pub unplaced: Vec<UnplacedReplicas>,
    /// Selector of the pods, as text, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Pods that finished well (jobs).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<u32>,
    /// Pods that failed (jobs).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u32>,
    /// Placed, Available, Progressing, Conflict; jobs also Complete and Failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The last decision and its reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// One cluster of an assignment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementStatus {
    /// Name of the `MemberCluster`.
    pub cluster: String,
    /// Replicas that the cluster shall run.
    pub replicas: u32,
    /// Of `replicas`, how many only stay until their replacements elsewhere are ready.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leaving: u32,
    /// Of `replicas` less `leaving`, how many are meant for other locations.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub displaced: u32,
    /// Chosen as a location (true), or holding what another could not (false).
    #[serde(default)]
    pub location: bool,
    /// Ready replicas seen there.
    #[serde(default)]
    pub ready: u32,
    /// Available replicas seen there.
    #[serde(default)]
    pub available: u32,
    /// Why this cluster.
    #[serde(default)]
    pub why: String,
    /// What keeps the cluster from doing it, if something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl PlacementStatus {
    /// Replicas that the cluster is meant to go on running.
    pub fn staying(&self) -> u32 {
        self.replicas.saturating_sub(self.leaving)
    }
}

/// Wanted replicas that have no cluster: what a provisioner reads to add nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnplacedReplicas {
    /// The location that they are meant for; absent if no cluster could be found for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// How many.
    pub replicas: u32,
    /// Why.
    pub reason: UnplacedReason,
    /// Since when there are unplaced replicas of this location for this reason.
    pub since: Time,
    /// They may run on a cloud cluster that is not named: `spec.burst` is `Allowed`.
    #[serde(default)]
    pub burst_allowed: bool,
    /// What one of them needs.
    pub shape: ReplicaShape,
}

/// Why replicas have no cluster.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum UnplacedReason {
    /// The clusters that may run them are full: more nodes there, or another such cluster, would help.
    NoRoom,
    /// Fewer clusters may be chosen than were requested.
    NotEnoughClusters,
    /// No cluster may run them, whatever its room.
    NotEligible,
    /// Their location is no member cluster.
    UnknownCluster,
}

impl From<placement::UnplacedReason> for UnplacedReason {
    fn from(reason: placement::UnplacedReason) -> Self {
        match reason {
            placement::UnplacedReason::NoRoom => Self::NoRoom,
            placement::UnplacedReason::NotEnoughClusters => Self::NotEnoughClusters,
            placement::UnplacedReason::NotEligible => Self::NotEligible,
            placement::UnplacedReason::UnknownCluster => Self::UnknownCluster,
        }
    }
}

/// What one replica needs of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaShape {
    /// The same for replicas that fit on the same nodes: of their requests, node selector, affinity,
    /// tolerations, host ports and spread.
    pub digest: String,
    /// Its requests, by resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
}

/// The record of a decision: what it answers, and what was said of each cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Counts the assignments written; a writer that has not seen the last one is refused.
    pub sequence: i64,
    /// Digest of the fields that choose clusters; when it changes, clusters are chosen again.
    pub key: String,
    /// Digest of what a replica needs; when it changes, what runs may not fit where it is any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    /// Position of `round_robin` at this decision.
    #[serde(default)]
    pub cursor: u64,
    /// While a move lasts: replicas that must stay available, because as many ran before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<u32>,
    /// The move that is under way.
    #[serde(default, rename = "move", skip_serializing_if = "Option::is_none")]
    pub moving: Option<MoveRecord>,
    /// What was said of each cluster, the chosen first; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterVerdict>,
}

/// A move that is under way, on record with the assignment that has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MoveRecord {
    /// Name of the `WorkloadMove`.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Name of the cluster that replicas leave.
    pub from: String,
    /// Name of the cluster that they go to.
    pub to: String,
    /// How many.
    pub replicas: u32,
    /// It is undone: the replicas leave `to`, and stay at `from`.
    #[serde(default)]
    pub undone: bool,
}

impl MoveRecord {
    /// The cluster that replicas leave now, and the one that they go to: the other way round while it
    /// is undone.
    pub fn direction(&self) -> (&str, &str) {
        if self.undone {
            (&self.to, &self.from)
        } else {
            (&self.from, &self.to)
        }
    }
}

/// What a decision said of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterVerdict {
    /// Name of the cluster.
    pub cluster: String,
    /// Its rank and score with their parts, or the filter that dropped it.
    pub verdict: String,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
fn is_zero(value: &u32) -> bool {
    *value == 0
}
