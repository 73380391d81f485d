//! What runs elsewhere, because its location had no room, comes back when there has been room for a
//! while.
//!
//! Moving costs, and room may be there for a moment only: between two pods of a rollout, say. So a
//! location must have had room at every look for `--return-after`. What a deployment is decided
//! anew for besides, its spec or a cluster, brings it back at once.

use std::time::Duration;

use federation::operator::queue::Priority;
use tokio::time::Instant;

use crate::reconcile::decide;
use crate::scheduler::Scheduler;
use crate::state::State;
use crate::validate::validate;
use crate::workload::{Key, Kind};

/// Replicas of a deployment that run elsewhere than at their location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// How many.
    pub replicas: u32,
    /// Since when some of them could be at home.
    pub room_since: Option<Instant>,
}

impl State {
    /// A deployment was decided: so many of its replicas are away. A job's pods are never moved.
    pub(crate) fn note_away(&mut self, key: &Key, replicas: u32) {
        if replicas == 0 || key.kind != Kind::Deployment {
            self.away.remove(key);
            return;
        }
        let before = self.away.get(key).filter(|away| away.replicas == replicas);
        let room_since = before.and_then(|away| away.room_since);
        let away = Away {
            replicas,
            room_since,
        };
        self.away.insert(key.clone(), away);
    }

    /// The deployments whose locations have had room for what is away for so long.
    fn to_return(&mut self, after: Duration, now: Instant) -> Vec<Key> {
        let mut away = std::mem::take(&mut self.away);
        let mut due = Vec::new();
        for (key, away) in &mut away {
            away.room_since = if self.could_return(key, away.replicas) {
                Some(away.room_since.unwrap_or(now))
            } else {
                None
            };
            if away.room_since.is_some_and(|since| now >= since + after) {
                // If the decision is another one after all, it waits again.
                away.room_since = None;
                due.push(key.clone());
            }
        }
        self.away = away;
        due
    }

    /// Whether fewer replicas would be away if it were decided now.
    fn could_return(&self, key: &Key, away: u32) -> bool {
        let workload = self.workloads.get(key).map(|tracked| &tracked.workload);
        let decided = workload.and_then(|workload| {
            let validated = validate(workload).ok()?;
            decide(self, workload, &validated, None)
        });
        decided.is_some_and(|decided| decided.away < away)
    }
}

impl Scheduler {
    /// Decides anew what can return.
    pub(crate) fn return_what_is_away(&self) {
        let due = self
            .state()
            .to_return(self.options.return_after, Instant::now());
        for key in due {
            self.queue.add(key, Priority::Low);
        }
    }
}
