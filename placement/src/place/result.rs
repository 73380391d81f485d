//! The plan of a decision that is made.

use std::collections::HashSet;

use super::ranking::Ranking;
use super::{Decision, Location, Share, sum};
use crate::name::ClusterName;
use crate::plan::{
    Fallback, MoveResult, Outcome, Placement, Plan, Unplaced, UnplacedReason, Verdict, Why,
};
use crate::request::Overflow;

impl<'a> Decision<'a> {
    pub(super) fn plan(
        self,
        ranking: Ranking,
        locations: &[Location<'a>],
        mut unplaced: Vec<Unplaced>,
        moves: Vec<MoveResult>,
    ) -> Plan {
        let placements = self.placements(locations);
        let missing = unplaced.iter().filter(|one| one.location.is_none());
        let missing = missing.map(|one| one.replicas);
        let wanted = sum(missing.chain(locations.iter().map(|one| one.wanted)));
        let placed = sum(placements.iter().map(|one| one.replicas));
        trim(&mut unplaced, wanted.saturating_sub(placed));
        let fallback = self.overflowed_by_rank.then_some(Fallback {
            requested: "overflow to the nearest",
            used: "the ranking",
            missing: "round-trip times",
        });
        Plan {
            placements,
            wanted,
            unplaced,
            moves,
            verdicts: self.verdicts(),
            fallback: ranking.fallback.or(fallback),
            policy: ranking.policy,
        }
    }

    /// The locations in their order, then the others that got something, by name.
    fn placements(&self, locations: &[Location<'a>]) -> Vec<Placement> {
        let mut placements = Vec::new();
        let mut seen = HashSet::new();
        for location in locations {
            seen.insert(location.cluster);
            let share = self.shares.get(location.cluster);
            // A name that is no member can run nothing.
            if self.snapshot.cluster(location.cluster).is_some() {
                let replicas = share.map_or(0, |share| share.replicas);
                placements.push(Placement {
                    cluster: location.cluster.clone(),
                    replicas,
                    displaced: replicas.saturating_sub(location.wanted),
                    why: why_location(location, share),
                    location: true,
                });
            }
        }
        let is_other = |(name, share): &(&&ClusterName, &Share<'_>)| {
            share.replicas > 0 && !seen.contains(**name) && self.snapshot.cluster(name).is_some()
        };
        let mut others: Vec<_> = self.shares.iter().filter(is_other).collect();
        others.sort_unstable_by_key(|(name, _)| **name);
        placements.extend(others.into_iter().map(|(name, share)| Placement {
            cluster: (*name).clone(),
            replicas: share.replicas,
            displaced: share.replicas,
            why: why_other(share),
            location: false,
        }));
        placements
    }

    /// What could not be placed of each location, by what is left over of it.
    pub(super) fn unplaced(&self, locations: &[Location<'a>], short: &[u32]) -> Vec<Unplaced> {
        let may_overflow = self.request.overflow != Overflow::None && !self.ranked.is_empty();
        let reason = |name: &ClusterName| {
            if self.snapshot.cluster(name).is_none() {
                UnplacedReason::UnknownCluster
            } else if self.is_ranked(name) || may_overflow {
                UnplacedReason::NoRoom
            } else {
                UnplacedReason::NotEligible
            }
        };
        let short = locations.iter().zip(short).filter(|(_, short)| **short > 0);
        short
            .map(|(location, short)| Unplaced {
                location: Some(location.cluster.clone()),
                replicas: *short,
                reason: reason(location.cluster),
            })
            .collect()
    }

    fn verdicts(self) -> Vec<Verdict> {
        let dropped = self.dropped.into_iter().map(|(cluster, filter)| Verdict {
            cluster: cluster.clone(),
            outcome: Outcome::Filtered(filter),
        });
        let ranked = (1..).zip(self.ranked).map(|(rank, one)| Verdict {
            cluster: one.cluster.name.clone(),
            outcome: Outcome::Scored {
                rank,
                room: one.room,
                score: one.score,
                parts: one.parts,
            },
        });
        let mut verdicts: Vec<_> = dropped.chain(ranked).collect();
        verdicts.sort_unstable_by(|a, b| a.cluster.cmp(&b.cluster));
        verdicts
    }
}

fn why_location(location: &Location<'_>, share: Option<&Share<'_>>) -> Why {
    match share {
        Some(Share {
            moved_from: Some(from),
            ..
        }) => Why::Moved {
            from: (*from).clone(),
        },
        Some(share) if share.kept => Why::Retained,
        _ => location.why.clone(),
    }
}

fn why_other(share: &Share<'_>) -> Why {
    match (share.moved_from, share.overflow_from) {
        (Some(from), _) => Why::Moved { from: from.clone() },
        (None, Some(from)) => Why::Overflow { from: from.clone() },
        (None, None) => Why::Retained,
    }
}

/// Leaves so many: what is not resizable may run more somewhere than was meant, and that makes up
/// for what another location lacks.
fn trim(unplaced: &mut Vec<Unplaced>, most: u32) {
    let all: u64 = unplaced.iter().map(|one| u64::from(one.replicas)).sum();
    let mut surplus = all.saturating_sub(u64::from(most));
    for one in unplaced.iter_mut() {
        let less = u32::try_from(surplus).unwrap_or(u32::MAX).min(one.replicas);
        one.replicas -= less;
        surplus -= u64::from(less);
    }
    unplaced.retain(|one| one.replicas > 0);
}
