//! How fast something is done again that another program undoes each time.

use std::time::Duration;

use tokio::time::Instant;

use super::queue::Backoff;

/// The first repetition is immediate; then the waits grow.
const WAITS: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_mins(5),
};

/// What has not been undone for this long is over.
pub const CALM: Duration = Duration::from_mins(10);

/// How often something was undone of late, and when it may be done again.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    undone: u32,
    last: Instant,
    due: Instant,
}

impl Pace {
    /// Nothing was undone yet.
    pub fn new(now: Instant) -> Self {
        Self {
            undone: 0,
            last: now,
            due: now,
        }
    }

    /// It was undone: when it may be done again. What was undone once more before that counts as
    /// the same time.
    pub fn undone(&mut self, now: Instant) -> Instant {
        if now < self.due {
            return self.due;
        }
        if self.is_over(now) {
            self.undone = 0;
        }
        let wait = match self.undone {
            0 => Duration::ZERO,
            before => WAITS.after(before),
        };
        self.undone = self.undone.saturating_add(1);
        self.last = now;
        self.due = now + wait;
        self.due
    }

    /// When it may be done again.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// How often it was undone without a calm in between.
    pub fn times(&self) -> u32 {
        self.undone
    }

    /// When it counts as over, unless it is undone once more.
    pub fn ends(&self) -> Instant {
        self.last + CALM
    }

    /// It has not been undone for long.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.ends()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_a_calm() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..12 {
            let due = pace.undone(now);
            waits.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(!pace.is_over(now));
        now += CALM;
        assert!(pace.is_over(now));
        assert_eq!(pace.undone(now), now);
        assert_eq!(pace.times(), 1);
    }

    #[test]
    fn being_undone_again_while_it_waits_changes_nothing() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.undone(now);
        let due = pace.undone(now);
        assert_eq!(due, now + Duration::from_secs(1));
        assert_eq!(pace.undone(now + Duration::from_millis(500)), due);
        assert_eq!(pace.times(), 2);
    }
}
