//! What the operators share: API types, clusters, member access, operator runtime.

pub mod api;
pub mod capacity;
pub mod members;
pub mod operator;
pub mod prometheus;
pub mod proximity;
pub mod traffic;
