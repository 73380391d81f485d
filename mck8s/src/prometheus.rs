//! The simulation's Prometheus, under `/prometheus` of the address where everything is served.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use control_plane::is_equal_secret;
use lab::simulated::Prometheus;

/// Its routes, for whoever shows the token.
pub(crate) fn router(prometheus: &Prometheus, token: &str) -> Router {
    let token: Arc<str> = token.into();
    Router::new()
        .nest("/prometheus", prometheus.router())
        .layer(from_fn_with_state(token, admit))
        .fallback(nothing)
}

async fn admit(State(token): State<Arc<str>>, request: Request, next: Next) -> Response {
    let shown = bearer(request.headers());
    if shown.is_some_and(|shown| is_equal_secret(shown.as_bytes(), token.as_bytes())) {
        return next.run(request).await;
    }
    let what = "Unauthorized: show the token of the kubeconfig, as Authorization: Bearer TOKEN\n";
    (
        StatusCode::UNAUTHORIZED,
        [(WWW_AUTHENTICATE, "Bearer")],
        what,
    )
        .into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn nothing() -> Response {
    let what = "nothing is served here: write /clusters/NAME for the hub or a member, or \
                /prometheus/api/v1/query\n";
    (StatusCode::NOT_FOUND, what).into_response()
}
