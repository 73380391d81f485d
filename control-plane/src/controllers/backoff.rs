//! How long until what has failed is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(30);

/// How long until what has failed is tried again: twice as long after each failure.
#[derive(Debug, Default)]
pub(super) struct Backoff(Option<Duration>);

impl Backoff {
    /// It has failed.
    pub(super) fn grow(&mut self) {
        let next = self.0.map_or(FIRST, |last| last * 2);
        self.0 = Some(next.min(LAST));
    }

    /// It has not failed.
    pub(super) fn reset(&mut self) {
        self.0 = None;
    }

    pub(super) fn wait(&self) -> Duration {
        self.0.unwrap_or(FIRST)
    }
}
