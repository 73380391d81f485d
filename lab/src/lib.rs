//! Clusters to try the federation on.
//!
//! [`real`] runs Kubernetes itself (API server, controllers, scheduler, etcd)
//! as plain processes, with KWOK in the place of nodes and kubelets. [`simulated`]
//! plays whole member clusters in the process, in virtual time if need be.

pub mod real;
pub mod scenario;
pub mod simulated;
pub mod simulation;
