//! The decision: filter, rank, choose locations, fill them, let the rest overflow.

mod filling;
mod locations;
mod ranking;

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::name::ClusterName;
use crate::plan::{Fallback, Filter, Outcome, Placement, Plan, Verdict, Why};
use crate::policy::Policy;
use crate::request::{Request, Targets};
use crate::snapshot::Snapshot;

/// Decides a request. Clusters that do not answer, are cordoned or tainted keep what they have and
/// get nothing new; what a lost or evacuated cluster had is decided again. Cloud clusters rank
/// after all others.
pub fn place(snapshot: &Snapshot, request: &Request<'_>, policy: &dyn Policy) -> Plan {
    let mut decision = Decision::new(snapshot, request);
    let (policy, fallback) = decision.rank(policy);
    let locations = decision.locations();
    let missing = decision.fill(&locations);
    decision.overflow(&locations);
    let mut plan = decision.plan(&locations, missing);
    plan.policy = policy;
    plan.fallback = fallback.or(plan.fallback);
    plan
}

/// A decision while it is being made.
struct Decision<'a> {
    snapshot: &'a Snapshot,
    request: &'a Request<'a>,
    /// Clusters that may get something new.
    ranked: Vec<Ranked<'a>>,
    /// Clusters that keep what they have.
    keeping: BTreeMap<&'a ClusterName, u32>,
    dropped: BTreeMap<ClusterName, Filter>,
    shares: BTreeMap<ClusterName, Share>,
    /// How many replicas may still begin somewhere; of what grows, any number.
    homeless: u32,
    overflowed_by_rank: bool,
}

/// A cluster that may get something new.
struct Ranked<'a> {
    cluster: &'a Cluster,
    room: u64,
    score: f64,
    parts: Vec<(&'static str, f64)>,
}

/// A location, and what it is meant to run.
struct Location {
    cluster: ClusterName,
    wanted: u32,
    why: Why,
}

/// What a cluster gets.
#[derive(Default)]
struct Share {
    replicas: u32,
    overflow_from: Option<ClusterName>,
    kept: bool,
}

impl<'a> Decision<'a> {
    fn new(snapshot: &'a Snapshot, request: &'a Request<'a>) -> Self {
        Self {
            snapshot,
            request,
            ranked: Vec::new(),
            keeping: BTreeMap::new(),
            dropped: BTreeMap::new(),
            shares: BTreeMap::new(),
            homeless: u32::MAX,
            overflowed_by_rank: false,
        }
    }

    fn plan(self, locations: &[Location], missing: u32) -> Plan {
        let mut placements: Vec<Placement> = Vec::new();
        for location in locations {
            let share = self.shares.get(&location.cluster);
            placements.push(Placement {
                cluster: location.cluster.clone(),
                replicas: share.map_or(0, |share| share.replicas),
                why: if share.is_some_and(|share| share.kept) {
                    Why::Retained
                } else {
                    location.why.clone()
                },
                location: true,
            });
        }
        // A name that is no member can run nothing.
        placements.retain(|one| self.snapshot.cluster(&one.cluster).is_some());
        for (cluster, share) in &self.shares {
            let is_location = locations
                .iter()
                .any(|location| location.cluster == *cluster);
            if !is_location && share.replicas > 0 {
                let from = share.overflow_from.clone();
                placements.push(Placement {
                    cluster: cluster.clone(),
                    replicas: share.replicas,
                    why: from.map_or(Why::Retained, |from| Why::Overflow { from }),
                    location: false,
                });
            }
        }
        let wanted = locations
            .iter()
            .fold(missing, |sum, location| sum.saturating_add(location.wanted));
        let away = away(&placements, locations);
        let placed = placements
            .iter()
            .fold(0_u32, |sum, one| sum.saturating_add(one.replicas));
        let mut verdicts: Vec<_> = self
            .dropped
            .into_iter()
            .map(|(cluster, filter)| Verdict {
                cluster,
                outcome: Outcome::Filtered(filter),
            })
            .collect();
        verdicts.extend((1..).zip(self.ranked).map(|(rank, one)| Verdict {
            cluster: one.cluster.name.clone(),
            outcome: Outcome::Scored {
                rank,
                room: one.room,
                score: one.score,
                parts: one.parts,
            },
        }));
        verdicts.sort_by(|a, b| a.cluster.cmp(&b.cluster));
        let fallback = self.overflowed_by_rank.then_some(Fallback {
            asked: "overflow to the nearest",
            used: "the ranking",
            missing: "round-trip times",
        });
        Plan {
            placements,
            wanted,
            unplaced: wanted.saturating_sub(placed),
            away,
            verdicts,
            fallback,
            policy: "",
        }
    }

    fn is_ranked(&self, name: &ClusterName) -> bool {
        self.ranked.iter().any(|one| one.cluster.name == *name)
    }
}

/// What clusters have beyond what is meant for them.
fn away(placements: &[Placement], locations: &[Location]) -> u32 {
    let meant = |one: &Placement| {
        let location = locations.iter().find(|other| other.cluster == one.cluster);
        location.map_or(0, |location| location.wanted)
    };
    let beyond = placements
        .iter()
        .map(|one| one.replicas.saturating_sub(meant(one)));
    beyond.fold(0, u32::saturating_add)
}

/// The place of a cluster among the named ones.
fn position(request: &Request<'_>, name: &ClusterName) -> Option<usize> {
    match &request.targets {
        Targets::Given(targets) => targets.iter().position(|target| target.cluster == *name),
        Targets::Chosen { .. } => None,
    }
}
