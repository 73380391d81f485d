//! The multi-cluster scheduler: places `MultiClusterDeployment`s, `MultiClusterJob`s and
//! `MultiClusterService`s on member clusters.
//!
//! An object's way is in `runtime/reconcile.rs`; what is decided is the `placement` crate's; what is written
//! to members is `federation::members`'.

mod args;
mod bundles;
mod burst;
mod conditions;
mod connections;
mod decide;
mod dependencies;
pub mod explain;
mod follow;
mod index;
mod localized;
mod member_report;
mod metrics;
mod overrides;
mod plan;
mod record;
mod references;
mod report;
mod run;
mod runtime;
mod seen;
mod sources;
mod status_guard;
mod unplaced;
mod validate;
mod workload;

pub use run::MultiClusterScheduler;
pub use sources::ProximitySource;
