//! Proximity and traffic against the real programs: serf agents and a Prometheus server.

#![expect(
    clippy::unwrap_used,
    reason = "the functions around the tests are tests too"
)]

mod programs;
mod prometheus;
mod serf;
