//! Makes, sizes and removes cloud clusters through Cluster API, for replicas that fit nowhere else.
//!
//! What decides is pure: [`plan`] says which machines to buy, [`decide`] what to do for a
//! `CloudProvisioner` now, [`objects`] what a cluster is made of. Everything that is known of a cluster
//! is read back from its objects ([`observed`]), whose first one records what is to be there before
//! anything is made; so a restart goes on where it was.
//!
//! Around them is the operator: it observes, decides, acts and reports. Machines are Cluster API's;
//! which replicas run there is the scheduler's business alone.

mod args;
mod cluster_api;
mod controller;
pub mod decide;
mod hub_watches;
mod metrics;
pub mod objects;
pub mod observed;
pub mod plan;
mod report;
mod run;
mod state;
pub mod validate;

pub use run::CloudProvisionerAutoscaler;
