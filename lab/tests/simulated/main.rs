//! Simulated clusters, as a user of their API servers sees them: in virtual time, in this process.

mod deployments;
mod fixture;
mod jobs;
mod metrics;
mod nodes;
mod pods;
mod scale;
