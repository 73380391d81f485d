//! What a decision gives: shares, what is left over, and why.

use std::fmt;

use crate::cluster::Taint;
use crate::name::ClusterName;

/// What a decision gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Shares: locations first, in their order, then what overflowed. A location may have none.
    pub placements: Vec<Placement>,
    /// Replicas that are wanted in all.
    pub wanted: u32,
    /// Of them, those that have no cluster.
    pub unplaced: u32,
    /// Replicas that have a cluster, but not the location that they are meant for.
    pub away: u32,
    /// What was said of each cluster, by name.
    pub verdicts: Vec<Verdict>,
    /// Why another policy than the one asked for ranked.
    pub fallback: Option<Fallback>,
    /// The policy that ranked.
    pub policy: &'static str,
}

/// One cluster's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its replicas.
    pub replicas: u32,
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
}

/// What was said of a cluster.
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
    /// It is cordoned.
    Cordoned,
    /// It has a taint that is not tolerated.
    Tainted(Taint),
    /// It lacks a label.
    SelectorMismatch(String),
    /// Clusters are named and it is none of them.
    NotNamed,
    /// It is a cloud cluster, and bursting is not allowed.
    CloudNotAllowed,
    /// The policy wants room for one replica, and there is none.
    NoRoom,
}

/// Another policy than the one asked for ranked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The policy asked for.
    pub asked: &'static str,
    /// The one that ranked.
    pub used: &'static str,
    /// What the one asked for needs and has not got.
    pub missing: &'static str,
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no member cluster of this name"),
            Self::Unreachable => f.write_str("it does not answer"),
            Self::Lost => f.write_str("it has not answered for longer than is tolerated"),
            Self::Cordoned => f.write_str("it is cordoned"),
            Self::Tainted(taint) => write!(f, "its taint {taint} is not tolerated"),
            Self::SelectorMismatch(requirement) => {
                write!(f, "its labels do not match {requirement}")
            }
            Self::NotNamed => f.write_str("it is not among the named clusters"),
            Self::CloudNotAllowed => f.write_str("it is a cloud cluster, and burst is Never"),
            Self::NoRoom => f.write_str("not even one replica fits"),
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
