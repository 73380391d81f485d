//! `random`: an order drawn from a seed; the baseline of every comparison.

use super::{Candidate, Missing, Policy, Score, each, plain};
use crate::request::Inputs;

pub(super) struct Random;

impl Policy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn score(
        &self,
        candidates: &[Candidate<'_>],
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Score>, Missing> {
        Ok(each(candidates, |one| {
            // Drawn for each name independently, so a cluster that joins does not reshuffle the rest.
            let name = one.cluster.name.as_str().bytes();
            let state = name.fold(inputs.seed, |state, byte| {
                splitmix64(state ^ u64::from(byte))
            });
            let draw = (splitmix64(state) >> 11) as f64 / (1_u64 << 53) as f64;
            plain("draw", draw, draw)
        }))
    }
}

/// Sebastiano Vigna's `SplitMix64` (<https://prng.di.unimi.it/splitmix64.c>): its numbers do not
/// change with a library's release.
fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
