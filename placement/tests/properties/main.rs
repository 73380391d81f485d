//! What holds for every input, checked against a naive model. A failing case is printed with the
//! seed that replays it (proptest keeps it in `proptest-regressions`).

// Helpers of tests are tests to everyone but the lint.
#![allow(clippy::unwrap_used)]

mod model;
mod policies;
mod snapshot;
