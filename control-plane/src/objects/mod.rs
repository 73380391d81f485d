//! Objects on their way into the store: the one write path, below HTTP.
//!
//! Whoever writes, a client or a controller, does it here: defaults, admission, validation, managed
//! fields, deletion. `pipeline` joins schemas, patches and managed fields; `strategy` has what the
//! server itself sets, kind by kind.

mod admission;
mod create;
mod delete;
mod error;
mod network;
mod node_ports;
mod options;
pub(crate) mod pipeline;
mod scope;
mod services;
mod settling;
mod strategy;
mod update;
mod write;

pub(crate) use admission::delete as check_delete;
pub(crate) use create::create_object;
pub(crate) use delete::{CLEANUP, FOREGROUND, ORPHAN};
pub(crate) use error::{Cause, Error, MODIFIED, Taken};
pub use network::ServiceNetwork;
pub(crate) use options::{DeleteOptions, Propagation};
pub(crate) use scope::{Admission, RequestScope, Warnings};
pub(crate) use settling::{Settling, Waiting};
pub(crate) use update::{Change, goes, modify, wrong_uid};
pub(crate) use write::{Item, key_of, typed};

use crate::kinds::Registry;
use crate::sources::Sources;
use crate::store::Store;

/// The objects of a control plane.
pub(crate) struct Objects {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) sources: Sources,
    pub(crate) service_network: ServiceNetwork,
    /// When definitions count.
    pub(crate) definitions: Settling,
}
