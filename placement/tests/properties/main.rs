//! What holds for every input, checked against a naive model. A failing case is printed as the
//! smallest that still fails.

// Helpers of tests are tests to everyone but the lint.
#![allow(clippy::unwrap_used)]

mod model;
mod policies;
mod snapshot;
