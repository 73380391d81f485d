//! What a decision gives: shares, what is left over, and why.

use std::fmt;
use std::sync::Arc;

use crate::cluster::Taint;
use crate::name::ClusterName;
use crate::request::{Current, Move};
use crate::shape::Requirement;

/// What a decision gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Shares: locations first, in their order, then what overflowed. A location may have none.
    pub placements: Vec<Placement>,
    /// Replicas that are wanted in all.
    pub wanted: u32,
    /// Of them, those that have no cluster: by location, in the order of the locations, then those
    /// of locations that could not be found.
    pub unplaced: Vec<Unplaced>,
    /// What became of the moves, in the order of the request.
    pub moves: Vec<MoveResult>,
    /// How each cluster was judged, by name.
    pub verdicts: Vec<Verdict>,
    /// Why another policy than the requested one ranked.
    pub fallback: Option<Fallback>,
    /// The policy that ranked.
    pub policy: &'static str,
}

impl Plan {
    /// Replicas that have no cluster, in all.
    pub fn unplaced_replicas(&self) -> u32 {
        let replicas = self.unplaced.iter().map(|one| one.replicas);
        replicas.fold(0, u32::saturating_add)
    }

    /// Replicas that have a cluster, but not the location that they are meant for.
    pub fn displaced_replicas(&self) -> u32 {
        let replicas = self.placements.iter().map(|one| one.displaced);
        replicas.fold(0, u32::saturating_add)
    }

    /// What the next request has as current, once this plan is carried out.
    pub fn current(&self) -> Vec<Current> {
        let current = |one: &Placement| Current {
            cluster: one.cluster.clone(),
            replicas: one.replicas,
            displaced: one.displaced,
            leaving: 0,
            location: one.location,
        };
        self.placements.iter().map(current).collect()
    }

    /// How a cluster was judged.
    pub fn verdict(&self, cluster: &ClusterName) -> Option<&Verdict> {
        let found = self
            .verdicts
            .binary_search_by(|one| one.cluster.cmp(cluster));
        found.ok().map(|place| &self.verdicts[place])
    }
}

/// Replicas that have no cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// The location that they are meant for; `None` if no cluster could be found for it.
    pub location: Option<ClusterName>,
    /// How many.
    pub replicas: u32,
    /// Why.
    pub reason: UnplacedReason,
}

/// Why replicas have no cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnplacedReason {
    /// The clusters that may run them are full: more nodes, or another such cluster, would help.
    NoRoom,
    /// There are fewer clusters that may be chosen than were requested.
    NotEnoughClusters,
    /// No cluster may run them, whatever its room: each is filtered, see the verdicts.
    NotEligible,
    /// Their location is no member cluster.
    UnknownCluster,
}

/// What became of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveResult {
    /// The move as requested.
    pub requested: Move,
    /// Why it was not made; then none of its replicas moved.
    pub refused: Option<MoveRefusal>,
}

/// Why a move was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveRefusal {
    /// From a cluster to itself.
    SameCluster,
    /// What is not resizable, such as a Job, stays where it is.
    NotResizable,
    /// The cluster would run fewer replicas than are to move.
    MoreThanThere {
        /// Replicas that it would run.
        there: u32,
    },
    /// The other cluster is filtered.
    Filtered(Filter),
    /// The other cluster has less room.
    NoRoom {
        /// Replicas that fit beside those that it would run.
        room: u32,
    },
    /// It is more than the other cluster is meant to run, and overflow is not allowed.
    OverflowNotAllowed,
}

/// One cluster's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its replicas.
    pub replicas: u32,
    /// Of them, those that are meant for other locations.
    pub displaced: u32,
    /// Why it has them.
    pub why: Why,
    /// It is a location, and not just holding overflow.
    pub location: bool,
}

/// Why a cluster has its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was named.
    Location,
    /// The policy ranked it high enough.
    Policy,
    /// Another cannot hold them.
    Overflow {
        /// The full one.
        from: ClusterName,
    },
    /// It had them before.
    Retained,
    /// A move brought some of them.
    Moved {
        /// The cluster that they ran on.
        from: ClusterName,
    },
}

/// How a cluster was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The cluster.
    pub cluster: ClusterName,
    /// The filter that dropped it, or its score.
    pub outcome: Outcome,
}

/// The filter that dropped a cluster, or its score.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Dropped.
    Filtered(Filter),
    /// Ranked.
    Scored {
        /// From 1.
        rank: u32,
        /// Replicas that fit.
        room: u64,
        /// What it was ranked by; more is better.
        score: f64,
        /// What the score is made of.
        parts: Vec<(&'static str, f64)>,
    },
}

/// Why a cluster was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// It is named and is no member.
    Unknown,
    /// It does not answer.
    Unreachable,
    /// It has not answered for longer than is tolerated.
    Lost,
    /// It is being removed from the registry.
    Leaving,
    /// It is cordoned.
    Cordoned,
    /// It has a taint that is not tolerated.
    Tainted(Taint),
    /// It lacks a label.
    SelectorMismatch(Arc<Requirement>),
    /// Clusters are named and it is none of them.
    NotNamed,
    /// It is a cloud cluster, and bursting is not allowed.
    CloudNotAllowed,
    /// The policy wants room for one replica, and there is none.
    NoRoom,
}

/// Another policy than the requested one ranked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The requested policy.
    pub requested: &'static str,
    /// The one that ranked.
    pub used: &'static str,
    /// The input of the requested one that is missing.
    pub missing: &'static str,
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no member cluster of this name"),
            Self::Unreachable => f.write_str("it does not answer"),
            Self::Lost => f.write_str("it has not answered for longer than is tolerated"),
            Self::Leaving => f.write_str("it is being removed from the registry"),
            Self::Cordoned => f.write_str("it is cordoned"),
            Self::Tainted(taint) => write!(f, "its taint {taint} is not tolerated"),
            Self::SelectorMismatch(requirement) => {
                write!(f, "its labels do not match {}", requirement.describe())
            }
            Self::NotNamed => f.write_str("it is not among the named clusters"),
            Self::CloudNotAllowed => f.write_str("it is a cloud cluster, and burst is Never"),
            Self::NoRoom => f.write_str("not even one replica fits"),
        }
    }
}

impl fmt::Display for MoveRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameCluster => f.write_str("it is from a cluster to itself"),
            Self::NotResizable => f.write_str("the shares of a job are fixed"),
            Self::MoreThanThere { there } => write!(f, "only {there} replicas run there"),
            Self::Filtered(filter) => write!(f, "the target is not eligible: {filter}"),
            Self::NoRoom { room } => write!(f, "the target has room for {room} more"),
            Self::OverflowNotAllowed => {
                f.write_str("it is more than the target is meant to run, and overflow is None")
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filtered(filter) => filter.fmt(f),
            Self::Scored {
                rank, room, parts, ..
            } => {
                write!(f, "rank {rank}, room for {room}")?;
                for (name, value) in parts.iter().filter(|(name, _)| *name != "room") {
                    write!(f, ", {name} {value}")?;
                }
                Ok(())
            }
        }
    }
}
