//! What every operator binary is made of: flags, logs, health, leadership, a work queue, Events.
//!
//! An operator implements [`frame::Operator`]; its `main.rs` calls [`process::main`]. Tests, `mck8s up`
//! and the simulator leave the process out and start the same operator by a [`frame::OperatorEntry`]
//! with a network, a clock and a health of their own.

pub mod access_args;
pub mod args;
pub mod clock;
pub mod conditions;
pub mod context;
pub mod correlator;
pub mod events;
pub mod fence;
pub mod finalizer;
pub mod frame;
pub mod http;
pub mod hub;
pub mod key;
pub mod leader;
pub mod link_local;
pub mod network;
pub mod pace;
pub mod process;
pub mod prometheus;
pub mod queue;
pub mod redacted;
pub mod signals;
pub mod status;
pub mod telemetry;
mod token_file;
mod traces;
