//! The HTTP API: from requests to answers.
//!
//! `dispatch` finds out what a request wants and who may do it; one module for each verb answers
//! it. `pipeline` is where an object passes through schemas, patches and managed fields.

mod admission;
mod call;
mod create;
mod decode;
pub(crate) mod delete;
mod discovery;
pub(crate) mod dispatch;
mod health;
mod json;
pub(crate) mod negotiate;
mod node_ports;
mod openapi;
mod openapi_v2;
mod patch;
pub(crate) mod pipeline;
mod pods;
pub(crate) mod query;
mod read;
mod reviews;
mod scale;
pub(crate) mod services;
pub(crate) mod status;
mod strategy;
mod subresources;
pub(crate) mod target;
pub(crate) mod tokens;
mod types;
mod update;
mod view;
mod virtuals;
mod watch;
pub(crate) mod write;

pub(crate) use dispatch::not_found;
