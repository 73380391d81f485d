//! Waiting for a state.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// The longest that anything awaited may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

/// Waits until `check` gives `Ok`; the last `Err` says what was seen instead.
pub async fn eventually(
    what: &str,
    mut check: impl AsyncFnMut() -> Result<Result<(), String>>,
) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    loop {
        match check().await? {
            Ok(()) => return Ok(()),
            Err(seen) if Instant::now() > limit => {
                bail!("{what}: not within {PATIENCE:?}; seen last: {seen}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// What a check gives: nothing when it holds, else what is seen.
pub fn holds(holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(seen()) }
}
