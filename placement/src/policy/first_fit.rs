//! `first_fit`: the first cluster by name that takes a replica.

use super::{Candidate, Missing, Policy, Score, by_name_order, plain};
use crate::plan::Filter;
use crate::request::Inputs;

pub(super) struct FirstFit;

impl Policy for FirstFit {
    fn name(&self) -> &'static str {
        "first_fit"
    }

    fn score(&self, candidates: &[Candidate<'_>], _: &Inputs<'_>) -> Result<Vec<Score>, Missing> {
        let verdict = |(one, place): (&Candidate<'_>, usize)| match one.room {
            0 => Score::Dropped(Filter::NoRoom),
            _ => plain("place by name", place as f64 + 1.0, -(place as f64)),
        };
        Ok(candidates
            .iter()
            .zip(by_name_order(candidates))
            .map(verdict)
            .collect())
    }
}
