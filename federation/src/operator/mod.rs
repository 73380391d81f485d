//! What every operator binary is made of: flags, logs, health, leadership, a work queue, Events.
//!
//! A `main.rs` parses [`args::CommonArgs`], starts a [`process::Process`], and runs its reconciler
//! over a [`queue::WorkQueue`] while it leads. Tests and the simulator leave the process out and use
//! the same rest with a [`clock::VirtualClock`].

pub mod access_args;
pub mod args;
pub mod clock;
pub mod correlator;
pub mod events;
pub mod fence;
pub mod http;
pub mod hub;
pub mod leader;
pub mod link_local;
pub mod network;
pub mod pace;
pub mod process;
pub mod prometheus;
pub mod queue;
pub mod redacted;
pub mod signals;
pub mod telemetry;
mod token_file;
