//! One process's end of the network, and its life.
//!
//! Whatever a process does to the world goes through here. So a process that dies here, at any of
//! its await points, is dead: whatever is left of it in memory has no effect.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use federation::operator::network::{Answer, Exchange, SimulatedNetwork};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::client::{Body, DynBody};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceExt as _};

use super::faults::{Fault, Purpose};
use super::link::Reach;
use super::network::Network;
use super::stream::{Passage, delayed};

/// How long a connection may take to come about, as operators configure it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this long without an answer the caller's system gives a connection up.
const SILENCE: Duration = Duration::from_secs(30);

/// A process's end of the network. Clones are the same end.
#[derive(Clone)]
pub struct NetworkOrigin {
    network: Network,
    process: String,
    alive: watch::Sender<bool>,
    /// The await points that are left; `u64::MAX` for ever.
    left: Arc<AtomicU64>,
}

impl NetworkOrigin {
    pub(super) fn new(network: Network, process: &str) -> Self {
        Self {
            network,
            process: process.to_owned(),
            alive: watch::Sender::new(true),
            left: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    /// Nothing gets out or in any more.
    pub fn kill(&self) {
        self.alive.send_replace(false);
    }

    /// It dies at the await point of this number from now, the next being 1. Await points are the
    /// polls of its main task, and where its requests go out, arrive, and are answered.
    pub fn kill_at(&self, point: u64) {
        self.left.store(point.max(1), Ordering::Relaxed);
    }

    /// Waits until it is dead.
    pub async fn died(&self) {
        let mut alive = self.alive.subscribe();
        // The sender lives as long as we do.
        drop(alive.wait_for(|alive| !alive).await);
    }

    /// Works until the end, or until it dies: then the rest of the work is dropped.
    pub async fn live(&self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        let counted = poll_fn(|context| {
            if self.is_past_a_point() {
                work.as_mut().poll(context)
            } else {
                Poll::Pending
            }
        });
        tokio::select! {
            biased;
            () = self.died() => {}
            () = counted => {}
        }
    }

    /// Counts an await point. Whether it still lives.
    fn is_past_a_point(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        if left != u64::MAX {
            self.left.store(left.saturating_sub(1), Ordering::Relaxed);
            if left <= 1 {
                self.kill();
            }
        }
        *self.alive.borrow()
    }

    /// An await point: who is dead waits for ever.
    async fn pass(&self) {
        if !self.is_past_a_point() {
            pending::<()>().await;
        }
    }

    async fn exchange(self, request: Request<Body>) -> Result<Answer, BoxError> {
        self.pass().await;
        let name = request.uri().host().unwrap_or_default().to_owned();
        let Some(host) = self.network.host(&name) else {
            return Err(format!("no such host: {name}").into());
        };
        let request = self.network.paged(request);
        let purpose = Purpose::of(&request);
        let call = format!("{} {} {}", self.process, request.method(), request.uri());
        let fault = self.network.fault(&request);
        let way = self.network.way(&self.process, &name);
        let reach = *way.borrow();
        match reach {
            Reach::Open => {}
            Reach::Refused => return Err("connection refused".into()),
            Reach::Silent => return silence(CONNECT_TIMEOUT).await,
        }
        let crossing = self.network.crossing(&name);
        if let Some(Fault::Late(by)) = fault {
            let this = self.clone();
            tokio::spawn(async move {
                sleep(crossing + by).await;
                if let Ok(response) = arrive(host.router, request).await {
                    this.trace(&call, response.status(), "late");
                }
            });
            return silence(SILENCE).await;
        }
        sleep(crossing).await;
        self.pass().await;
        // What is under way when the way closes is lost.
        if fault == Some(Fault::LostRequest) || *way.borrow() != Reach::Open {
            return silence(SILENCE).await;
        }
        let made_up = match fault {
            Some(Fault::Answer(code)) => Some((code, None)),
            Some(Fault::Busy(seconds)) => Some((StatusCode::TOO_MANY_REQUESTS, Some(seconds))),
            _ => None,
        };
        if let Some((code, retry_after)) = made_up {
            self.trace(&call, code, "made up");
            sleep(self.network.crossing(&name)).await;
            return failure(code, retry_after);
        }
        if let Some(Fault::Gone(point)) = fault {
            abandon(arrive(host.router, request), point).await;
            self.network
                .trace()
                .line(&format!("{call} gone at {point}"));
            return Err("connection reset by peer".into());
        }
        let response = arrive(host.router, request).await?;
        let note = if purpose == Purpose::Watch {
            "watch"
        } else {
            ""
        };
        self.trace(&call, response.status(), note);
        if fault == Some(Fault::LostAnswer) {
            return silence(SILENCE).await;
        }
        let response = if purpose == Purpose::Watch && response.status().is_success() {
            let network = self.network.clone();
            let passage = Passage {
                crossing: move || network.crossing(&name),
                reach: way,
                alive: self.alive.subscribe(),
                trouble: match fault {
                    Some(Fault::Watch(after, what)) => Some((Instant::now() + after, what)),
                    _ => None,
                },
            };
            response.map(|body| delayed(body, passage))
        } else {
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await?.to_bytes();
            sleep(self.network.crossing(&name)).await;
            if *way.borrow() != Reach::Open {
                return silence(SILENCE).await;
            }
            Response::from_parts(parts, whole(bytes))
        };
        self.pass().await;
        Ok(response)
    }

    fn trace(&self, call: &str, code: StatusCode, note: &str) {
        let line = format!("{call} {} {note}", code.as_u16());
        self.network.trace().line(line.trim_end());
    }
}

impl SimulatedNetwork for NetworkOrigin {
    fn send(&self, request: Request<Body>) -> Exchange {
        Box::pin(self.clone().exchange(request))
    }
}

/// Nothing comes back, until the caller's system gives up.
async fn silence(patience: Duration) -> Result<Answer, BoxError> {
    sleep(patience).await;
    Err(format!("no answer within {patience:?}").into())
}

/// Works on something up to an await point, and then no more.
async fn abandon(work: impl Future, point: usize) {
    let mut work = pin!(work);
    let mut polls = 0;
    poll_fn(|context| {
        if polls >= point || work.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        polls += 1;
        Poll::Pending
    })
    .await;
}

/// Hands a request to an API server. As over a connection, the server sees to it that what it has
/// begun comes to its end if whoever asks goes away: then this is dropped.
async fn arrive(
    router: Router,
    request: Request<Body>,
) -> Result<Response<axum::body::Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let request = Request::from_parts(parts, axum::body::Body::from(bytes));
    match router.oneshot(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

fn whole(bytes: Bytes) -> Box<DynBody> {
    Box::new(Full::new(bytes).map_err(|never| match never {}))
}

/// What an API server in trouble says.
fn failure(code: StatusCode, retry_after: Option<u64>) -> Result<Answer, BoxError> {
    let reason = match code.as_u16() {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let mut status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": format!("made up by the simulation: {reason}"), "reason": reason, "code": code.as_u16(),
    });
    let mut builder = Response::builder()
        .status(code)
        .header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        status["details"] = json!({ "retryAfterSeconds": seconds });
        builder = builder.header("retry-after", seconds);
    }
    Ok(builder.body(whole(Bytes::from(status.to_string())))?)
}
