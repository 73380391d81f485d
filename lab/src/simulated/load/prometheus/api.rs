//! HTTP as Prometheus has it.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value as Body, json};

use super::{Metrics, Prometheus, QueryError, Value};
use crate::simulated::load::exposition::exposition;

/// The text format's version.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How far a query's time may be from the present.
const PRESENT: SignedDuration = SignedDuration::from_mins(1);

pub(super) fn router(prometheus: Prometheus) -> Router {
    Router::new()
        .route("/metrics", get(all))
        .route("/metrics/{cluster}", get(of_cluster))
        .route("/api/v1/query", get(query).post(query))
        .with_state(prometheus)
}

async fn all(State(prometheus): State<Prometheus>) -> Response {
    text(exposition(&prometheus.readings()))
}

async fn of_cluster(State(prometheus): State<Prometheus>, Path(name): Path<String>) -> Response {
    let clusters = &prometheus.0.clusters;
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

/// The parameters of a query, in the URL or in a form. Others change nothing here.
#[derive(Deserialize)]
struct Asked {
    query: String,
    time: Option<String>,
}

async fn query(
    State(prometheus): State<Prometheus>,
    asked: Result<Form<Asked>, FormRejection>,
) -> Response {
    let now = prometheus.now();
    let asked = match asked {
        Ok(Form(asked)) => asked,
        Err(wrong) => return failure(StatusCode::BAD_REQUEST, "bad_data", &wrong.body_text()),
    };
    if let Some(time) = asked.time.as_deref().filter(|time| !is_present(time, now)) {
        let what = format!(
            "invalid parameter \"time\": {time:?} is not now, and there is no history here; leave \
             it out"
        );
        return failure(StatusCode::BAD_REQUEST, "bad_data", &what);
    }
    match prometheus.query(&asked.query) {
        Ok(value) => {
            let data = data(value, now.as_millisecond() as f64 / 1000.0);
            Json(json!({ "status": "success", "data": data })).into_response()
        }
        Err(error @ QueryError::Syntax(_)) => {
            let what = format!("invalid parameter \"query\": {error}");
            failure(StatusCode::BAD_REQUEST, "bad_data", &what)
        }
        Err(error) => {
            let code = StatusCode::UNPROCESSABLE_ENTITY;
            failure(code, "execution", &error.to_string())
        }
    }
}

/// Whether a time, in seconds since 1970 or as RFC 3339 has it, is about now.
fn is_present(time: &str, now: Timestamp) -> bool {
    let seconds = time.parse::<f64>().ok();
    let at = seconds
        .and_then(|seconds| Timestamp::from_millisecond((seconds * 1000.0) as i64).ok())
        .or_else(|| time.parse().ok());
    at.is_some_and(|at| at.duration_since(now).abs() <= PRESENT)
}

fn data(value: Value, at: f64) -> Body {
    match value {
        Value::Scalar(value) => {
            json!({ "resultType": "scalar", "result": [at, number(value)] })
        }
        Value::Vector(samples) => {
            let samples = samples
                .iter()
                .map(|(labels, value)| json!({ "metric": labels, "value": [at, number(*value)] }));
            json!({ "resultType": "vector", "result": samples.collect::<Body>() })
        }
    }
}

/// A number as Prometheus writes it.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".to_owned();
    }
    if value == f64::NEG_INFINITY {
        return "-Inf".to_owned();
    }
    value.to_string()
}

fn failure(code: StatusCode, kind: &str, what: &str) -> Response {
    let body = json!({ "status": "error", "errorType": kind, "error": what });
    (code, Json(body)).into_response()
}
