//! OpenAPI documents.

use axum::response::Response;
use http::HeaderMap;

use crate::plane::Plane;

/// Answers with a document; none for other paths.
pub(crate) fn answer(_plane: &Plane, _path: &str, _headers: &HeaderMap) -> Option<Response> {
    None
}
