//! `worst_fit`: the cluster with the most room first, which spreads the load.

use super::{Candidate, Missing, Policy, Score, each, plain};
use crate::request::Inputs;

pub(super) struct WorstFit;

impl Policy for WorstFit {
    fn name(&self) -> &'static str {
        "worst_fit"
    }

    fn score(&self, candidates: &[Candidate<'_>], _: &Inputs<'_>) -> Result<Vec<Score>, Missing> {
        Ok(each(candidates, |one| {
            plain("room", one.room as f64, one.room as f64)
        }))
    }
}
