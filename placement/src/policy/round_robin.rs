//! `round_robin`: each decision starts one cluster further, by name.

use super::{Candidate, Missing, Policy, Score, by_name_order, plain};
use crate::request::Inputs;

pub(super) struct RoundRobin;

impl Policy for RoundRobin {
    fn name(&self) -> &'static str {
        "round_robin"
    }

    fn score(
        &self,
        candidates: &[Candidate<'_>],
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Score>, Missing> {
        let count = candidates.len().max(1);
        let start = (inputs.cursor % count as u64) as usize;
        let turn = |place: usize| (place + count - start) % count;
        Ok(by_name_order(candidates)
            .into_iter()
            .map(|place| plain("turn", turn(place) as f64 + 1.0, -(turn(place) as f64)))
            .collect())
    }
}
