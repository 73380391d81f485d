//! Clusters to try the federation on.
//!
//! [`real`] runs Kubernetes itself (API server, controllers, scheduler, etcd)
//! as plain processes, with KWOK in the place of nodes and kubelets.

pub mod real;
