//! The provisioner in virtual time, against a cloud that is played: what bursts, what it costs, and
//! that nothing is made twice or left behind.

mod bursts;
mod fixture;
mod kills;
