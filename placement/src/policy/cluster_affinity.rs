//! `cluster_affinity`: the clusters that were named, in their order; others by name.

use super::{Candidate, Missing, Policy, Score, by_name_order, plain};
use crate::request::Inputs;

pub(super) struct ClusterAffinity;

impl Policy for ClusterAffinity {
    fn name(&self) -> &'static str {
        "cluster_affinity"
    }

    fn score(&self, candidates: &[Candidate<'_>], _: &Inputs<'_>) -> Result<Vec<Score>, Missing> {
        let named = candidates
            .iter()
            .filter(|one| one.position.is_some())
            .count();
        let verdict = |(one, place): (&Candidate<'_>, usize)| {
            let place = one.position.unwrap_or(named + place);
            plain("place", place as f64 + 1.0, -(place as f64))
        };
        Ok(candidates
            .iter()
            .zip(by_name_order(candidates))
            .map(verdict)
            .collect())
    }
}
