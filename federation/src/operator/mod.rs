//! What every operator binary is made of: flags, logs, health, leadership, a work queue, Events.
//!
//! A `main.rs` parses [`args::CommonArgs`], calls [`telemetry::init`], takes a token from
//! [`signals::stop_on_signal`], serves [`http`], wins an [`leader::Election`] and runs its
//! reconciler over a [`queue::WorkQueue`]. Tests and the simulator skip the first three and
//! use the same rest with a [`clock::VirtualClock`].

pub mod args;
pub mod clock;
pub mod events;
pub mod fence;
pub mod http;
pub mod leader;
pub mod network;
pub mod queue;
pub mod signals;
pub mod telemetry;
