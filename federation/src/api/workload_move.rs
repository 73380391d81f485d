//! `WorkloadMove`: asks for replicas to be moved from one cluster to another, without taking them down.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The strategy of the moves that the scheduler makes by itself: what had no room in its location goes
/// back there.
pub const STRATEGY_RETURN_HOME: &str = "ReturnHome";

/// Moves replicas from one cluster to another: new ones start there, and as many leave here once they
/// are available.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "fogguru.eu",
    version = "v1",
    kind = "WorkloadMove",
    shortname = "move",
    shortname = "moves",
    namespaced,
    derive = "PartialEq",
    status = "WorkloadMoveStatus",
    doc = "Moves replicas from one cluster to another: new ones start there, and as many leave here once they are available.",
    printcolumn(name = "Workload", type_ = "string", json_path = ".spec.workload.name"),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.from"),
    printcolumn(name = "To", type_ = "string", json_path = ".spec.to"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Strategy", type_ = "string", json_path = ".spec.strategy"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].message",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadMoveSpec {
    /// Whose replicas, in the namespace of the move.
    pub workload: MovedWorkload,
    /// Name of the `MemberCluster` where they run.
    pub from: String,
    /// Name of the `MemberCluster` where they are to run.
    pub to: String,
    /// How many; without it, all that the cluster runs when the move begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// What asks for the move, for people and metrics. The scheduler's own moves have `ReturnHome`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// So many seconds after it began, a move whose new replicas are not available is undone.
    #[serde(default = "default_deadline")]
    pub progress_deadline_seconds: u32,
    /// So many seconds after it ended, the object is deleted; without it, never. While a move that
    /// has succeeded is there, nothing of its workload returns by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<u32>,
}

impl WorkloadMoveSpec {
    /// `progressDeadlineSeconds` where none is given: that of a Deployment.
    pub const DEFAULT_DEADLINE: u32 = 600;
}

fn default_deadline() -> u32 {
    WorkloadMoveSpec::DEFAULT_DEADLINE
}

/// Which object's replicas are moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MovedWorkload {
    /// Its kind.
    #[serde(default)]
    pub kind: MovedKind,
    /// Its name.
    pub name: String,
}

/// The kinds whose replicas can be moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MovedKind {
    /// Its replicas are moved.
    #[default]
    MultiClusterDeployment,
    /// Refused: the shares of a job are fixed.
    MultiClusterJob,
}

/// How far a move is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadMoveStatus {
    /// How far it is.
    #[serde(default)]
    pub phase: MovePhase,
    /// How many replicas move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Succeeded: False while it goes on, with the phase as its reason, and where it was refused or
    /// undone, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The steps of a move.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum MovePhase {
    /// It has not begun.
    #[default]
    Pending,
    /// Room for the new replicas is held, and the assignment is being put on record.
    Reserved,
    /// The new replicas start.
    Starting,
    /// The new replicas are available; the old ones may go.
    Ready,
    /// The old replicas are ending.
    Draining,
    /// The replicas run where they were to run, and nowhere else.
    Succeeded,
    /// It cannot be made. Nothing has moved.
    Refused,
    /// The new replicas were not available in time, or the move was deleted: the old ones stayed.
    RolledBack,
}

impl MovePhase {
    /// Nothing more comes of it.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Refused | Self::RolledBack)
    }

    /// As it is written in a status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Reserved => "Reserved",
            Self::Starting => "Starting",
            Self::Ready => "Ready",
            Self::Draining => "Draining",
            Self::Succeeded => "Succeeded",
            Self::Refused => "Refused",
            Self::RolledBack => "RolledBack",
        }
    }
}
