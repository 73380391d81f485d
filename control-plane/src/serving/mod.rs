//! Serving connections within limits: how many there are, how long they may be silent, and what
//! the requests on them may hold in memory.

mod activity;
mod connections;
mod files;
mod limits;
mod open;
mod sending;

pub use connections::serve;
pub(crate) use connections::{Outside, Served};
pub(crate) use limits::{Limits, Place, Sort};
pub(crate) use sending::holding;
