//! Clusters to try the federation on.
//!
//! [`real`] runs clusters as plain processes: Kubernetes itself (API server, controllers, scheduler,
//! etcd), with KWOK in the place of nodes and kubelets, or [`embedded`] ones. [`simulated`] plays
//! whole member clusters in the process, in virtual time if need be, and [`simulation`] a federation
//! of them. [`e2e`] plays scenarios with operators that are processes. [`operators`] is the table of
//! the operators that there are.

pub mod access;
pub mod e2e;
pub mod embedded;
pub mod operators;
pub mod real;
pub mod scenario;
pub mod simulated;
pub mod simulation;

/// Whether nobody is there to install something: then what cannot be run has failed.
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()))
}
