//! An embedded control plane that speaks the Kubernetes API.

pub mod apply;
pub mod patch;
pub mod schema;
pub mod store;
