//! `nearest`: the cluster with the shortest round-trip time to where the users are first.

use super::{Candidate, Missing, Policy, Score, each, plain};
use crate::request::Inputs;

pub(super) struct Nearest;

impl Policy for Nearest {
    fn name(&self) -> &'static str {
        "nearest"
    }

    fn score(
        &self,
        candidates: &[Candidate<'_>],
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Score>, Missing> {
        if inputs.origins.is_empty() {
            return Err(Missing("origin"));
        }
        let millis = |one: &Candidate<'_>| {
            let times = inputs
                .origins
                .iter()
                .filter_map(|origin| inputs.proximity?.rtt(origin, &one.cluster.name));
            times.min().map(|time| time.as_secs_f64() * 1000.0)
        };
        if inputs.proximity.is_none() || candidates.iter().all(|one| millis(one).is_none()) {
            return Err(Missing("round-trip times"));
        }
        Ok(each(candidates, |one| match millis(one) {
            Some(millis) => plain("ms to origin", millis, -millis),
            // Behind all whose distance is known.
            None => Score::Value {
                score: f64::NEG_INFINITY,
                parts: Vec::new(),
            },
        }))
    }
}
