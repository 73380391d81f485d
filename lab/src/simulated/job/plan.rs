//! How a Job goes on: what its pods have come to, how many it should have, and when it is over.

use std::time::Duration;

use jiff::Timestamp;

use crate::simulated::context::{after, until};

/// The waits after failed pods: 10 s, doubled with each failure, up to ten minutes.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));
/// At most so many pods are made or deleted in one go.
const BURST: i32 = 500;

/// What a Job's spec asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) parallelism: i32,
    /// None: it is complete when one pod has succeeded and the others have ended.
    pub(super) completions: Option<i32>,
    pub(super) backoff_limit: i32,
    /// The longest that it may take, from its start.
    pub(super) deadline: Option<Duration>,
    /// It shall have no pods for now.
    pub(super) suspended: bool,
    /// A pod that is to go is replaced only when it is gone (`podReplacementPolicy: Failed`).
    pub(super) replace_when_gone: bool,
}

/// Where a Job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) started: Option<Timestamp>,
    pub(super) active: i32,
    pub(super) terminating: i32,
    pub(super) succeeded: i32,
    pub(super) failed: i32,
    /// Restarts of containers of pods that are restarted where they are.
    pub(super) restarts: i32,
    /// Pods that failed since the last one succeeded, and when the last of them did.
    pub(super) failures: u32,
    pub(super) last_failure: Option<Timestamp>,
}

/// Why a Job is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    BackoffLimitExceeded,
    DeadlineExceeded,
}

impl End {
    /// The reason and the message of its conditions.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Complete => (
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            ),
            Self::BackoffLimitExceeded => (
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            ),
            Self::DeadlineExceeded => (
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            ),
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create(i32),
    Delete(i32),
    /// Nothing; look again then, if nothing happens before.
    Wait(Option<Duration>),
    /// It is over: what still runs goes.
    Finish(End),
}

/// What is to be done for a Job now.
pub(super) fn next(asked: &Asked, seen: &Seen, now: Timestamp) -> Step {
    if let Some(end) = end(asked, seen, now) {
        return Step::Finish(end);
    }
    let left = time_left(asked, seen, now);
    if asked.suspended {
        return match seen.active {
            0 => Step::Wait(None),
            active => Step::Delete(active),
        };
    }
    let want = wanted_active(asked, seen);
    if seen.active > want {
        return Step::Delete((seen.active - want).min(BURST));
    }
    let held = if asked.replace_when_gone {
        seen.terminating
    } else {
        0
    };
    let lacking = want - held - seen.active;
    if lacking <= 0 {
        return Step::Wait(left);
    }
    let backoff = seen.last_failure.map_or(Duration::ZERO, |last| {
        until(now, after(last, backoff(seen.failures)))
    });
    if !backoff.is_zero() {
        return Step::Wait(left.into_iter().chain([backoff]).min());
    }
    Step::Create(lacking.min(BURST))
}

fn end(asked: &Asked, seen: &Seen, now: Timestamp) -> Option<End> {
    let restarted = match asked.backoff_limit {
        0 => seen.restarts > 0,
        limit => seen.restarts >= limit,
    };
    if seen.failed > asked.backoff_limit || (seen.restarts > 0 && restarted) {
        return Some(End::BackoffLimitExceeded);
    }
    if time_left(asked, seen, now).is_some_and(|left| left.is_zero()) {
        return Some(End::DeadlineExceeded);
    }
    let complete = match asked.completions {
        None => seen.succeeded > 0 && seen.active == 0,
        Some(completions) => seen.succeeded >= completions,
    };
    (complete && !asked.suspended).then_some(End::Complete)
}

/// What is left of a Job's time; none if it has no deadline or does not run.
fn time_left(asked: &Asked, seen: &Seen, now: Timestamp) -> Option<Duration> {
    let started = seen.started.filter(|_| !asked.suspended)?;
    Some(until(now, after(started, asked.deadline?)))
}

/// How many pods should run.
fn wanted_active(asked: &Asked, seen: &Seen) -> i32 {
    match asked.completions {
        // After the first success the others only run to their end.
        None if seen.succeeded > 0 => seen.active,
        None => asked.parallelism,
        Some(completions) => (completions - seen.succeeded).min(asked.parallelism).max(0),
    }
}

/// The wait after so many failures in a row.
fn backoff(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    match failures {
        0 => Duration::ZERO,
        _ => BACKOFF.0.saturating_mul(factor).min(BACKOFF.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const ASKED: Asked = Asked {
        parallelism: 2,
        completions: Some(5),
        backoff_limit: 3,
        deadline: None,
        suspended: false,
        replace_when_gone: false,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seen(active: i32, succeeded: i32, failed: i32) -> Seen {
        Seen {
            started: Some(at(0)),
            active,
            succeeded,
            failed,
            ..Seen::default()
        }
    }

    const fn wait(seconds: u64) -> Step {
        Step::Wait(Some(Duration::from_secs(seconds)))
    }

    #[rstest]
    #[case(ASKED, seen(0, 0, 0), Step::Create(2))]
    #[case(ASKED, seen(1, 1, 0), Step::Create(1))]
    #[case(ASKED, seen(2, 2, 0), Step::Wait(None))]
    // Only one more is needed.
    #[case(ASKED, seen(1, 4, 0), Step::Wait(None))]
    #[case(ASKED, seen(0, 5, 0), Step::Finish(End::Complete))]
    #[case(ASKED, seen(1, 5, 0), Step::Finish(End::Complete))]
    #[case(ASKED, seen(1, 1, 4), Step::Finish(End::BackoffLimitExceeded))]
    #[case(Asked { parallelism: 1, ..ASKED }, seen(2, 0, 0), Step::Delete(1))]
    #[case(Asked { suspended: true, ..ASKED }, seen(2, 0, 0), Step::Delete(2))]
    #[case(Asked { completions: None, ..ASKED }, seen(0, 0, 0), Step::Create(2))]
    #[case(Asked { completions: None, ..ASKED }, seen(1, 1, 0), Step::Wait(None))]
    #[case(Asked { completions: None, ..ASKED }, seen(0, 1, 0), Step::Finish(End::Complete))]
    #[case(Asked { deadline: Some(Duration::from_secs(100)), ..ASKED }, seen(2, 0, 0), wait(50))]
    #[case(Asked { deadline: Some(Duration::from_secs(50)), ..ASKED }, seen(2, 0, 0),
        Step::Finish(End::DeadlineExceeded))]
    #[case(Asked { replace_when_gone: true, ..ASKED },
        Seen { terminating: 1, ..seen(1, 0, 0) }, Step::Wait(None))]
    // 20 s after the second failure in a row, of which 15 are over.
    #[case(ASKED, Seen { failures: 2, last_failure: Some(at(35)), ..seen(1, 0, 2) }, wait(5))]
    #[case(ASKED, Seen { restarts: 3, ..seen(1, 0, 0) }, Step::Finish(End::BackoffLimitExceeded))]
    fn what_is_done_after_50_seconds(#[case] asked: Asked, #[case] seen: Seen, #[case] step: Step) {
        assert_eq!(next(&asked, &seen, at(50)), step);
    }

    proptest! {
        /// However its pods end, a Job ends, never runs more pods at once than it may, and is
        /// complete just if enough have succeeded.
        #[test]
        fn a_job_ends(
            parallelism in 1..8_i32,
            completions in 1..20_i32,
            backoff_limit in 0..6_i32,
            ends in proptest::collection::vec(any::<bool>(), 200),
        ) {
            let asked = Asked { parallelism, completions: Some(completions), backoff_limit, ..ASKED };
            let mut seen = seen(0, 0, 0);
            let mut now = at(0);
            let mut ends = ends.into_iter();
            loop {
                match next(&asked, &seen, now) {
                    Step::Create(count) => seen.active += count,
                    Step::Wait(Some(wait)) => now = after(now, wait),
                    Step::Wait(None) => {
                        seen.active -= 1;
                        if ends.next() == Some(true) {
                            seen.succeeded += 1;
                            seen.failures = 0;
                            seen.last_failure = None;
                        } else {
                            seen.failed += 1;
                            seen.failures += 1;
                            seen.last_failure = Some(now);
                        }
                    }
                    Step::Delete(_) => prop_assert!(false, "nothing is too much"),
                    Step::Finish(end) => {
                        prop_assert_eq!(end == End::Complete, seen.succeeded >= completions);
                        prop_assert_eq!(end == End::BackoffLimitExceeded, seen.failed > backoff_limit);
                        break;
                    }
                }
                prop_assert!(seen.active <= parallelism);
                prop_assert!(seen.active + seen.succeeded <= completions);
            }
        }
    }
}
