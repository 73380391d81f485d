//! The provisioner in virtual time, against a cloud that is played: what bursts, what it costs, and
//! that nothing is made twice or left behind.

#![allow(clippy::unwrap_used, clippy::panic)]

mod bursts;
mod fixture;
mod kills;
