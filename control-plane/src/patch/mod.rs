//! Patches: JSON patches, merge patches and strategic merge patches.
//!
//! Each gives the patched object, which may well be invalid: it is then decoded, defaulted and
//! validated like any other. Which patches are understood, and which are refused how, is as in
//! kube-apiserver 1.34.

mod directive;
mod json;
mod merge;
pub(crate) mod print;
mod strategic;
mod strategic_list;

use thiserror::Error;

use crate::work::Expired;

pub use json::{json_patch, unknown_json_patch_fields};
pub use merge::merge_patch;
pub use strategic::strategic_merge_patch;

/// How many operations a JSON patch may have.
pub const MOST_OPERATIONS: usize = 10_000;

/// Bytes of JSON that the `copy` operations of a JSON patch may add.
pub const MOST_COPIED: usize = 3 * 1024 * 1024;

/// Why a patch was not applied. `Display` is the message of the `Status`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatchError {
    /// It is no such patch: 400 `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// It has so many operations, which is too many: 413 `RequestEntityTooLarge`.
    #[error(
        "Request entity is too large: The allowed maximum operations in a JSON patch is \
         {MOST_OPERATIONS}, got {0}"
    )]
    TooLarge(usize),
    /// It does not fit the object: 422 `Invalid`. The real server does not tell the client why.
    #[error("the server rejected our request due to an error in our request")]
    Unprocessable(String),
    /// The time for the request ended before all of it was applied: 504 `Timeout`.
    #[error("request did not complete within the allowed duration")]
    Timeout,
    /// It breaks the rules of strategic merge patches. The real server answers this with 500 and
    /// no reason.
    #[error("{0}")]
    Internal(String),
}

impl From<Expired> for PatchError {
    fn from(Expired: Expired) -> Self {
        Self::Timeout
    }
}
