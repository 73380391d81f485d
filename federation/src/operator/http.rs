//! `/healthz`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long a request that is under way may take after the stop.
const DRAIN: Duration = Duration::from_secs(5);

/// The content type of `OpenMetrics` text, version 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why the server could not serve.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address can't be listened on.
    #[error(
        "can't listen on {address}: {source}; choose another address with --listen, for example --listen=127.0.0.1:0 for any free port"
    )]
    Bind {
        /// The address as asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The server failed while serving.
    #[error("the server for /healthz, /readyz and /metrics failed: {0}")]
    Serve(#[source] std::io::Error),
}

/// Takes the address; [`serve`] answers on it.
///
/// Separate from serving, so that an operator fails before it does anything else when the
/// address is taken, and a test learns the port that it got.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| HttpError::Bind { address, source })
}

/// Answers until `stop`, then lets requests that are under way end within five seconds.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Arc<Registry>,
    stop: CancellationToken,
) -> Result<(), HttpError> {
    let server = axum::serve(listener, router(health, metrics))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = server.into_future() => ended.map_err(HttpError::Serve),
        () = overdue => Ok(()),
    }
}

/// The three routes, for a server or a test.
pub fn router(health: Health, metrics: Arc<Registry>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(health))
        .route("/metrics", get(open_metrics).with_state(metrics))
}

async fn ready(State(health): State<Health>) -> Response {
    let missing = health.missing();
    if missing.is_empty() {
        "ok\n".into_response()
    } else {
        let body = format!("not ready: {}\n", missing.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
    }
}

async fn open_metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The named checks that `/readyz` goes by.
///
/// A process is ready when every check that it declared is true.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, bool>>>);

impl Health {
    /// Declares the checks; all begin as not ready.
    pub fn new(checks: &[&str]) -> Self {
        let checks = checks.iter().map(|&name| (name.to_owned(), false));
        Self(Arc::new(Mutex::new(checks.collect())))
    }

    /// The checks of an operator: the `hub` has answered, and the `members` are known.
    pub fn of_operator() -> Self {
        Self::new(&["hub", "members"])
    }

    /// Sets a check; one that was not declared is added.
    pub fn set(&self, check: &str, ready: bool) {
        let mut checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checks.insert(check.to_owned(), ready);
    }

    /// The checks that are not ready, by name.
    pub fn missing(&self) -> Vec<String> {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let not_ready = checks.iter().filter(|&(_, &ready)| !ready);
        not_ready.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    async fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let response = reqwest::get(format!("http://{address}{path}"))
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn the_routes_answer_until_the_stop() {
        let health = Health::new(&["hub", "lease"]);
        let mut registry = Registry::default();
        let placements: Counter = Counter::default();
        placements.inc();
        registry.register("placements", "Placements decided", placements);
        let stop = CancellationToken::new();
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(
            listener,
            health.clone(),
            Arc::new(registry),
            stop.clone(),
        ));

        assert_eq!(fetch(address, "/healthz").await, (200, "ok\n".into()));
        assert_eq!(
            fetch(address, "/readyz").await,
            (503, "not ready: hub, lease\n".into())
        );
        health.set("hub", true);
        health.set("lease", true);
        assert_eq!(fetch(address, "/readyz").await.0, 200);
        let (_, metrics) = fetch(address, "/metrics").await;
        assert!(metrics.contains("placements_total 1\n# EOF\n"), "{metrics}");

        let taken = bind(address).await.unwrap_err().to_string();
        assert!(
            taken.contains(&address.to_string()) && taken.contains("--listen"),
            "{taken}"
        );

        stop.cancel();
        tokio::time::timeout(DRAIN * 2, server)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}
