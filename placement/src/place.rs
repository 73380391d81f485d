//! The decision: filter, rank, choose locations, fill them, let the rest overflow.

use std::collections::BTreeMap;

use crate::cluster::{Cluster, Health, Role, TaintEffect};
use crate::name::ClusterName;
use crate::plan::{Fallback, Filter, Outcome, Placement, Plan, Verdict, Why};
use crate::policy::{self, Candidate, Policy};
use crate::request::{Current, Overflow, ReplicaScheduling, Request, Target, Targets};
use crate::shape::untolerated;
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
            overflowed_by_rank: false,
        }
    }

    /// Filters the clusters and ranks those that pass; the policy that did, and why not the other.
    fn rank(&mut self, policy: &dyn Policy) -> (&'static str, Option<Fallback>) {
        let (snapshot, request) = (self.snapshot, self.request);
        let mut candidates = Vec::new();
        for cluster in snapshot.clusters() {
            let current = request
                .current
                .iter()
                .find(|one| one.cluster == cluster.name);
            match self.filter(cluster) {
                Some(filter) => {
                    let leaves = matches!(filter, Filter::Lost)
                        || matches!(&filter, Filter::Tainted(taint) if taint.effect == TaintEffect::NoExecute);
                    let keeps = matches!(
                        filter,
                        Filter::Unreachable | Filter::Cordoned | Filter::Tainted(_)
                    ) && !leaves;
                    if let Some(current) = current.filter(|_| keeps && !request.rechoose) {
                        self.keeping.insert(&cluster.name, current.replicas);
                    } else if let Some(current) =
                        current.filter(|_| keeps && position(request, &cluster.name).is_some())
                    {
                        // Named again: it keeps its share although it gets nothing new.
                        self.keeping.insert(&cluster.name, current.replicas);
                    }
                    self.dropped.insert(cluster.name.clone(), filter);
                }
                None => candidates.push(Candidate {
                    cluster,
                    room: snapshot.room(&cluster.name, request.shape, request.owner),
                    position: position(request, &cluster.name),
                }),
            }
        }
        if let Targets::Given(targets) = &request.targets {
            for target in targets {
                if snapshot.cluster(&target.cluster).is_none() {
                    self.dropped.insert(target.cluster.clone(), Filter::Unknown);
                }
            }
        }
        let (verdicts, used, fallback) = match policy.score(&candidates, &request.inputs) {
            Ok(verdicts) => (verdicts, policy.name(), None),
            Err(missing) => {
                let used = policy::FALLBACK;
                let verdicts = used.score(&candidates, &request.inputs).unwrap_or_default();
                // Of clusters that were all named, none is chosen by rank.
                let matters = matches!(request.targets, Targets::Chosen { .. });
                let fallback = Fallback {
                    asked: policy.name(),
                    used: used.name(),
                    missing: missing.0,
                };
                (verdicts, used.name(), matters.then_some(fallback))
            }
        };
        for (candidate, verdict) in candidates.into_iter().zip(verdicts) {
            match verdict {
                policy::Verdict::Drop(filter) => {
                    // Full is no reason to take away what runs, or to leave out what was named.
                    let current = request
                        .current
                        .iter()
                        .find(|one| one.cluster == candidate.cluster.name && !request.rechoose);
                    if current.is_none() && candidate.position.is_none() {
                        self.dropped.insert(candidate.cluster.name.clone(), filter);
                    } else {
                        self.ranked.push(Ranked {
                            cluster: candidate.cluster,
                            room: candidate.room,
                            score: f64::NEG_INFINITY,
                            parts: Vec::new(),
                        });
                    }
                }
                policy::Verdict::Score { score, parts } => {
                    self.ranked.push(Ranked {
                        cluster: candidate.cluster,
                        room: candidate.room,
                        score,
                        parts,
                    });
                }
            }
        }
        self.ranked.sort_by(|a, b| {
            let by_score = b.score.total_cmp(&a.score);
            a.cluster
                .role
                .cmp(&b.cluster.role)
                .then(by_score)
                .then_with(|| a.cluster.name.cmp(&b.cluster.name))
        });
        (used, fallback)
    }

    /// Why a cluster gets nothing new, if it does not.
    fn filter(&self, cluster: &Cluster) -> Option<Filter> {
        let request = self.request;
        let eligibility = &request.eligibility;
        let named = position(request, &cluster.name).is_some();
        let evacuating = untolerated(
            &cluster.taints,
            &eligibility.tolerations,
            &[TaintEffect::NoExecute],
        );
        let closed = untolerated(
            &cluster.taints,
            &eligibility.tolerations,
            &[TaintEffect::NoSchedule],
        );
        let mismatch = eligibility.labels.iter().find(|requirement| {
            !requirement.holds(cluster.labels.get(&requirement.key).map(String::as_str))
        });
        match cluster.health {
            Health::Lost => return Some(Filter::Lost),
            Health::Unreachable => return Some(Filter::Unreachable),
            Health::Ready => {}
        }
        if let Some(taint) = evacuating.or(closed) {
            return Some(Filter::Tainted(taint.clone()));
        }
        if cluster.unschedulable {
            return Some(Filter::Cordoned);
        }
        if let Some(requirement) = mismatch {
            return Some(Filter::SelectorMismatch(requirement.describe()));
        }
        if matches!(request.targets, Targets::Given(_))
            && !named
            && request.overflow == Overflow::None
        {
            return Some(Filter::NotNamed);
        }
        (cluster.role == Role::Cloud && !eligibility.cloud && !named)
            .then_some(Filter::CloudNotAllowed)
    }

    /// The locations in order, each with what it is meant to run.
    fn locations(&self) -> Vec<Location> {
        let request = self.request;
        let (mut locations, count): (Vec<(ClusterName, Option<u32>, Why)>, usize) = match &request
            .targets
        {
            Targets::Given(targets) => {
                // Named twice is named once, as it was first.
                let first = |(place, target): &(usize, &Target)| {
                    position(request, &target.cluster) == Some(*place)
                };
                let all = targets.iter().enumerate().filter(first);
                let all =
                    all.map(|(_, target)| (target.cluster.clone(), target.replicas, Why::Location));
                (all.collect(), targets.len())
            }
            Targets::Chosen { count } => (self.chosen(*count as usize), *count as usize),
        };
        locations.truncate(count);
        let wanted: Vec<u32> = match request.scheduling {
            ReplicaScheduling::PerLocation => locations
                .iter()
                .map(|(_, replicas, _)| replicas.unwrap_or(request.replicas))
                .collect(),
            ReplicaScheduling::Total => divide(request.replicas, &locations),
        };
        locations
            .into_iter()
            .zip(wanted)
            .map(|((cluster, _, why), wanted)| Location {
                cluster,
                wanted,
                why,
            })
            .collect()
    }

    /// Locations by policy: those that are locations already, then the next in the ranking.
    fn chosen(&self, count: usize) -> Vec<(ClusterName, Option<u32>, Why)> {
        let request = self.request;
        let stays = |one: &&Current| {
            one.location
                && (self.keeping.contains_key(&one.cluster)
                    || self
                        .ranked
                        .iter()
                        .any(|ranked| ranked.cluster.name == one.cluster))
        };
        let mut chosen: Vec<ClusterName> = Vec::new();
        if !request.rechoose {
            let mut current: Vec<_> = request
                .current
                .iter()
                .filter(stays)
                .map(|one| one.cluster.clone())
                .collect();
            // Of more than are wanted, the best ranked stay.
            let rank = |name: &ClusterName| {
                self.ranked
                    .iter()
                    .position(|one| one.cluster.name == *name)
                    .unwrap_or(usize::MAX)
            };
            current.sort_by_key(|name| (rank(name), name.clone()));
            chosen.extend(current.into_iter().take(count));
        }
        for ranked in &self.ranked {
            if chosen.len() >= count {
                break;
            }
            if !chosen.contains(&ranked.cluster.name) {
                chosen.push(ranked.cluster.name.clone());
            }
        }
        chosen
            .into_iter()
            .map(|name| (name, None, Why::Policy))
            .collect()
    }

    /// Gives each location what it can hold; replicas of locations that could not be found.
    fn fill(&mut self, locations: &[Location]) -> u32 {
        for location in locations {
            let current = self.current(&location.cluster);
            let room = self.room(&location.cluster);
            let replicas = match self.keeping.get(&location.cluster) {
                // Nothing new where nothing new may go.
                Some(kept) => location.wanted.min(*kept),
                None => location.wanted.min(saturate(room).max(current)),
            };
            let share = self.shares.entry(location.cluster.clone()).or_default();
            share.replicas = replicas;
            share.kept = self.keeping.contains_key(&location.cluster) && replicas > 0;
        }
        match (&self.request.targets, self.request.scheduling) {
            (Targets::Chosen { count }, ReplicaScheduling::PerLocation) if *count != u32::MAX => {
                let found = u32::try_from(locations.len()).unwrap_or(u32::MAX);
                count
                    .saturating_sub(found)
                    .saturating_mul(self.request.replicas)
            }
            // All that match were asked for, and there is none.
            (Targets::Chosen { .. }, _) if locations.is_empty() => self.request.replicas,
            _ => 0,
        }
    }

    /// Finds places for what the locations cannot hold: where overflow is already, then where the
    /// request says.
    fn overflow(&mut self, locations: &[Location]) {
        let short = |decision: &Self, location: &Location| {
            location.wanted
                - decision
                    .shares
                    .get(&location.cluster)
                    .map_or(0, |share| share.replicas)
        };
        let mut excess: Vec<(ClusterName, u32)> = locations
            .iter()
            .map(|location| (location.cluster.clone(), short(self, location)))
            // A name that is no member is a mistake to report, not room to find elsewhere.
            .filter(|(name, short)| *short > 0 && self.snapshot.cluster(name).is_some())
            .collect();
        if excess.is_empty() || self.request.overflow == Overflow::None {
            return;
        }
        if !self.request.rechoose {
            self.keep_overflow(&mut excess);
        }
        for (full, mut short) in excess {
            for name in self.overflow_order(&full, locations) {
                if short == 0 {
                    break;
                }
                let held = self.shares.get(&name).map_or(0, |share| share.replicas);
                let free = saturate(self.room(&name)).saturating_sub(held);
                self.add(&name, short.min(free), &full);
                short -= short.min(free);
            }
        }
    }

    /// Overflow stays where it is while there is any: what runs is not moved for another place.
    /// Locations may hold some beside their own; clusters of the last resort keep theirs last.
    fn keep_overflow(&mut self, excess: &mut [(ClusterName, u32)]) {
        let mut holders: Vec<(Role, &Current)> = self
            .request
            .current
            .iter()
            .filter(|one| self.keeping.contains_key(&one.cluster) || self.is_ranked(&one.cluster))
            .filter_map(|one| Some((self.snapshot.cluster(&one.cluster)?.role, one)))
            .collect();
        holders.sort_by_key(|(role, _)| *role);
        for (_, current) in holders {
            let own = self
                .shares
                .get(&current.cluster)
                .map_or(0, |share| share.replicas);
            let mut left = current.replicas.saturating_sub(own);
            for (full, short) in excess.iter_mut() {
                let moved = left.min(*short);
                self.add(&current.cluster, moved, full);
                *short -= moved;
                left -= moved;
            }
        }
    }

    /// Where a full cluster's excess goes, in order: clusters of the last resort at the end.
    fn overflow_order(&mut self, full: &ClusterName, locations: &[Location]) -> Vec<ClusterName> {
        let is_location =
            |name: &ClusterName| locations.iter().any(|location| location.cluster == *name);
        let proximity = self
            .request
            .inputs
            .proximity
            .filter(|_| self.request.overflow == Overflow::Nearest);
        if self.request.overflow == Overflow::Nearest && proximity.is_none() {
            self.overflowed_by_rank = true;
        }
        let mut order: Vec<_> = self
            .ranked
            .iter()
            .enumerate()
            .filter(|(_, one)| one.cluster.name != *full)
            .map(|(rank, one)| {
                let name = one.cluster.name.clone();
                let distance = match proximity {
                    Some(proximity) => proximity
                        .rtt(full, &name)
                        .unwrap_or(std::time::Duration::MAX),
                    // Down the ranking: first the clusters that are no locations themselves.
                    None => std::time::Duration::from_secs(u64::from(is_location(&name))),
                };
                (one.cluster.role, distance, rank, name)
            })
            .collect();
        order.sort();
        order.into_iter().map(|(_, _, _, name)| name).collect()
    }

    fn add(&mut self, cluster: &ClusterName, replicas: u32, full: &ClusterName) {
        if replicas > 0 {
            let share = self.shares.entry(cluster.clone()).or_default();
            share.replicas += replicas;
            share.overflow_from.get_or_insert_with(|| full.clone());
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
            if let Some(from) = share.overflow_from.clone().filter(|_| !is_location) {
                placements.push(Placement {
                    cluster: cluster.clone(),
                    replicas: share.replicas,
                    why: Why::Overflow { from },
                    location: false,
                });
            }
        }
        let wanted = locations
            .iter()
            .fold(missing, |sum, location| sum.saturating_add(location.wanted));
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
            verdicts,
            fallback,
            policy: "",
        }
    }

    fn room(&self, name: &ClusterName) -> u64 {
        self.ranked
            .iter()
            .find(|one| one.cluster.name == *name)
            .map_or(0, |one| one.room)
    }

    /// What runs there and may stay.
    fn current(&self, name: &ClusterName) -> u32 {
        let stays = !self.request.rechoose && self.is_ranked(name);
        let current = self.request.current.iter().find(|one| one.cluster == *name);
        current.filter(|_| stays).map_or(0, |one| one.replicas)
    }

    fn is_ranked(&self, name: &ClusterName) -> bool {
        self.ranked.iter().any(|one| one.cluster.name == *name)
    }
}

/// The place of a cluster among the named ones.
fn position(request: &Request<'_>, name: &ClusterName) -> Option<usize> {
    match &request.targets {
        Targets::Given(targets) => targets.iter().position(|target| target.cluster == *name),
        Targets::Chosen { .. } => None,
    }
}

/// Divides replicas over locations evenly; the remainder goes by name.
fn divide(replicas: u32, locations: &[(ClusterName, Option<u32>, Why)]) -> Vec<u32> {
    let Some(count) = u32::try_from(locations.len())
        .ok()
        .filter(|count| *count > 0)
    else {
        return Vec::new();
    };
    let mut names: Vec<_> = locations.iter().map(|(name, ..)| name).collect();
    names.sort_unstable();
    let extra = (replicas % count) as usize;
    let gets_more = |name: &ClusterName| {
        names
            .iter()
            .position(|one| *one == name)
            .is_some_and(|place| place < extra)
    };
    locations
        .iter()
        .map(|(name, ..)| replicas / count + u32::from(gets_more(name)))
        .collect()
}

fn saturate(room: u64) -> u32 {
    u32::try_from(room).unwrap_or(u32::MAX)
}
