//! Replicas that a member's own scheduler cannot place are placed elsewhere, where they may be.
//!
//! Room is counted by requests and node selectors; a member's scheduler knows more: volumes, plugins,
//! reservations. When pods of ours have been unschedulable there for `--unschedulable-after`, the
//! cluster is limited to what it does run of the object, for ten times as long, and the rest is decided
//! again. After that it may have more again; if its scheduler still cannot place it, the limit comes
//! back for twice as long. What has no other place stays where it waits.

use std::collections::BTreeMap;
use std::time::Duration;

use federation::operator::queue::Priority;
use placement::ClusterName;
use tokio::time::Instant;
use tracing::info;

use crate::reconcile::plan;
use crate::scheduler::Scheduler;
use crate::state::State;
use crate::validate::validate;
use crate::workload::{Key, Kind};

/// How many times as long as pods may be unschedulable a cluster stays limited.
const FACTOR: u32 = 10;
/// The longest limit.
const LONGEST: Duration = Duration::from_hours(24);

/// What a cluster is limited to, because its scheduler cannot place more.
#[derive(Clone, Debug)]
pub struct Limit {
    replicas: u32,
    until: Instant,
    lasts: Duration,
    is_over: bool,
    /// What the member says of the pods that it cannot schedule.
    said: String,
}

impl Limit {
    /// For people.
    pub fn problem(&self) -> String {
        format!(
            "gets no more than {} replicas for now, because its scheduler could not place more: {}",
            self.replicas, self.said
        )
    }
}

/// Pods of an object that a member cannot schedule.
struct Stuck {
    key: Key,
    cluster: ClusterName,
    pods: u32,
    said: String,
}

impl State {
    /// What clusters are limited to for an object now.
    pub(crate) fn limits(&self, key: &Key) -> BTreeMap<ClusterName, u32> {
        let limits = self.workloads.get(key).map(|tracked| &tracked.limits);
        let active = limits
            .into_iter()
            .flatten()
            .filter(|(_, limit)| !limit.is_over);
        active
            .map(|(cluster, limit)| (cluster.clone(), limit.replicas))
            .collect()
    }

    /// The deployments that are to be decided again, because of new limits.
    fn limit_unschedulable(&mut self, after: Duration, now: Instant) -> Vec<Key> {
        self.end_limits(now);
        let stuck = self.stuck(after).into_iter();
        stuck
            .filter(|stuck| self.limit(stuck, after, now))
            .map(|stuck| stuck.key)
            .collect()
    }

    /// What is over is remembered for a while, so that a limit that comes back lasts longer.
    fn end_limits(&mut self, now: Instant) {
        let mut ended = Vec::new();
        for (key, tracked) in &mut self.workloads {
            for limit in tracked.limits.values_mut() {
                if limit.until <= now && !limit.is_over {
                    limit.is_over = true;
                    ended.push(key.clone());
                }
            }
            (tracked.limits).retain(|_, limit| now < limit.until + limit.lasts);
        }
        ended.iter().for_each(|key| self.look_home_again(key));
    }

    fn stuck(&self, after: Duration) -> Vec<Stuck> {
        let mut all = Vec::new();
        for (cluster, registered) in &self.members {
            let Some(member) = registered.member.as_ref().filter(|_| registered.is_open()) else {
                continue;
            };
            for (owner, pods) in member.unschedulable(after) {
                // A job's pods are never moved.
                let key = self.owners.get(&owner);
                if let Some(key) = key.filter(|key| key.kind == Kind::Deployment) {
                    let diagnosis = member.diagnosis(owner, key.kind.on_members());
                    all.push(Stuck {
                        key: key.clone(),
                        cluster: cluster.clone(),
                        pods,
                        said: diagnosis.map(|one| one.message).unwrap_or_default(),
                    });
                }
            }
        }
        all
    }

    /// Limits a cluster, unless it is limited already; whether that makes replicas go elsewhere.
    fn limit(&mut self, stuck: &Stuck, after: Duration, now: Instant) -> bool {
        let (cluster, said) = (&stuck.cluster, stuck.said.clone());
        let Some(tracked) = self.workloads.get_mut(&stuck.key) else {
            return false;
        };
        let placements = tracked.assignment.placements.iter();
        let share = placements
            .filter(|one| one.cluster == cluster.as_str() && one.leaving == 0)
            .map(|one| one.replicas)
            .find(|replicas| *replicas > 0);
        let before = tracked.limits.get(cluster);
        let Some(share) = share.filter(|_| before.is_none_or(|limit| limit.is_over)) else {
            return false;
        };
        let lasts = before.map_or(after.saturating_mul(FACTOR), |limit| limit.lasts * 2);
        let lasts = lasts.min(LONGEST);
        let limit = Limit {
            replicas: share.saturating_sub(stuck.pods),
            until: now + lasts,
            lasts,
            is_over: false,
            said,
        };
        tracked.limits.insert(cluster.clone(), limit);
        let moves = self.share_now(&stuck.key, cluster) < share;
        if !moves
            && let Some(tracked) = self.workloads.get_mut(&stuck.key)
            && let Some(limit) = tracked.limits.get_mut(cluster)
        {
            // There may be room elsewhere soon.
            (limit.until, limit.lasts) = (now + after, lasts / 2);
        }
        moves
    }

    /// What a cluster would have if it were decided now.
    fn share_now(&self, key: &Key, cluster: &ClusterName) -> u32 {
        let workload = self.workloads.get(key).map(|tracked| &tracked.workload);
        let plan = workload.and_then(|workload| {
            let validated = validate(workload).ok()?;
            plan(self, workload, &validated, None)
        });
        plan.map_or(u32::MAX, |(plan, _)| {
            let placements = plan.placements.iter();
            let shares = placements.filter(|one| one.cluster == *cluster);
            shares.map(|one| one.replicas).sum()
        })
    }
}

impl Scheduler {
    /// Decides again what members cannot schedule.
    pub(crate) fn place_unschedulable_elsewhere(&self) {
        let after = self.options.unschedulable_after;
        if after.is_zero() {
            return;
        }
        let due = self.state().limit_unschedulable(after, Instant::now());
        for key in due {
            info!(%key, "has replicas that a member cannot schedule: they are placed elsewhere");
            self.queue.add(key, Priority::Low);
        }
    }
}
