//! What runs elsewhere, because its location had no room, comes back when there has been room for a
//! while.
//!
//! Moving costs, and room may be there for a moment only: between two pods of a rollout, say. So a
//! location must have had room at every look for `--return-after`. What a deployment is decided
//! anew for besides, its spec or a cluster, brings it back at once.

use std::cmp::Reverse;
use std::time::Duration;

use federation::operator::queue::Priority;
use placement::ClusterName;
use tokio::time::Instant;

use crate::reconcile::plan;
use crate::scheduler::Scheduler;
use crate::state::State;
use crate::validate::validate;
use crate::workload::{Key, Kind};

/// Replicas of a deployment that run elsewhere than at their location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// How many.
    replicas: u32,
    /// Since when some of them could be at home.
    room_since: Option<Instant>,
    /// The version of the locations' room that was looked at last.
    seen: Option<u64>,
}

impl State {
    /// A deployment was decided: so many of its replicas are away. A job's pods are never moved.
    pub(crate) fn note_away(&mut self, key: &Key, replicas: u32) {
        if replicas == 0 || key.kind != Kind::Deployment {
            self.away.remove(key);
            return;
        }
        let before = self.away.get(key).filter(|away| away.replicas == replicas);
        let fresh = Away {
            replicas,
            room_since: None,
            seen: None,
        };
        let away = before.copied().unwrap_or(fresh);
        self.away.insert(key.clone(), away);
    }

    /// Its locations may have more room than their nodes tell.
    pub(crate) fn look_home_again(&mut self, key: &Key) {
        if let Some(away) = self.away.get_mut(key) {
            away.seen = None;
        }
    }

    /// The deployments whose locations have had room for what is away for so long.
    fn due_to_return(&mut self, after: Duration, now: Instant) -> Vec<Key> {
        let mut away = std::mem::take(&mut self.away);
        let mut due = Vec::new();
        for (key, away) in &mut away {
            let version = self.room_at_home(key);
            // Where there was no room, there is none before some of it grows.
            if away.room_since.is_none() && away.seen == Some(version) {
                continue;
            }
            away.seen = Some(version);
            away.room_since = if self.could_return(key, away.replicas) {
                Some(away.room_since.unwrap_or(now))
            } else {
                None
            };
            if away
                .room_since
                .is_some_and(|since| now.duration_since(since) >= after)
            {
                // If the decision is another one after all, it waits again.
                away.room_since = None;
                due.push(key.clone());
            }
        }
        self.away = away;
        due.sort_by_cached_key(|key| (Reverse(self.priority(key)), key.clone()));
        due
    }

    fn priority(&self, key: &Key) -> i32 {
        let tracked = self.workloads.get(key);
        tracked.map_or(0, |tracked| tracked.workload.priority())
    }

    /// Grows whenever there may be more room at the locations.
    fn room_at_home(&self, key: &Key) -> u64 {
        let placements = self.workloads.get(key);
        let placements = placements.map(|tracked| &tracked.assignment.placements);
        let locations = placements.into_iter().flatten().filter(|one| one.location);
        let versions = locations.map(|one| {
            self.snapshot
                .version(&ClusterName::from(one.cluster.as_str()))
        });
        versions.sum()
    }

    /// Whether fewer replicas would be away if it were decided now.
    fn could_return(&self, key: &Key, away: u32) -> bool {
        let workload = self.workloads.get(key).map(|tracked| &tracked.workload);
        let plan = workload.and_then(|workload| {
            let validated = validate(workload).ok()?;
            plan(self, workload, &validated, None)
        });
        plan.is_some_and(|(plan, _)| plan.away < away)
    }
}

impl Scheduler {
    /// Decides anew what can return.
    pub(crate) fn return_what_is_away(&self) {
        let due = self
            .state()
            .due_to_return(self.options.return_after, Instant::now());
        for key in due {
            self.queue.add(key, Priority::Low);
        }
    }
}
