//! Scales `MultiClusterDeployment`s from metrics.
//!
//! What decides is pure: [`calculator`] (one metric, one set of pods), [`behavior`] (how fast),
//! [`decision`] (all metrics, all clusters) and [`schedule`] (limits that hold for a time). None
//! reads a clock; history is a value that is passed in and comes out changed.
//!
//! Around it is the operator: it reads metrics from [`source`]s, decides, and writes the numbers
//! into the deployment on the hub. It never writes to a member.

mod act;
mod args;
pub mod behavior;
pub mod calculator;
mod controller;
pub mod decision;
mod evaluate;
mod hub_watches;
mod members;
mod metrics;
mod queries;
mod report;
mod run;
pub mod schedule;
pub mod source;
mod state;
mod status_format;
mod validate;

pub use run::MultiClusterHpa;
