//! Writes to objects of the hub: why one did not happen, and statuses by server-side apply.
//!
//! An operator applies the status fields that it owns under a field manager of its own. Fields and
//! conditions of other managers stay, and what it leaves out that it applied before is removed.
//!
//! Where a status must not be written by a writer that has missed an earlier one (the record of an
//! assignment, with its sequence), the writer names the resource version of the object in which it
//! has seen the last one. The API server compares it in the same transaction as the write, so a
//! writer that has missed anything gets [`WriteError::Stale`], reads the object again and decides
//! again. This is stricter than a test of the sequence: another change of the object makes it stale
//! as well, and costs one more read.

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use std::time::Duration;
use tracing::{Instrument as _, info_span};

use super::redacted::redacted_message;
use crate::members::Deadlined as _;

/// The longest message of the hub that is repeated, in bytes.
const LONGEST_MESSAGE: usize = 512;

/// Why a write to the hub did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object is another one, or was changed since it was read: read it again.
    #[error("the object has changed since it was read")]
    Stale,
    /// The object does not exist.
    #[error("the object is gone")]
    Gone,
    /// The hub refuses the write, and will refuse it again: an admission policy, a rule of the
    /// CRD, a size, a right.
    #[error("the hub refuses the write: {0}")]
    Rejected(String),
    /// The hub had an error or did not answer in time: try again.
    #[error("the hub: {}", redacted_message(.0.as_ref()))]
    Unavailable(#[source] Box<kube::Error>),
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = &error else {
            return Self::Unavailable(Box::new(error));
        };
        match status.code {
            404 => Self::Gone,
            409 => Self::Stale,
            // A failed login, a timeout and a rate limit are not about what was written.
            code if (400..500).contains(&code) && ![401, 408, 429].contains(&code) => {
                let message = &status.message;
                let end = message.floor_char_boundary(LONGEST_MESSAGE);
                Self::Rejected(message[..end].to_owned())
            }
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

/// Applies `status` to the object of this name as the only fields of `manager`, and gives the
/// object's resource version afterwards.
///
/// With a `resource_version`, nothing is written unless the object still has it; without one, whoever
/// wrote the object last. (The uid of the object would be no condition: an API server does not compare
/// it when a status is written.) Fields that other managers set as well are taken over. The answer
/// does not take longer than `deadline`.
pub async fn apply_status<K>(
    api: &Api<K>,
    dynamic: &K::DynamicType,
    name: &str,
    manager: &str,
    resource_version: Option<&str>,
    status: &(impl Serialize + Sync),
    deadline: Duration,
) -> Result<String, WriteError>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let kind = K::kind(dynamic);
    let span = info_span!("apply_status", kind = %kind, key = name, manager);
    let mut metadata = json!({ "name": name });
    if let Some(version) = resource_version {
        metadata["resourceVersion"] = json!(version);
    }
    let object = json!({
        "apiVersion": K::api_version(dynamic), "kind": kind, "metadata": metadata, "status": status,
    });
    let params = PatchParams::apply(manager).force();
    let patch = Patch::Apply(&object);
    let written = api
        .patch_status(name, &params, &patch)
        .with_deadline(deadline);
    let written = written.instrument(span).await?;
    Ok(written.resource_version().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn error(code: u16, message: &str) -> WriteError {
        let status = Status::failure(message, "").with_code(code);
        kube::Error::Api(Box::new(status)).into()
    }

    #[test]
    fn a_refusal_is_told_from_what_is_tried_again() {
        assert!(matches!(error(404, ""), WriteError::Gone));
        assert!(matches!(error(409, ""), WriteError::Stale));
        for code in [400, 403, 413, 422] {
            assert!(matches!(error(code, "no"), WriteError::Rejected(_)));
        }
        for code in [401, 408, 429, 500, 503, 504] {
            assert!(matches!(error(code, "later"), WriteError::Unavailable(_)));
        }
    }

    #[test]
    fn a_long_refusal_is_cut() {
        let WriteError::Rejected(message) = error(422, &"ä".repeat(1000)) else {
            panic!("not a refusal");
        };
        assert_eq!(message.len(), LONGEST_MESSAGE);
    }
}
