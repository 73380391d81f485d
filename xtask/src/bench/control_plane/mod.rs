//! The embedded control plane, beside a real kube-apiserver and etcd.

mod bindings;
mod compare;
mod connection;
mod day;
mod definitions;
mod objects;
mod server;
mod startup;
mod watches;

use super::Part;

/// The parts, in the order of the document.
pub(super) const PARTS: &[Part] = &[
    startup::run,
    compare::run,
    watches::run,
    definitions::run,
    bindings::run,
    day::run,
];

/// A runtime for a part: the load comes from one thread, so that it takes one processor at most.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
