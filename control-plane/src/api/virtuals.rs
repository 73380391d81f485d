//! Kinds that are answered and not stored.

use axum::response::Response;

use super::call::Call;
use super::status::ApiError;

/// Answers a request for such a kind.
pub(crate) async fn serve(_call: &Call, _verb: &str) -> Result<Response, ApiError> {
    Err(ApiError::no_such_resource())
}
