//! The multi-cluster scheduler: places `MultiClusterDeployment`s, `MultiClusterJob`s and
//! `MultiClusterService`s on member clusters.
//!
//! An object's way is in `runtime/reconcile.rs`; what is decided is the `placement` crate's; what is written
//! to members is `federation::members`'.

mod args;
mod bundles;
mod burst;
mod conditions;
mod decide;
mod dependencies;
mod follow;
mod index;
mod localized;
mod metrics;
mod overrides;
mod plan;
mod record;
mod references;
mod report;
mod run;
mod runtime;
mod seen;
mod serve;
mod sources;
mod status_guard;
mod validate;
mod ways;
mod workload;

pub use args::{Args, DEFAULT_PORT};
pub use metrics::Metrics;
pub use run::{Context, RunError, lead, run};
pub use runtime::Options;
pub use serve::serve;
pub use sources::ProximitySource;
