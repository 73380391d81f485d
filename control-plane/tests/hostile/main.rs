//! Hostile input against a server in a process of its own, under a memory limit, while its health
//! is watched.
//!
//! `HOSTILE_SECONDS` is how long random input is tried (default 20); `HOSTILE_SEED` repeats a run,
//! which prints its seed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fuzz;
mod input;
mod reviews;
mod server;
