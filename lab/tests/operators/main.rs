//! The frame of the operators, in virtual time: an operator that joins by one line, its connections
//! to the members, and the statuses that it applies.

// Everything here is test code, also what is in no test function.
#![allow(clippy::unwrap_used)]

mod census;
mod connections;
mod statuses;

use std::collections::BTreeMap;
use std::time::Duration;

use lab::simulated::Options;
use lab::simulation::Error;
use tokio::time::sleep;

fn three_members() -> BTreeMap<String, Options> {
    (1..=3)
        .map(|number| (format!("cluster{number}"), Options::uniform(2)))
        .collect()
}

/// Waits until `check` gives a value, for ten minutes of virtual time at most.
async fn eventually<T>(
    what: &str,
    mut check: impl AsyncFnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    for _ in 0..6000 {
        if let Some(seen) = check().await? {
            return Ok(seen);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(format!("{what}: not within ten minutes").into())
}
