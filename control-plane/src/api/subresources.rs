//! Parts of objects and actions on them.

use axum::response::Response;

use super::call::Call;
use super::status::ApiError;
use super::{patch, read, update};

/// Answers a request for a subresource.
pub(crate) async fn serve(call: &Call) -> Result<Response, ApiError> {
    let name = call.path.subresource.as_str();
    let Some(found) = call.resource.subresource(name) else {
        return Err(ApiError::no_such_resource());
    };
    let verb = call.target.verb.as_str();
    if !found.verbs.contains(&verb) {
        return Err(ApiError::method_not_allowed());
    }
    match (name, verb) {
        ("status" | "approval" | "ephemeralcontainers" | "resize", "get") => read::get(call),
        ("status" | "approval" | "ephemeralcontainers" | "resize", "update") => {
            update::update(call).await
        }
        ("status" | "approval" | "ephemeralcontainers" | "resize", "patch") => {
            patch::patch(call).await
        }
        _ => Err(ApiError::no_such_resource()),
    }
}
