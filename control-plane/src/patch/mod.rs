//! Patches.

pub(crate) mod print;
