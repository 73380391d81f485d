//! How far the member clusters are from each other.
//!
//! Two sources give the same [`RoundTripTimes`]: a serf agent that runs beside the hub
//! ([`serf`]), and a table that a person has written ([`matrix`]).

use std::collections::BTreeMap;
use std::time::Duration;

pub mod matrix;
pub mod serf;

/// Round-trip times by pair of names. The lesser name is first, and a pair that is not known is
/// not there.
pub type RoundTripTimes = BTreeMap<(String, String), Duration>;

/// The key of a pair: the lesser name first.
pub fn pair(one: &str, other: &str) -> (String, String) {
    let (lesser, greater) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    (lesser.to_owned(), greater.to_owned())
}
