//! An endpoint for Prometheus: `GET /metrics` gives the metrics of all clusters, and
//! `GET /metrics/NAME` those of one.
//!
//! The names and labels are those that the original's Prometheus has after it has federated the
//! clusters' own: every sample carries `cluster_name`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Metrics;
use super::exposition::exposition;

/// The text format's version.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a Prometheus scrapes of these clusters.
pub fn prometheus(clusters: Vec<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(all))
        .route("/metrics/{cluster}", get(of_cluster))
        .with_state(Arc::new(clusters))
}

async fn all(State(clusters): State<Arc<Vec<Metrics>>>) -> Response {
    let readings: Vec<_> = clusters.iter().map(Metrics::readings).collect();
    text(exposition(&readings))
}

async fn of_cluster(
    State(clusters): State<Arc<Vec<Metrics>>>,
    Path(name): Path<String>,
) -> Response {
    if let Some(metrics) = clusters.iter().find(|one| one.cluster() == name) {
        return text(metrics.exposition());
    }
    let names: Vec<&str> = clusters.iter().map(Metrics::cluster).collect();
    let what = format!(
        "there is no cluster {name:?}; write one of {}\n",
        names.join(", ")
    );
    (StatusCode::NOT_FOUND, what).into_response()
}

fn text(body: String) -> Response {
    ([(CONTENT_TYPE, TEXT)], body).into_response()
}
