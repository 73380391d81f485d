//! The decision core: how many replicas of a workload run on which cluster, and why.
//!
//! Pure and deterministic: no I/O, no clock, no async, no Kubernetes client. The same [`Snapshot`]
//! and [`Request`] give the same [`Plan`] on every machine.

mod cluster;
mod name;
mod peers;
mod place;
mod plan;
pub mod policy;
mod profile;
mod proximity;
mod quantity;
mod request;
mod resources;
mod shape;
mod snapshot;

pub use cluster::{Cluster, Health, Node, Pod, Role, Taint, TaintEffect};
pub use name::{ClusterName, OwnerKey, PodKey};
pub use peers::{Misfit, Nodes, Peers, There};
pub use place::place;
pub use plan::{
    Fallback, Filter, MoveRefusal, MoveResult, Outcome, Placement, Plan, Unplaced, UnplacedReason,
    Verdict, Why,
};
pub use profile::{HostPort, LabelSet, PodTerm, Profile};
pub use proximity::Proximity;
pub use quantity::{QuantityError, check_amount, parse_milli, parse_whole};
pub use request::{
    Current, Eligibility, Inputs, Move, Overflow, ReplicaScheduling, Request, Stickiness, Target,
    Targets,
};
pub use resources::Resources;
pub use shape::{
    NodeConstraints, NodeTerm, Operator, PodShape, Requirement, SpreadConstraint, Toleration,
    TolerationOperator,
};
pub use snapshot::{
    ClusterSummary, FreeNodes, Growth, NodeClass, NodeTemplate, Snapshot, Summary, SummaryClass,
    Watermark,
};
