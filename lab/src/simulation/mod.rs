//! Hub, members and operators in one process and one thread, in virtual time.
//!
//! Everything is real but the network, the time and the members' machines: the operators run as
//! they are, against API servers that answer as they are. The same seed gives the same run, which
//! the trace of all requests shows.

mod cloud;
mod environment;
mod faults;
mod link;
mod metering;
mod network;
mod operator;
mod origin;
mod story;
mod stream;
mod trace;
mod world;

use std::future::Future;

pub use cloud::{CLOUD_NAMESPACE, Cloud, CloudOptions};
pub use environment::SimulatedEnvironment;
pub use faults::{Fault, Faults, WatchFault};
pub use link::{Link, Reach};
pub use metering::{Metering, MetricsServer};
pub use network::Network;
pub use operator::Operator;
pub use origin::NetworkOrigin;
pub use story::{Ending, Length, tell};
pub use trace::Trace;
pub(crate) use world::apply;
pub use world::{Error, HUB, Member, World};

/// Runs a simulation to its end: in this thread, with a clock that jumps to the next thing that
/// happens whenever nothing is to be done now.
pub fn run<F: Future>(simulation: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, simulation))
}
