//! An embedded control plane that speaks the Kubernetes API.
//!
//! [`ControlPlane::start`] makes one over a [`store::Store`]; its routers take HTTP requests, from
//! a socket or from within the process.

mod access;
mod api;
pub mod apply;
mod audit;
mod bounds;
mod builtin;
mod controllers;
mod host;
mod kinds;
mod meta;
mod objects;
pub mod patch;
mod plane;
mod protobuf;
pub mod schema;
mod selector;
mod serving;
mod sources;
pub mod store;
mod tables;
mod work;

pub use access::constant_time::is_equal as is_equal_secret;
pub use access::keys::{KeyError, Keys};
pub use access::tls::Tls;
pub use access::tls_error::TlsError;
pub use access::{Tokens, User};
pub use api::{LogSource, MetricsSource};
pub use audit::{Audit, AuditError};
pub use builtin::{KUBERNETES_VERSION, ServedKind, served_kinds};
pub use host::Host;
pub use objects::ServiceNetwork;
pub use plane::{ControlPlane, Options, StartError};
pub use serving::serve;
pub use sources::{Clock, Randomness, Sources};
