//! A status that another client has wiped or replaced is written again.

use std::time::Duration;

use federation::operator::pace::Pace;
use tokio::time::Instant;

/// What becomes of the status that we write.
#[derive(Debug, Default)]
pub struct StatusGuard {
    /// The version of the object after our last write.
    written: u64,
    /// The hub has another one instead.
    replaced: Option<Replaced>,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Replaced {
    version: u64,
    pace_before: Option<Pace>,
}

impl StatusGuard {
    /// The status was written, and the object has this version since.
    pub fn wrote(&mut self, version: u64) {
        self.written = self.written.max(version);
        // What was seen meanwhile was this write, or what it has written over.
        if let Some(replaced) = self.replaced.take_if(|one| one.version <= version)
            && replaced.version == version
        {
            self.pace = replaced.pace_before;
        }
    }

    /// The hub has the object with this status in this version; `reported` is what it should be. If it
    /// is not, how long to wait until it is written again: a client that replaces it each time is not
    /// answered at once.
    pub fn seen<S: PartialEq>(
        &mut self,
        version: u64,
        status: &S,
        reported: &S,
        now: Instant,
    ) -> Option<Duration> {
        // What was there before our own write comes late.
        if version <= self.written {
            return None;
        }
        if status == reported {
            self.replaced = None;
            return None;
        }
        if let Some(replaced) = &mut self.replaced {
            replaced.version = version;
        } else {
            self.replaced = Some(Replaced {
                version,
                pace_before: self.pace,
            });
            self.pace.get_or_insert_with(|| Pace::new(now)).undone(now);
        }
        let due = self.pace.as_ref().map_or(now, Pace::due);
        Some(due.saturating_duration_since(now))
    }

    /// It was replaced and may be written again.
    pub fn must_write(&self, now: Instant) -> bool {
        self.replaced.is_some() && self.pace.is_none_or(|pace| pace.due() <= now)
    }

    /// The version of the object after our last write.
    pub fn written(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use federation::api::WorkloadStatus;

    fn placed(replicas: u32) -> WorkloadStatus {
        WorkloadStatus {
            replicas,
            ..WorkloadStatus::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_is_not_ours_is_told_from_an_older_one_of_ours() {
        let (mut guard, now) = (StatusGuard::default(), Instant::now());
        guard.wrote(10);
        let ours = placed(2);
        assert_eq!(guard.seen(9, &placed(1), &ours, now), None);
        assert_eq!(guard.seen(10, &ours, &ours, now), None);
        assert!(!guard.must_write(now));
        assert_eq!(guard.seen(11, &placed(0), &ours, now), Some(Duration::ZERO));
        assert!(guard.must_write(now));
        // The spec changes, and the status is still not ours.
        assert_eq!(guard.seen(12, &placed(0), &ours, now), Some(Duration::ZERO));
        guard.wrote(13);
        assert!(!guard.must_write(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_of_ours_that_is_seen_before_it_is_answered_is_none_of_others() {
        let (mut guard, now) = (StatusGuard::default(), Instant::now());
        guard.seen(5, &placed(2), &placed(1), now);
        guard.wrote(5);
        assert!(!guard.must_write(now));
        assert_eq!(
            guard.seen(6, &placed(0), &placed(2), now),
            Some(Duration::ZERO)
        );
        // One that came after it stays known.
        guard.wrote(7);
        guard.seen(9, &placed(0), &placed(2), now);
        guard.wrote(8);
        assert_eq!(guard.replaced.map(|one| one.version), Some(9));
    }

    #[tokio::test(start_paused = true)]
    async fn who_replaces_it_each_time_is_answered_later_each_time() {
        let (mut guard, now) = (StatusGuard::default(), Instant::now());
        let mut waits = Vec::new();
        for version in 1..5 {
            let wait = guard
                .seen(version * 2, &placed(0), &placed(2), now)
                .unwrap();
            waits.push(wait.as_secs());
            assert_eq!(guard.must_write(now), wait.is_zero());
            tokio::time::advance(wait).await;
            guard.wrote(version * 2 + 1);
        }
        assert_eq!(waits[0], 0);
        let late = Instant::now();
        let wait = guard.seen(100, &placed(0), &placed(2), late).unwrap();
        assert!(wait > Duration::from_secs(1), "{wait:?}");
    }
}
