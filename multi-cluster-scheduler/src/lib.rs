//! The multi-cluster scheduler: places `MultiClusterDeployment`s, `MultiClusterJob`s and
//! `MultiClusterService`s on member clusters.
//!
//! An object's way is in [`reconcile`]; what is decided is the `placement` crate's; what is written
//! to members is `federation::members`'.

mod announce;
mod args;
mod bundles;
mod burst;
mod conditions;
mod connections;
mod decide;
mod dependencies;
mod failover;
mod finalize;
mod hub;
mod hub_watches;
mod identity;
mod localized;
mod member_status;
mod metrics;
mod overrides;
pub mod reconcile;
mod record;
mod references;
mod registry;
mod report;
mod returning;
mod run;
mod scheduler;
mod seen;
mod sources;
mod state;
mod status_guard;
mod unschedulable;
mod validate;
mod workload;

pub use run::MultiClusterScheduler;
pub use sources::ProximitySource;
