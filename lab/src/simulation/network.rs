//! The network of a simulation: who answers at a URL, how long the way takes, and what goes wrong.
//!
//! A host is an API server in this process. A *vantage* is one process's end of the network: what
//! goes out there can be cut off for good, which is how a process is killed: whatever it still does
//! has no effect. Requests that have arrived are worked to their end, whether or not anybody waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use federation::operator::network::{Answer, Exchange, SimulatedNetwork};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::client::{Body, DynBody};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceExt as _};

use super::faults::{Fault, Faults};
use super::stream::delayed;
use super::trace::Trace;

/// How long a connection may take to come about, as operators configure it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this long without an answer the caller's system gives a connection up.
const SILENCE: Duration = Duration::from_secs(30);

/// Whether a host can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It can.
    #[default]
    Open,
    /// Its machine is there and nobody listens: connections are refused.
    Refused,
    /// Nothing comes back.
    Silent,
}

/// A network. Clones are the same one.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    hosts: Mutex<BTreeMap<String, Host>>,
    faults: Mutex<Faults>,
    trace: Trace,
}

#[derive(Clone)]
struct Host {
    router: Router,
    /// From a caller to here and back.
    round_trip: Duration,
    reach: watch::Sender<Reach>,
}

impl Network {
    /// A network without hosts.
    pub fn new(faults: Faults, trace: Trace) -> Self {
        Self(Arc::new(Inner {
            hosts: Mutex::default(),
            faults: Mutex::new(faults),
            trace,
        }))
    }

    /// An API server that answers at `http://NAME`, so far away.
    pub fn add(&self, name: &str, router: Router, round_trip: Duration) {
        let host = Host {
            router,
            round_trip,
            reach: watch::Sender::new(Reach::Open),
        };
        self.hosts().insert(name.to_owned(), host);
    }

    /// Cuts a host off, or opens the way again. Watches stall while it is silent, and end when
    /// connections are refused.
    pub fn set_reach(&self, name: &str, reach: Reach) {
        if let Some(host) = self.hosts().get(name) {
            host.reach.send_replace(reach);
        }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults() = faults;
    }

    /// A process's end of the network.
    pub fn vantage(&self, process: &str) -> Vantage {
        Vantage {
            network: self.clone(),
            process: process.to_owned(),
            alive: watch::Sender::new(true),
        }
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Host>> {
        self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process's end of the network. Clones are the same end.
#[derive(Clone)]
pub struct Vantage {
    network: Network,
    process: String,
    alive: watch::Sender<bool>,
}

impl Vantage {
    /// Nothing gets out or in any more.
    pub fn kill(&self) {
        self.alive.send_replace(false);
    }

    async fn exchange(self, request: Request<Body>) -> Result<Answer, BoxError> {
        self.must_live().await;
        let name = request.uri().host().unwrap_or_default().to_owned();
        let Some(host) = self.network.hosts().get(&name).cloned() else {
            return Err(format!("no such host: {name}").into());
        };
        let call = format!("{} {} {}", self.process, request.method(), request.uri());
        let fault = self.network.faults().draw(&request);
        let reach = *host.reach.borrow();
        match reach {
            Reach::Open => {}
            Reach::Refused => return Err("connection refused".into()),
            Reach::Silent => {
                sleep(CONNECT_TIMEOUT).await;
                return Err("no connection within five seconds".into());
            }
        }
        sleep(host.round_trip / 2).await;
        self.must_live().await;
        if let Some(Fault::Answer(code)) = fault {
            self.trace(&call, code, "made up");
            sleep(host.round_trip / 2).await;
            return failure(code);
        }
        let watched = is_watch(&request);
        let response = arrive(host.router.clone(), request).await?;
        self.trace(&call, response.status(), if watched { "watch" } else { "" });
        if fault == Some(Fault::LostAnswer) {
            sleep(SILENCE).await;
            return Err("connection reset".into());
        }
        let response = if watched && response.status().is_success() {
            let lost_after = match fault {
                Some(Fault::LostWatch(after)) => Some(Instant::now() + after),
                _ => None,
            };
            let way = host.round_trip / 2;
            let reach = host.reach.subscribe();
            response.map(|body| delayed(body, way, reach, self.alive.subscribe(), lost_after))
        } else {
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await?.to_bytes();
            sleep(host.round_trip / 2).await;
            Response::from_parts(parts, whole(bytes))
        };
        self.must_live().await;
        Ok(response)
    }

    /// A process that is dead waits for ever.
    async fn must_live(&self) {
        if !*self.alive.borrow() {
            std::future::pending::<()>().await;
        }
    }

    fn trace(&self, call: &str, code: StatusCode, note: &str) {
        let line = format!("{call} {} {note}", code.as_u16());
        self.network.0.trace.line(line.trim_end());
    }
}

impl SimulatedNetwork for Vantage {
    fn send(&self, request: Request<Body>) -> Exchange {
        Box::pin(self.clone().exchange(request))
    }
}

/// Hands a request to an API server. It is worked to its end in a task of its own.
async fn arrive(
    router: Router,
    request: Request<Body>,
) -> Result<Response<axum::body::Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let request = Request::from_parts(parts, axum::body::Body::from(bytes));
    let response = tokio::spawn(router.oneshot(request)).await?;
    match response {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

fn whole(bytes: Bytes) -> Box<DynBody> {
    Box::new(Full::new(bytes).map_err(|never| match never {}))
}

fn is_watch(request: &Request<Body>) -> bool {
    let asks = |pair: &str| matches!(pair, "watch=true" | "watch=1");
    request.method() == Method::GET
        && (request.uri().query().unwrap_or_default())
            .split('&')
            .any(asks)
}

/// What an API server in trouble says.
fn failure(code: StatusCode) -> Result<Answer, BoxError> {
    let reason = match code.as_u16() {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": format!("made up by the simulation: {reason}"), "reason": reason, "code": code.as_u16(),
    });
    let builder = Response::builder()
        .status(code)
        .header("content-type", "application/json");
    Ok(builder.body(whole(Bytes::from(status.to_string())))?)
}
