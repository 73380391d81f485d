//! Hub, members and operators in one process and one thread, in virtual time.

mod faults;
mod network;
mod stream;
mod trace;

pub use faults::{Fault, Faults};
pub use network::{Network, Reach, Vantage};
pub use trace::Trace;
