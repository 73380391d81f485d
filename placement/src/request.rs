//! The request for a decision.

use std::collections::BTreeMap;

use crate::name::{ClusterName, OwnerKey};
use crate::proximity::Proximity;
use crate::shape::{PodShape, Requirement, Toleration};

/// The request for a decision.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Whose replicas; its own pods and reservations count as free room.
    pub owner: OwnerKey,
    /// What one replica needs.
    pub shape: &'a PodShape,
    /// Where they go.
    pub targets: Targets,
    /// How many, as `scheduling` counts.
    pub replicas: u32,
    /// What `replicas` counts.
    pub scheduling: ReplicaScheduling,
    /// Which clusters may serve.
    pub eligibility: Eligibility,
    /// Where what a location cannot hold goes.
    pub overflow: Overflow,
    /// The assignment so far.
    pub current: Vec<Current>,
    /// The shares may change. Those of a Job may not, because its completions are fixed when it is
    /// created; a share of nothing may, because nothing of it is created yet.
    pub resizable: bool,
    /// The most that single clusters may hold of it, whatever their room.
    pub limits: BTreeMap<ClusterName, u32>,
    /// Replicas to move, after all else is decided. One that cannot be made is refused in the plan
    /// and changes nothing. What was moved away from a location stays away until another move, or
    /// [`Stickiness::Failback`], brings it back.
    pub moves: &'a [Move],
    /// What becomes of the assignment so far.
    pub stickiness: Stickiness,
    /// A replica needs something else than those that run: what has no room any more where it is goes
    /// elsewhere.
    pub reshaped: bool,
    /// The inputs of policies.
    pub inputs: Inputs<'a>,
}

/// What becomes of the assignment so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stickiness {
    /// What runs stays where it runs, and locations get what runs nowhere yet.
    #[default]
    Stay,
    /// Locations take back what runs elsewhere and they have room for.
    Failback,
    /// Locations are chosen from scratch: the policy, the locations or a selector changed.
    Rechoose,
}

/// Where replicas go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// The policy chooses so many clusters.
    Chosen {
        /// How many.
        count: u32,
    },
    /// These, in this order.
    Given(Vec<Target>),
}

/// A cluster that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub cluster: ClusterName,
    /// Its replicas, where they differ from the request's.
    pub replicas: Option<u32>,
}

/// What `replicas` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaScheduling {
    /// Each location's.
    PerLocation,
    /// All locations' together; they are divided evenly (largest remainder, ties by name).
    Total,
}

/// Which clusters may serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eligibility {
    /// Requirements on the clusters' labels.
    pub labels: Vec<Requirement>,
    /// Taints of clusters that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Cloud clusters may be used although they are not named.
    pub cloud: bool,
}

/// Where what a location cannot hold goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// To the clusters nearest to it.
    Nearest,
    /// On down the ranking.
    Policy,
    /// Nowhere.
    None,
}

/// A share of the assignment so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its replicas.
    pub replicas: u32,
    /// Of them, those that are meant for other locations; of what is no location, all are.
    pub displaced: u32,
    /// Replicas besides, that run there until they are replaced elsewhere. A location that has room for
    /// them keeps them.
    pub leaving: u32,
    /// It is a location, and not just holding overflow.
    pub location: bool,
}

/// Replicas to move from one cluster to another.
///
/// If all that a chosen location has moves to a cluster that is no location, that cluster takes its
/// place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where they run.
    pub from: ClusterName,
    /// Where they are to run.
    pub to: ClusterName,
    /// How many; none moves if not all can.
    pub replicas: u32,
}

/// The inputs of policies. What is `None` is not known.
#[derive(Clone, Debug, Default)]
pub struct Inputs<'a> {
    /// Bytes per second that each cluster receives.
    pub traffic: Option<&'a BTreeMap<ClusterName, f64>>,
    /// Round-trip times.
    pub proximity: Option<&'a Proximity>,
    /// The clusters where the users are, by [`crate::Snapshot::origins`]; empty when not known.
    pub origins: Vec<ClusterName>,
    /// How many decisions `round_robin` has made before.
    pub cursor: u64,
    /// Seed of `random`.
    pub seed: u64,
    /// Settings of the policy, by name.
    pub parameters: BTreeMap<String, String>,
}
