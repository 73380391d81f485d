//! How many files and connections this process may have open.

use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::debug;

/// Files that are kept for what is no connection: logs, listeners, connections to others.
const RESERVE: u64 = 256;

/// Connections at most, however many files there may be.
const MOST: u64 = 10_000;

/// How many connections may be open. Raises the soft limit of files to the hard one, as programs
/// in Go do.
pub(super) fn connections() -> usize {
    static CONNECTIONS: LazyLock<u64> = LazyLock::new(|| {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        let soft = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(error) => {
                debug!(%error, "the limit of open files can't be raised");
                limit.current
            }
        };
        let files = soft.unwrap_or(u64::MAX);
        // Of few files, a quarter is kept.
        files.saturating_sub(RESERVE.min(files / 4)).min(MOST)
    });
    usize::try_from(*CONNECTIONS).unwrap_or(usize::MAX)
}
