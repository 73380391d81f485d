//! Simulated clusters, as a user of their API servers sees them: in virtual time, in this process.

// Everything here is test code, also what is in no test function.
#![allow(clippy::unwrap_used, clippy::panic)]

mod churn;
mod clocks;
mod deployments;
mod fixture;
mod jobs;
mod metrics;
mod nodes;
mod pods;
mod scale;
