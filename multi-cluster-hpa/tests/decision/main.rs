//! What the autoscaler decides, from the outside: clusters with pods and their load in, replicas and
//! their reasons out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests; clippy only knows the test functions themselves"
)]

mod attribution;
mod global;
mod layout;
mod limits;
mod per_cluster;
mod properties;
mod traffic;
mod world;
