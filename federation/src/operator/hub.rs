//! What an operator needs of its hub.

use std::time::Duration;

use kube::api::{DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client};
use tracing::warn;

use super::redacted::redacted_message;
use crate::members::Deadlined as _;

/// Why an operator cannot work on this hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// It cannot be talked to.
    #[error("the hub: {}", redacted_message(.0))]
    Unreachable(#[from] kube::Error),
    /// It does not know one of our kinds.
    #[error("the hub does not know {0}: install the CRDs with kubectl apply -f manifests/crds/")]
    NoCrds(String),
}

/// Sees to it that the hub serves these kinds; each answer within the deadline.
pub async fn require_kinds(
    hub: &Client,
    kinds: impl IntoIterator<Item = ApiResource>,
    deadline: Duration,
) -> Result<(), HubError> {
    for resource in kinds {
        let api: Api<DynamicObject> = Api::all_with(hub.clone(), &resource);
        let one = ListParams::default().limit(1);
        match api.list_metadata(&one).with_deadline(deadline).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Err(HubError::NoCrds(resource.kind));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Logs that a watch on the hub was interrupted; it goes on.
pub fn log_watch_error(error: &watcher::Error) {
    let error = redacted_message(error);
    warn!(error, "a watch on the hub was interrupted and is retried");
}
