//! The HTTP API: from requests to answers.
//!
//! `dispatch` finds out what a request wants and who may do it; one module for each verb answers
//! it. What happens to the objects is up to [`crate::objects`].

mod call;
mod decode;
mod discovery;
mod dispatch;
mod health;
mod issuer;
mod json;
mod negotiate;
mod openapi;
mod openapi_v2;
mod patch;
mod pods;
mod query;
mod read;
mod recording;
mod response;
mod reviews;
mod scale;
mod server;
mod status;
mod subresources;
mod telemetry;
mod tokens;
mod view;
mod virtuals;
mod watch;
mod writes;

pub(crate) use dispatch::{handle, not_found};
pub(crate) use openapi::Documents;
pub(crate) use server::Server;
pub use server::{LogSource, MetricsSource};
pub(crate) use telemetry::Telemetry;
