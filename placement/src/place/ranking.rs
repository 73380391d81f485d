//! Which clusters may get something new, and in which order.

use super::{Decision, Ranked, position};
use crate::cluster::{Cluster, Health, Role, TaintEffect};
use crate::plan::{Fallback, Filter};
use crate::policy::{self, Candidate, Policy};
use crate::request::{Overflow, Targets};
use crate::shape::untolerated;

impl Decision<'_> {
    /// Filters the clusters and ranks those that pass; the policy that did, and why not the other.
    pub(super) fn rank(&mut self, policy: &dyn Policy) -> (&'static str, Option<Fallback>) {
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
                    // One that is named keeps its share even when locations are chosen again.
                    let stays = !request.rechoose || position(request, &cluster.name).is_some();
                    if let Some(current) = current.filter(|_| keeps && stays) {
                        self.keeping.insert(&cluster.name, current.replicas);
                    }
                    self.dropped.insert(cluster.name.clone(), filter);
                }
                None => candidates.push(Candidate {
                    cluster,
                    room: match current {
                        Some(current) if !request.growing && current.replicas > 0 => {
                            u64::from(current.replicas)
                        }
                        _ => {
                            let room = snapshot.room(&cluster.name, request.shape, request.owner);
                            let limit = request.limits.get(&cluster.name);
                            limit.map_or(room, |limit| room.min(u64::from(*limit)))
                        }
                    },
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
        if cluster.health == Health::Lost {
            return Some(Filter::Lost);
        }
        if let Some(taint) = evacuating {
            return Some(Filter::Tainted(taint.clone()));
        }
        if cluster.health == Health::Unreachable {
            return Some(Filter::Unreachable);
        }
        if let Some(taint) = closed {
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
}
