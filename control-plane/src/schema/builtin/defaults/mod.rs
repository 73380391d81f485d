//! The defaults of built-in types, as users of `kubectl` see them and controllers rely on them.

pub(crate) mod batch;
pub(crate) mod cluster;
mod fill;
pub(crate) mod pod;
pub(crate) mod service;
#[cfg(test)]
pub(super) mod tests;
pub(crate) mod workloads;
