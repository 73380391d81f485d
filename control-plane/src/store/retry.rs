//! When a disk that fails is tried again, if nobody writes meanwhile.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// After a failure, and at most between two attempts.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// What comes next to the thread that writes.
pub(super) enum Next<T> {
    Request(T),
    /// It is time to try the disk.
    Try,
    /// Nobody can ask any more.
    End,
}

/// How long to wait for the next request.
#[derive(Default)]
pub(super) struct Retry {
    /// None as long as the disk is good.
    wait: Option<Duration>,
    /// Made when it is needed first.
    clock: Option<Runtime>,
}

impl Retry {
    /// The disk has failed, once more or for the first time; or it has not.
    pub(super) fn note(&mut self, is_failing: bool) {
        let longer = |wait: Duration| (wait * 2).min(LONGEST);
        self.wait = is_failing.then(|| self.wait.map_or(FIRST, longer));
    }

    /// Blocks until there is something to do.
    pub(super) fn next<T>(&mut self, requests: &mut mpsc::Receiver<T>) -> Next<T> {
        let received = match (self.wait, self.clock()) {
            (Some(wait), Some(clock)) => {
                let received = clock.block_on(async { timeout(wait, requests.recv()).await });
                match received {
                    Ok(received) => received,
                    Err(_) => return Next::Try,
                }
            }
            _ => requests.blocking_recv(),
        };
        received.map_or(Next::End, Next::Request)
    }

    /// None if the disk is good, or time can't be told.
    fn clock(&mut self) -> Option<&Runtime> {
        if self.wait.is_some() && self.clock.is_none() {
            self.clock = Builder::new_current_thread().enable_time().build().ok();
        }
        self.clock.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rare_and_begin_again_after_a_success() {
        let mut retry = Retry::default();
        let mut waits = Vec::new();
        for is_failing in [[true; 12].as_slice(), &[false, true]].concat() {
            retry.note(is_failing);
            waits.push(retry.wait.map(|wait| wait.as_millis()));
        }
        assert_eq!(waits[..3], [Some(100), Some(200), Some(400)]);
        assert_eq!(
            waits[9..],
            [Some(30_000), Some(30_000), Some(30_000), None, Some(100)]
        );
    }
}
