//! The decision: filter, rank, choose locations, fill them, overflow, move.

mod filling;
mod locations;
mod moving;
mod overflow;
mod ranking;
mod result;

use std::collections::{BTreeMap, HashMap};

use crate::cluster::Cluster;
use crate::name::ClusterName;
use crate::plan::{Filter, Plan, Why};
use crate::policy::Policy;
use crate::request::{Current, Request, Stickiness, Targets};
use crate::snapshot::Snapshot;

/// Decides a request. Clusters that do not answer, are cordoned or tainted keep what they have and
/// get nothing new; what a lost or evacuated cluster had is decided again. What runs elsewhere than
/// it is meant to stays there. Cloud clusters rank after all others.
pub fn place(snapshot: &Snapshot, request: &Request<'_>, policy: &dyn Policy) -> Plan {
    let mut decision = Decision::new(snapshot, request);
    let ranking = decision.rank(policy);
    let mut locations = decision.locations();
    let missing = decision.missing(&locations);
    decision.fill(&locations, &missing);
    let short = decision.overflow(&locations);
    let mut unplaced = decision.unplaced(&locations, &short);
    unplaced.extend(missing);
    let moves = decision.make_moves(&mut locations);
    decision.plan(ranking, &locations, unplaced, moves)
}

/// A decision while it is being made. What is found by name is found by hash: there may be a
/// thousand clusters, and as many locations. Nothing follows the order of a hash.
struct Decision<'a> {
    snapshot: &'a Snapshot,
    request: &'a Request<'a>,
    /// The place of a cluster among those that are named, the first if it is named twice.
    named: HashMap<&'a ClusterName, usize>,
    /// The assignment so far.
    current: HashMap<&'a ClusterName, &'a Current>,
    /// Clusters that may get something new, by rank.
    ranked: Vec<Ranked<'a>>,
    ranks: HashMap<&'a ClusterName, usize>,
    /// Clusters that keep what they have.
    keeping: HashMap<&'a ClusterName, u32>,
    dropped: BTreeMap<&'a ClusterName, Filter>,
    shares: HashMap<&'a ClusterName, Share<'a>>,
    /// How many replicas may still start somewhere; of what is resizable, any number.
    unassigned: u32,
    overflowed_by_rank: bool,
}

/// A cluster that may get something new.
struct Ranked<'a> {
    cluster: &'a Cluster,
    room: u64,
    score: f64,
    parts: Vec<(&'static str, f64)>,
}

/// A location, and how many replicas it is meant to run.
struct Location<'a> {
    cluster: &'a ClusterName,
    wanted: u32,
    why: Why,
}

/// What a cluster gets.
#[derive(Default)]
struct Share<'a> {
    replicas: u32,
    overflow_from: Option<&'a ClusterName>,
    moved_from: Option<&'a ClusterName>,
    kept: bool,
}

impl<'a> Decision<'a> {
    fn new(snapshot: &'a Snapshot, request: &'a Request<'a>) -> Self {
        let mut named = HashMap::new();
        if let Targets::Given(targets) = &request.targets {
            for (place, target) in targets.iter().enumerate() {
                named.entry(&target.cluster).or_insert(place);
            }
        }
        let mut current = HashMap::new();
        for one in &request.current {
            current.entry(&one.cluster).or_insert(one);
        }
        Self {
            snapshot,
            request,
            named,
            current,
            ranked: Vec::new(),
            ranks: HashMap::new(),
            keeping: HashMap::new(),
            dropped: BTreeMap::new(),
            shares: HashMap::new(),
            unassigned: u32::MAX,
            overflowed_by_rank: false,
        }
    }

    /// Locations are chosen from scratch.
    fn rechooses(&self) -> bool {
        self.request.stickiness == Stickiness::Rechoose
    }

    fn is_ranked(&self, name: &ClusterName) -> bool {
        self.ranks.contains_key(name)
    }

    /// Replicas that a cluster has so far.
    fn share(&self, name: &ClusterName) -> u32 {
        self.shares.get(name).map_or(0, |share| share.replicas)
    }

    /// Replicas that would fit beside those that a ranked cluster has so far.
    fn left(&self, rank: usize) -> u32 {
        let one = &self.ranked[rank];
        saturate(one.room).saturating_sub(self.share(&one.cluster.name))
    }

    /// Of so many, as many as may still start.
    fn take(&mut self, replicas: u32) -> u32 {
        let taken = replicas.min(self.unassigned);
        if !self.request.resizable {
            self.unassigned -= taken;
        }
        taken
    }
}

fn sum(counts: impl Iterator<Item = u32>) -> u32 {
    counts.fold(0, u32::saturating_add)
}

fn saturate(room: u64) -> u32 {
    u32::try_from(room).unwrap_or(u32::MAX)
}
