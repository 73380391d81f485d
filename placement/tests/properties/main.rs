//! What holds for every input, checked against a naive model. A failing case is printed as the
//! smallest that still fails, with the seed that replays the run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests; clippy only knows the test functions themselves"
)]

mod fork;
mod growth;
mod holds;
mod model;
mod peers;
mod policies;
mod snapshot;
mod summary;

use std::hash::{BuildHasher as _, RandomState};

use proptest::test_runner::{Config, RngSeed};

/// Cases from a seed that a failing test prints; `PROPTEST_RNG_SEED` replays it.
fn config() -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(RandomState::new().hash_one(()));
    }
    println!("replay with PROPTEST_RNG_SEED={}", config.rng_seed);
    config
}
