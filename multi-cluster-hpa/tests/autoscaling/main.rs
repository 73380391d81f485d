//! The autoscaler beside the scheduler, on simulated clusters in virtual time: what a user sees on
//! the hub.

// Everything here is test code, also what is in no test function.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod admission;
mod clocks;
mod crowd;
mod day;
mod faults;
mod fixture;
mod load;
mod prometheus;
mod refusals;
mod simulated;
