//! Bursts: many objects changed within a moment.
//!
//! In a burst the hub is written before the members, and statuses after them. The first Deployment
//! that a member gets sets its controllers to work, and all that they do (replica sets, pods,
//! events) competes with the writes that are still to come; so does every status for the hub.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many changes within [`WINDOW`] are a burst.
pub const MANY: usize = 8;
/// The time in which changes are counted.
const WINDOW: Duration = Duration::from_millis(500);
/// A burst is over when nothing has changed for this long.
const PAUSE: Duration = Duration::from_millis(120);

/// The last changes.
#[derive(Debug, Default)]
pub struct Burst {
    last: VecDeque<Instant>,
}

impl Burst {
    /// An object appeared, or its spec changed.
    pub fn change(&mut self, now: Instant) {
        if self.last.len() == MANY {
            self.last.pop_front();
        }
        self.last.push_back(now);
    }

    /// Changes are still coming in, many of them.
    pub fn is_on(&self, now: Instant) -> bool {
        self.last.len() == MANY
            && self
                .last
                .front()
                .is_some_and(|first| now.duration_since(*first) < WINDOW)
            && self
                .last
                .back()
                .is_some_and(|last| now.duration_since(*last) < PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(changes: usize, apart: u64, pause: u64) -> bool {
        let start = Instant::now();
        let mut burst = Burst::default();
        let mut now = start;
        for _ in 0..changes {
            now += Duration::from_millis(apart);
            burst.change(now);
        }
        burst.is_on(now + Duration::from_millis(pause))
    }

    #[test]
    fn many_changes_in_a_moment_are_a_burst_until_a_pause() {
        assert!(after(8, 5, 0));
        assert!(after(200, 5, 119));
        assert!(!after(200, 5, 120), "it is over");
        assert!(!after(7, 5, 0), "a few are none");
        assert!(!after(200, 80, 0), "nor are many one after the other");
    }
}
