//! `best_fit`: the cluster with the least room that still takes a replica, which packs.

use super::{Candidate, Missing, Policy, Score, each, plain};
use crate::plan::Filter;
use crate::request::Inputs;

pub(super) struct BestFit;

impl Policy for BestFit {
    fn name(&self) -> &'static str {
        "best_fit"
    }

    fn score(&self, candidates: &[Candidate<'_>], _: &Inputs<'_>) -> Result<Vec<Score>, Missing> {
        Ok(each(candidates, |one| match one.room {
            0 => Score::Dropped(Filter::NoRoom),
            room => plain("room", room as f64, -(room as f64)),
        }))
    }
}
