//! From a plan to the next assignment: pure. A plan says what should run; the assignment also
//! keeps what must stay until that runs.

use std::collections::BTreeMap;

use federation::api::{ClusterVerdict, Decision, PlacementStatus, UnplacedReplicas};
use k8s_openapi::jiff::Timestamp;
use placement::{ClusterName, Current, Filter, Outcome, Placement, Plan, Verdict, Why};

use crate::unplaced;
use crate::validate::Validated;

/// At most this many clusters are explained in a status; of a thousand, nobody reads all.
const EXPLAINED: usize = 32;

/// Which cluster runs how many, and why: what is written to the hub before a member is touched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assignment {
    /// The record of the decision.
    pub decision: Decision,
    /// The policy that ranked.
    pub policy: Option<String>,
    /// The clusters, by name.
    pub placements: Vec<PlacementStatus>,
    /// Wanted replicas that have no cluster.
    pub unplaced: u32,
    /// The same by location and reason.
    pub unplaced_by: Vec<UnplacedReplicas>,
    /// Why the policy asked for did not rank.
    pub fallback: Option<String>,
    /// Why waiting for room would be in vain.
    pub obstacle: Option<Obstacle>,
}

/// What stands in the way of placing all replicas whatever the room; the message is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A named cluster is no member.
    UnknownCluster(String),
    /// No member may serve.
    NoEligibleCluster(String),
}

/// What is known of a cluster when an assignment is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberView {
    /// It can be written to.
    pub open: bool,
    /// Replicas that are available there.
    pub available: u32,
    /// It has something of the object, or is being brought something.
    pub holds: bool,
    /// It is being removed from the registry.
    pub leaving: bool,
}

impl Assignment {
    /// What of it `place` takes as current: not what only waits to leave. But a location may keep after
    /// all what no move takes away from it (`leaving`); and where a share stays what it was made as, one
    /// that leaves is taken back, whole, while nothing has replaced it.
    pub fn current(&self, resizable: bool) -> Vec<Current> {
        let mut unassigned = if resizable { 0 } else { self.unplaced };
        let mut share = |one: &PlacementStatus| {
            if one.leaving == 0 || one.leaving > unassigned {
                return one.staying();
            }
            unassigned -= one.leaving;
            one.replicas
        };
        self.placements
            .iter()
            .map(|one| Current {
                cluster: ClusterName::from(one.cluster.as_str()),
                replicas: share(one),
                displaced: self.displaced(one),
                leaving: if resizable && one.location && !self.moves_from(&one.cluster) {
                    one.leaving
                } else {
                    0
                },
                location: one.location,
            })
            .filter(|one| one.location || one.replicas > 0)
            .collect()
    }

    /// What a location has beyond its own stays there, also by a record of an older release, which does
    /// not say how much of it is displaced.
    fn displaced(&self, one: &PlacementStatus) -> u32 {
        if self.decision.shape.is_none() {
            return one.staying();
        }
        one.displaced
    }

    /// The move that is under way takes replicas from this cluster.
    fn moves_from(&self, cluster: &str) -> bool {
        let moving = self.decision.moving.as_ref();
        moving.is_some_and(|one| cluster == one.direction().0)
    }

    /// Replicas that are meant to run.
    pub fn placed(&self) -> u32 {
        self.placements.iter().map(PlacementStatus::staying).sum()
    }

    /// What stands for the record of an object that has none: what members hold of it stays there
    /// until it is decided otherwise.
    pub fn of_what_is_held(standing: &BTreeMap<ClusterName, MemberView>) -> Self {
        let held = standing.iter().filter(|(_, member)| member.holds);
        let placements = held.map(|(cluster, member)| PlacementStatus {
            cluster: cluster.to_string(),
            replicas: member.available,
            location: true,
            ..PlacementStatus::default()
        });
        Self {
            placements: placements.collect(),
            ..Self::default()
        }
    }

    /// Something only waits to leave.
    pub fn is_moving(&self) -> bool {
        let leaves = |one: &PlacementStatus| one.leaving > 0 || is_over(one);
        self.placements.iter().any(leaves)
    }

    /// The assignment after `plan`. `standing` knows every member of the registry; a cluster that
    /// is not in it has left for good. `room` is how many of its replicas fit on a cluster, those that
    /// run there included. `now` is when it is decided.
    pub fn next(
        &self,
        plan: &Plan,
        validated: &Validated,
        cursor: u64,
        standing: &BTreeMap<ClusterName, MemberView>,
        room: impl Fn(&ClusterName) -> u32,
        now: Timestamp,
    ) -> Self {
        // A location that runs nothing is delivered as such; not where nothing may be left.
        let is_left = |cluster: &ClusterName| standing.get(cluster).is_some_and(|one| one.leaving);
        let kept =
            (plan.placements.iter()).filter(|one| one.replicas > 0 || !is_left(&one.cluster));
        let mut placements: BTreeMap<String, PlacementStatus> = kept
            .map(|one| {
                let status = PlacementStatus {
                    cluster: one.cluster.to_string(),
                    replicas: one.replicas,
                    displaced: one.displaced,
                    location: one.location,
                    why: why(plan, &one.cluster, &one.why),
                    ..PlacementStatus::default()
                };
                (one.cluster.to_string(), status)
            })
            .collect();
        let leaving = self.leaving(&placements, plan.unplaced_replicas(), standing, room);
        let floor = (!leaving.is_empty()).then(|| {
            let planned: u32 = placements.values().map(|one| one.replicas).sum();
            self.floor(planned.saturating_add(plan.unplaced_replicas()))
        });
        for (cluster, leaving) in leaving {
            let entry = placements
                .entry(cluster.clone())
                .or_insert_with(|| PlacementStatus {
                    why: "stays until its replacements elsewhere are ready".to_owned(),
                    cluster,
                    ..PlacementStatus::default()
                });
            entry.replicas += leaving;
            entry.leaving = leaving;
        }
        self.keep_on_record(&mut placements, standing);
        Self {
            decision: Decision {
                sequence: self.decision.sequence.saturating_add(1),
                key: validated.decision_key.clone(),
                shape: Some(unplaced::digest(&validated.shape)),
                cursor,
                floor,
                moving: None,
                clusters: verdicts(plan).take(EXPLAINED).collect(),
            },
            policy: Some(plan.policy.to_owned()),
            placements: placements.into_values().collect(),
            unplaced: plan.unplaced_replicas(),
            unplaced_by: unplaced::of(plan, validated, &self.unplaced_by, now),
            obstacle: obstacle(plan),
            fallback: plan.fallback.as_ref().map(|fallback| {
                format!(
                    "{} has no {}; {} decided instead",
                    fallback.requested, fallback.missing, fallback.used
                )
            }),
        }
    }

    /// As many replicas as a move must keep available: those that ran before it, and not more than
    /// are wanted now.
    fn floor(&self, wanted: u32) -> u32 {
        let ran = || self.placements.iter().map(|one| one.replicas).sum();
        let before = self.decision.floor.filter(|_| self.is_moving());
        before.unwrap_or_else(ran).min(wanted)
    }

    /// A cluster that shall run nothing stays on record until it is known to hold nothing: else a
    /// deletion would not know of it.
    pub fn keep_on_record(
        &self,
        placements: &mut BTreeMap<String, PlacementStatus>,
        standing: &BTreeMap<ClusterName, MemberView>,
    ) {
        for one in &self.placements {
            let known = standing.get(one.cluster.as_str());
            if known.is_some_and(|member| !member.open || member.holds) {
                placements
                    .entry(one.cluster.clone())
                    .or_insert_with(|| PlacementStatus {
                        why: "on record until nothing of it is left there".to_owned(),
                        cluster: one.cluster.clone(),
                        ..PlacementStatus::default()
                    });
            }
        }
    }

    /// What leaves a cluster, by cluster: never more than the floor less what is available where it
    /// shall be, and than fits there; a mere scale-down keeps nothing.
    fn leaving(
        &self,
        targets: &BTreeMap<String, PlacementStatus>,
        unplaced: u32,
        standing: &BTreeMap<ClusterName, MemberView>,
        room: impl Fn(&ClusterName) -> u32,
    ) -> Vec<(String, u32)> {
        let target = |cluster: &str| targets.get(cluster).map_or(0, |one| one.replicas);
        let before: BTreeMap<&str, u32> = self
            .placements
            .iter()
            .map(|one| (one.cluster.as_str(), one.staying()))
            .collect();
        let has_grown = |one: &PlacementStatus| {
            one.replicas > before.get(one.cluster.as_str()).copied().unwrap_or(0)
        };
        // What a move finds no place for would grow if it could.
        let grows = unplaced > self.unplaced || targets.values().any(has_grown);
        let standing = |cluster: &str| standing.get(cluster).copied();
        let available = targets.values().map(|one| match standing(&one.cluster) {
            Some(member) if member.open => member.available.min(one.replicas),
            _ => 0,
        });
        let planned: u32 = targets.values().map(|one| one.replicas).sum();
        let wanted = planned.saturating_add(unplaced);
        let mut pending = self.floor(wanted).saturating_sub(available.sum());
        let mut leaving = Vec::new();
        for one in &self.placements {
            let surplus = one.replicas.saturating_sub(target(&one.cluster));
            // Without growth elsewhere only what was leaving already goes on leaving.
            let candidates = if grows {
                surplus
            } else {
                surplus.min(one.leaving)
            };
            let stays = match standing(&one.cluster) {
                None => 0,
                // What runs on a member that cannot be told to stop is kept in the record.
                Some(member) if !member.open => surplus,
                Some(member) => {
                    // What neither runs nor fits keeps nothing available.
                    let cluster = ClusterName::from(one.cluster.as_str());
                    let fits = |most: u32| {
                        room(&cluster)
                            .max(member.available)
                            .saturating_sub(target(&one.cluster))
                            .min(most)
                    };
                    let stays = candidates.min(pending);
                    let stays = if stays > 0 { fits(stays) } else { 0 };
                    pending -= stays;
                    stays
                }
            };
            if stays > 0 {
                leaving.push((one.cluster.clone(), stays));
            }
        }
        leaving
    }

    /// Whether writing `other` would change what members run or what people are told.
    pub fn differs_from(&self, other: &Self) -> bool {
        let essence = |assignment: &Self| {
            let placements: Vec<_> = assignment
                .placements
                .iter()
                .map(|one| {
                    let counts = (one.replicas, one.leaving, one.displaced);
                    (one.cluster.clone(), counts, one.location)
                })
                .collect();
            (
                placements,
                assignment.decision.key.clone(),
                assignment.decision.moving.clone(),
                assignment.unplaced,
                assignment.unplaced_by.clone(),
                assignment.policy.clone(),
            )
        };
        let shapes = self
            .decision
            .shape
            .as_ref()
            .zip(other.decision.shape.as_ref());
        essence(self) != essence(other) || shapes.is_some_and(|(one, other)| one != other)
    }
}

/// A share of nothing that is no location: what the cluster still has goes.
pub fn is_over(one: &PlacementStatus) -> bool {
    !one.location && one.replicas == 0
}

fn why(plan: &Plan, cluster: &ClusterName, why: &Why) -> String {
    match why {
        Why::Location => "named as a location".to_owned(),
        Why::Policy => match plan.verdict(cluster).map(|verdict| &verdict.outcome) {
            Some(Outcome::Scored { rank, .. }) => {
                format!("chosen by {}, rank {rank}", plan.policy)
            }
            _ => format!("chosen by {}", plan.policy),
        },
        Why::Overflow { from } => format!("takes what {from} cannot hold"),
        Why::Retained => "kept from the assignment before".to_owned(),
        Why::Moved { from } => format!("moved from {from}"),
    }
}

/// What stands in the way when waiting for room would be in vain.
fn obstacle(plan: &Plan) -> Option<Obstacle> {
    let unknown = plan.verdicts.iter().filter_map(|verdict| {
        let is_unknown = matches!(verdict.outcome, Outcome::Filtered(Filter::Unknown));
        is_unknown.then(|| verdict.cluster.to_string())
    });
    let unknown: Vec<_> = unknown.collect();
    if !unknown.is_empty() {
        let message = format!(
            "there is no member cluster {}: correct the name, or see kubectl get memberclusters",
            unknown.join(", ")
        );
        return Some(Obstacle::UnknownCluster(message));
    }
    let scored = |outcome: &Outcome| matches!(outcome, Outcome::Scored { .. });
    if plan.unplaced_replicas() == 0 || plan.verdicts.iter().any(|verdict| scored(&verdict.outcome))
    {
        return None;
    }
    let reasons = plan
        .verdicts
        .iter()
        .take(3)
        .map(|verdict| format!("{}: {}", verdict.cluster, verdict.outcome));
    let message = format!(
        "no cluster may serve ({})",
        reasons.collect::<Vec<_>>().join("; ")
    );
    Some(Obstacle::NoEligibleCluster(message))
}

/// What is said of each cluster: the chosen first, then by rank, then what was dropped. A sentence is
/// made only for those that are taken.
pub fn verdicts(plan: &Plan) -> impl Iterator<Item = ClusterVerdict> {
    let chosen: BTreeMap<&ClusterName, &Placement> = (plan.placements.iter())
        .map(|one| (&one.cluster, one))
        .collect();
    let rank = |verdict: &Verdict| match &verdict.outcome {
        Outcome::Scored { rank, .. } => *rank,
        Outcome::Filtered(_) => u32::MAX,
    };
    let mut all: Vec<_> = (plan.verdicts.iter())
        .map(|verdict| (verdict, chosen.get(&verdict.cluster).copied()))
        .collect();
    all.sort_by_key(|(verdict, share)| (share.is_none(), rank(verdict), &verdict.cluster));
    all.into_iter().map(|(verdict, share)| {
        let text = match share {
            Some(one) => format!(
                "{} replicas: {}; {}",
                one.replicas,
                why(plan, &one.cluster, &one.why),
                verdict.outcome
            ),
            None => format!("not chosen: {}", verdict.outcome),
        };
        ClusterVerdict {
            cluster: verdict.cluster.to_string(),
            verdict: text,
        }
    })
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
