//! What a member refuses for good: it is tried again now and then, because the member's rules may
//! have changed, and not more often because it is handed over again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::operator::queue::Backoff;

const WAITS: Backoff = Backoff {
    first: Duration::from_secs(15),
    longest: Duration::from_mins(5),
};

/// Owners whose objects were refused: how often in a row, and until when they wait.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<u128, (u32, Instant)>>);

impl Refusals {
    /// It was refused once more: how long it waits.
    pub(super) fn refused(&self, owner: u128) -> Duration {
        let now = Instant::now();
        let mut owners = self.owners();
        let (times, until) = owners.entry(owner).or_insert((0, now));
        *times = times.saturating_add(1);
        let wait = WAITS.after(*times);
        *until = now + wait;
        wait
    }

    /// It was refused and its time has not come.
    pub(super) fn must_wait(&self, owner: u128) -> bool {
        let now = Instant::now();
        (self.owners().get(&owner)).is_some_and(|(_, until)| *until > now)
    }

    /// It is another object by now, or was taken.
    pub(super) fn forget(&self, owner: u128) {
        self.owners().remove(&owner);
    }

    fn owners(&self) -> MutexGuard<'_, BTreeMap<u128, (u32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_waits_longer_each_time() {
        let refusals = Refusals::default();
        assert!(!refusals.must_wait(7));
        let waits: Vec<_> = (0..6).map(|_| refusals.refused(7).as_secs()).collect();
        assert_eq!(waits, [15, 30, 60, 120, 240, 300]);
        assert!(refusals.must_wait(7));
        assert!(!refusals.must_wait(8));
        tokio::time::advance(Duration::from_mins(5)).await;
        assert!(!refusals.must_wait(7));
        refusals.refused(7);
        refusals.forget(7);
        assert!(!refusals.must_wait(7));
    }
}
