//! A Prometheus that counts what it is asked. Whatever that is, it has a number for each cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// It serves until its runtime ends.
pub(super) struct Prometheus {
    address: SocketAddr,
    state: Arc<Answers>,
}

struct Answers {
    clusters: Vec<String>,
    asked: AtomicUsize,
}

impl Prometheus {
    pub(super) async fn start(clusters: Vec<String>) -> Result<Self> {
        let state = Arc::new(Answers {
            clusters,
            asked: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(state.clone());
        tokio::spawn(control_plane::serve(
            listener,
            None,
            router,
            std::future::pending(),
        ));
        Ok(Self { address, state })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many queries there have been so far.
    pub(super) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::Relaxed)
    }
}

async fn answer(State(state): State<Arc<Answers>>) -> impl IntoResponse {
    state.asked.fetch_add(1, Ordering::Relaxed);
    let now = Timestamp::now().as_millisecond() as f64 / 1000.0;
    let samples = state
        .clusters
        .iter()
        .map(|cluster| json!({ "metric": { "cluster_name": cluster }, "value": [now, "0.95"] }));
    let body = json!({
        "status": "success",
        "data": { "resultType": "vector", "result": samples.collect::<Value>() },
    });
    ([(CONTENT_TYPE, "application/json")], body.to_string())
}
