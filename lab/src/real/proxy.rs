//! A proxy in front of one API server that misbehaves on demand.
//!
//! A stopped or paused cluster is one kind of failure; an API server that
//! answers, but wrongly, is another. The proxy speaks plain HTTP on a port of
//! its own and forwards to the real server over TLS, with the caller's own
//! token. Bodies stream, so watches work. Connection upgrades (`kubectl exec`)
//! are not forwarded.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::future::{Either, select};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use kube::config::AuthInfo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cluster::Cluster;
use super::error::{Error, Result};

/// How the server behind a [`FaultProxy`] seems to behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// As it does.
    #[default]
    None,
    /// New requests are answered with this status, as 500 or 503. Watches
    /// that are open go on.
    Status(u16),
    /// New requests are answered with 429 Too Many Requests, and with when to
    /// come again.
    TooManyRequests {
        /// `Retry-After`, which is in whole seconds.
        retry_after: Duration,
    },
    /// Connections are accepted and nothing answers; open watches fall
    /// silent. What was asked meanwhile is answered when the fault is over.
    Hang,
    /// Connections, open ones too, are closed without an answer.
    Cut,
}

/// A running proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    cluster: String,
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    listener: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy in front of a cluster, without a fault.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let mut config = cluster.config().await?;
        // The caller's token is forwarded, and its answers are given as they
        // are: retrying is the caller's business.
        config.auth_info = AuthInfo::default();
        config.default_retry = false;
        config.disable_compression = true;
        let client = Client::try_from(config).map_err(Error::kube(cluster.name()))?;

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(Error::io("listen on", "127.0.0.1"))?;
        let address = listener
            .local_addr()
            .map_err(Error::io("listen on", "127.0.0.1"))?;
        let (fault, watcher) = watch::channel(Fault::None);
        Ok(Self {
            cluster: cluster.name().to_owned(),
            address,
            fault,
            listener: tokio::spawn(accept(listener, client, watcher)),
        })
    }

    /// The cluster behind it.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Where it listens: the `server` for a kubeconfig (see
    /// [`Lab::kubeconfig_through`](super::Lab::kubeconfig_through)).
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Switches the fault, also for connections that are open.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The connections end too: their side of the channel is closed.
        self.listener.abort();
    }
}

async fn accept(listener: TcpListener, client: Client, fault: watch::Receiver<Fault>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, client.clone(), fault.clone()));
            }
            Err(error) => {
                tracing::debug!(%error, "connection not accepted");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// One connection. The faults that concern connections are made here: one
/// that hangs is not polled, one that is cut is dropped.
async fn serve(stream: TcpStream, client: Client, mut fault: watch::Receiver<Fault>) {
    let requests = fault.clone();
    let service = service_fn(move |request| {
        let fault = *requests.borrow();
        answer(request, client.clone(), fault)
    });
    let mut connection =
        std::pin::pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    loop {
        let now = *fault.borrow_and_update();
        let change = std::pin::pin!(fault.changed());
        let changed = match now {
            Fault::Cut => return,
            Fault::Hang => change.await,
            _ => match select(connection.as_mut(), change).await {
                Either::Left(_) => return,
                Either::Right((changed, _)) => changed,
            },
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    client: Client,
    fault: Fault,
) -> std::result::Result<Response<Body>, kube::Error> {
    match fault {
        Fault::Status(status) => Ok(failure(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            "fault injected by the lab",
        )),
        Fault::TooManyRequests { retry_after } => {
            let mut response = failure(
                StatusCode::TOO_MANY_REQUESTS,
                "fault injected by the lab: too many requests",
            );
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
            Ok(response)
        }
        Fault::None | Fault::Hang | Fault::Cut => Ok(forward(request, &client)
            .await
            .unwrap_or_else(|error| failure(StatusCode::BAD_GATEWAY, &error))),
    }
}

/// Requests are small and sent whole; answers may be watches and stream.
async fn forward(
    request: Request<Incoming>,
    client: &Client,
) -> std::result::Result<Response<Body>, String> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut forwarded = Request::builder().method(parts.method).uri(path);
    for (name, value) in &parts.headers {
        // These belong to the caller's connection, not to the request.
        if ![HOST, CONNECTION, TRANSFER_ENCODING].contains(name) {
            forwarded = forwarded.header(name, value);
        }
    }
    let forwarded = forwarded
        .body(Body::from(body.to_vec()))
        .map_err(|error| error.to_string())?;
    let mut response = client
        .send(forwarded)
        .await
        .map_err(|error| error.to_string())?;
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove(TRANSFER_ENCODING);
    Ok(response)
}

/// An answer in the form of the API's own errors.
fn failure(status: StatusCode, message: &str) -> Response<Body> {
    let reason = match status {
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "InternalError",
    };
    let body = serde_json::json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status.as_u16(),
    });
    let mut response = Response::new(Body::from(body.to_string().into_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        hyper::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
