//! Which clusters may get something new, and in which order.

use std::sync::Arc;

use super::{Decision, Ranked};
use crate::cluster::{Cluster, Health, Role, TaintEffect};
use crate::plan::{Fallback, Filter};
use crate::policy::{self, Candidate, Policy, Score};
use crate::request::{Overflow, Targets};
use crate::shape::{Requirement, untolerated};

/// The policy that ranked, and why not another.
pub(super) struct Ranking {
    pub(super) policy: &'static str,
    pub(super) fallback: Option<Fallback>,
}

impl<'a> Decision<'a> {
    /// Filters the clusters and ranks those that pass.
    pub(super) fn rank(&mut self, policy: &dyn Policy) -> Ranking {
        let candidates = self.candidates();
        self.drop_unknown();
        let inputs = &self.request.inputs;
        let (scores, used, fallback) = match policy.score(&candidates, inputs) {
            Ok(scores) => (scores, policy.name(), None),
            Err(missing) => {
                let used = policy::FALLBACK;
                let scores = used.score(&candidates, inputs).unwrap_or_default();
                // Of clusters that were all named, none is chosen by rank.
                let matters = matches!(self.request.targets, Targets::Chosen { .. });
                let fallback = Fallback {
                    requested: policy.name(),
                    used: used.name(),
                    missing: missing.0,
                };
                (scores, used.name(), matters.then_some(fallback))
            }
        };
        for (candidate, score) in candidates.into_iter().zip(scores) {
            self.add_ranked(&candidate, score);
        }
        self.ranked.sort_by(|a, b| {
            let by_score = b.score.total_cmp(&a.score);
            a.cluster
                .role
                .cmp(&b.cluster.role)
                .then(by_score)
                .then_with(|| a.cluster.name.cmp(&b.cluster.name))
        });
        let names = self.ranked.iter().map(|one| &one.cluster.name);
        self.ranks = names.zip(0..).collect();
        Ranking {
            policy: used,
            fallback,
        }
    }

    /// The clusters that pass the filters, by name. Of the others, some keep what they have.
    fn candidates(&mut self) -> Vec<Candidate<'a>> {
        let (snapshot, request) = (self.snapshot, self.request);
        let rooms = snapshot.rooms(request.shape, request.owner);
        let requirements = &request.eligibility.labels;
        let requirements: Vec<_> = requirements.iter().cloned().map(Arc::new).collect();
        let mut candidates = Vec::new();
        for (cluster, member) in snapshot.members() {
            let position = self.named.get(&cluster.name).copied();
            if let Some(filter) = self.filter(cluster, position, &requirements) {
                self.drop_cluster(cluster, position, filter);
                continue;
            }
            let current = self.current.get(&cluster.name);
            let room = match current {
                Some(current) if !request.resizable && current.replicas > 0 => {
                    u64::from(current.replicas)
                }
                _ => {
                    let limit = request.limits.get(&cluster.name);
                    let most = limit.map_or(u64::MAX, |limit| u64::from(*limit));
                    rooms.on(member).min(most)
                }
            };
            candidates.push(Candidate {
                cluster,
                room,
                position,
            });
        }
        candidates
    }

    /// A cluster gets nothing new. It keeps what it has, unless that has to leave.
    fn drop_cluster(&mut self, cluster: &'a Cluster, position: Option<usize>, filter: Filter) {
        let keeps = match &filter {
            Filter::Unreachable | Filter::Cordoned => true,
            Filter::Tainted(taint) => taint.effect != TaintEffect::NoExecute,
            _ => false,
        };
        // One that is named keeps its share even when locations are chosen again.
        let stays = !self.rechooses() || position.is_some();
        let current = self.current.get(&cluster.name);
        if let Some(current) = current.filter(|_| keeps && stays) {
            self.keeping.insert(&cluster.name, current.replicas);
        }
        self.dropped.insert(&cluster.name, filter);
    }

    /// Names that are no clusters'.
    fn drop_unknown(&mut self) {
        if let Targets::Given(targets) = &self.request.targets {
            for target in targets {
                if self.snapshot.cluster(&target.cluster).is_none() {
                    self.dropped.insert(&target.cluster, Filter::Unknown);
                }
            }
        }
    }

    fn add_ranked(&mut self, candidate: &Candidate<'a>, score: Score) {
        let (score, parts) = match score {
            Score::Value { score, parts } => (score, parts),
            Score::Dropped(filter) => {
                let name = &candidate.cluster.name;
                let has_some = !self.rechooses() && self.current.contains_key(name);
                // Full is no reason to take away what runs, or to leave out what was named.
                if !has_some && candidate.position.is_none() {
                    self.dropped.insert(name, filter);
                    return;
                }
                (f64::NEG_INFINITY, Vec::new())
            }
        };
        self.ranked.push(Ranked {
            cluster: candidate.cluster,
            room: candidate.room,
            score,
            parts,
        });
    }

    /// Why a cluster gets nothing new, if it does not.
    fn filter(
        &self,
        cluster: &Cluster,
        position: Option<usize>,
        requirements: &[Arc<Requirement>],
    ) -> Option<Filter> {
        let request = self.request;
        let tainted = |effect: TaintEffect| {
            let tolerations = &request.eligibility.tolerations;
            let taint = untolerated(&cluster.taints, tolerations, &[effect]);
            taint.cloned().map(Filter::Tainted)
        };
        let mismatch = || {
            let label = |key: &str| cluster.labels.get(key).map(String::as_str);
            let mut requirements = requirements.iter();
            let mismatch = requirements.find(|one| !one.holds(label(&one.key)));
            mismatch.cloned().map(Filter::SelectorMismatch)
        };
        let is_given = matches!(request.targets, Targets::Given(_));
        let is_named = position.is_some();
        let when = |condition: bool, filter: Filter| condition.then_some(filter);
        when(cluster.health == Health::Lost, Filter::Lost)
            .or_else(|| when(cluster.health == Health::Leaving, Filter::Leaving))
            .or_else(|| tainted(TaintEffect::NoExecute))
            .or_else(|| when(cluster.health == Health::Unreachable, Filter::Unreachable))
            .or_else(|| tainted(TaintEffect::NoSchedule))
            .or_else(|| when(cluster.unschedulable, Filter::Cordoned))
            .or_else(mismatch)
            .or_else(|| {
                let stands_alone = request.overflow == Overflow::None;
                when(is_given && !is_named && stands_alone, Filter::NotNamed)
            })
            .or_else(|| {
                let is_allowed = request.eligibility.cloud || is_named;
                when(
                    cluster.role == Role::Cloud && !is_allowed,
                    Filter::CloudNotAllowed,
                )
            })
    }
}
