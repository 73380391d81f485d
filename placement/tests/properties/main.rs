//! What holds for every input, checked against a naive model. A failing case is printed with the
//! seed that replays it (proptest keeps it in `proptest-regressions`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests; clippy only knows the test functions themselves"
)]

mod model;
mod policies;
mod snapshot;
