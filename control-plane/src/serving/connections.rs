//! Connections by HTTP/1.1 and HTTP/2, with TLS or without.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use axum::{Extension, Router};
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower::{ServiceBuilder, ServiceExt};
use tracing::debug;

use super::activity::{Activity, Heard, Tracked};
use super::files;
use super::limits::Limits;
use super::sending::SentBy;
use crate::access::client_certificates::Shown;
use crate::access::tls::Tls;

/// For a TLS handshake, and then for the first request.
const FIRST: Duration = Duration::from_secs(10);
/// For a connection without a request, as kube-apiserver has it.
const IDLE: Duration = Duration::from_secs(90);
/// Between signs of life of an HTTP/2 connection, and for the answer to one.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// After an accept that failed, before the next.
const RETRY: Duration = Duration::from_millis(50);
/// For what is under way at the end.
const GRACE: Duration = Duration::from_secs(1);
/// Requests of one HTTP/2 connection at a time, as Go's server has it by default.
const STREAMS: u32 = 1000;

/// Marks requests that come over a connection, with the limits that they share.
#[derive(Clone)]
pub(crate) struct Served(pub(crate) Arc<Limits>);

/// Marks requests that come from other machines.
#[derive(Clone, Copy)]
pub(crate) struct Outside;

/// Serves a router on a listener until `shutdown` is done; then no connection is accepted any more,
/// and those that are open get a second to finish.
///
/// A listener that other machines reach needs TLS, or this fails with `PermissionDenied`; and who
/// comes by it needs a token, whatever [`Options::anonymous`](crate::Options::anonymous) and
/// [`ControlPlane::router_for`](crate::ControlPlane::router_for) say.
///
/// The soft limit of open files is raised to the hard one. There are at most 10,000 connections,
/// fewer if there may not be as many files; each shows within 10 s that somebody is there, and ends
/// after 90 s without a request. One more takes the place of the one that has been idle longest.
pub async fn serve(
    listener: TcpListener,
    tls: Option<&Tls>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let router = if address.ip().is_loopback() {
        router
    } else if tls.is_none() {
        let why = format!("{address} is not of this machine alone: serve it with TLS");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    } else {
        router.layer(Extension(Outside))
    };
    let limits = Arc::new(Limits::new(files::connections()));
    let (end, ended) = watch::channel(());
    let server = Server {
        router: router.layer(Extension(Served(Arc::clone(&limits)))),
        acceptor: tls.map(Tls::acceptor),
        limits,
        ended,
    };
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Of this connection only, or of too many: others may still come.
                Err(error) => {
                    debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        // An answer in two parts shall not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        server.accept(stream);
    }
    // Watches do not end by themselves.
    end.send_replace(());
    drop(server);
    let _ = timeout(GRACE, end.closed()).await;
    Ok(())
}

/// What connections are served with.
struct Server {
    router: Router,
    acceptor: Option<TlsAcceptor>,
    limits: Arc<Limits>,
    ended: watch::Receiver<()>,
}

impl Server {
    /// Serves a connection, unless all that may be open are used: then it is closed at once, and
    /// may be tried again.
    fn accept(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Ok(open) = self.limits.connect() else {
            debug!("a connection was closed, because there are too many");
            return;
        };
        let (router, acceptor) = (self.router.clone(), self.acceptor.clone());
        let ended = self.ended.clone();
        tokio::spawn(async move {
            let activity = open.activity.clone();
            let served = async {
                match acceptor {
                    None => connection(stream, router, activity, ended).await,
                    Some(acceptor) => greet(acceptor, stream, router, activity, ended).await,
                }
            };
            tokio::select! {
                () = served => {}
                () = open.activity.evicted() => {
                    debug!("an idle connection was closed, because there are too many");
                }
            }
        });
    }
}

/// Serves a connection after a TLS handshake.
async fn greet(
    acceptor: TlsAcceptor,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    activity: Activity,
    ended: watch::Receiver<()>,
) {
    match timeout(FIRST, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = Shown::of(stream.get_ref().1);
            let router = router.layer(Extension(shown));
            connection(stream, router, activity, ended).await;
        }
        Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

/// Serves a connection until it ends, is idle or does not read for too long, or all end.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    activity: Activity,
    mut ended: watch::Receiver<()>,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    // Its time for a head begins when the connection becomes idle.
    builder.http1().header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_concurrent_streams(STREAMS);
    let requests = activity.clone();
    let router = ServiceBuilder::new().service_fn(move |request: Request<Incoming>| {
        let (router, running) = (router.clone(), requests.begin(request.version()));
        async move {
            let answered: Result<Response, _> = router.oneshot(request).await;
            answered.map(|answer| {
                if let Some(SentBy(deadline)) = answer.extensions().get() {
                    running.must_end(*deadline);
                }
                answer.map(|body| Body::new(Tracked::new(body, running)))
            })
        }
    });
    let service = TowerToHyperService::new(router);
    let stream = TokioIo::new(Heard::new(stream, activity.clone()));
    let served = builder.serve_connection_with_upgrades(stream, service);
    let mut served = pin!(served);
    let mut deadline = Instant::now() + FIRST;
    let mut is_ending = false;
    loop {
        tokio::select! {
            done = served.as_mut() => {
                if let Err(error) = done {
                    debug!(%error, "a connection ended");
                }
                return;
            }
            () = activity.overdue() => {
                debug!("a connection was closed, because its client is too slow");
                return;
            }
            _ = ended.changed(), if !is_ending => {
                is_ending = true;
                served.as_mut().graceful_shutdown();
            }
            () = sleep_until(deadline) => {
                let now = Instant::now();
                let patience = if activity.was_used() { IDLE } else { FIRST };
                match activity.idle_since() {
                    None => deadline = now + IDLE,
                    Some(idle) if idle + patience > now => deadline = idle + patience,
                    // It was told to end, or nobody was ever there.
                    Some(_) if is_ending || !activity.was_used() => return,
                    Some(_) => {
                        is_ending = true;
                        served.as_mut().graceful_shutdown();
                        deadline = now + FIRST;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
