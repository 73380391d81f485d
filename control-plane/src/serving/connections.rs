//! Connections by HTTP/1.1 and HTTP/2, with TLS or without.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use axum::{Extension, Router};
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

use super::activity::{Activity, Tracked};
use super::files;
use super::limits::Limits;
use super::sending::SentBy;
use crate::access::client_certificates::Shown;
use crate::access::tls::Tls;

/// For a TLS handshake, and then for the first request.
const FIRST: Duration = Duration::from_secs(10);
/// For the head of a request, once it has begun.
const HEAD: Duration = Duration::from_secs(10);
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
/// after 90 s without a request.
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
    let router = router.layer(Extension(Served(Arc::clone(&limits))));
    let acceptor = tls.map(Tls::acceptor);
    let (end, ended) = watch::channel(());
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
        // One too many is closed at once, and may be tried again.
        let Ok(place) = limits.connect() else {
            debug!("a connection was closed, because there are too many");
            continue;
        };
        // An answer in two parts shall not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let (router, acceptor, ended) = (router.clone(), acceptor.clone(), ended.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, router, ended).await,
                Some(acceptor) => greet(acceptor, stream, router, ended).await,
            }
            drop(place);
        });
    }
    // Watches do not end by themselves.
    end.send_replace(());
    drop(ended);
    let _ = timeout(GRACE, end.closed()).await;
    Ok(())
}

/// Serves a connection after a TLS handshake.
async fn greet(
    acceptor: TlsAcceptor,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    ended: watch::Receiver<()>,
) {
    match timeout(FIRST, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = Shown::of(stream.get_ref().1);
            connection(stream, router.layer(Extension(shown)), ended).await;
        }
        Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

/// Serves a connection until it ends, is idle or does not read for too long, or all end.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut ended: watch::Receiver<()>,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_concurrent_streams(STREAMS);
    let activity = Activity::new();
    let requests = activity.clone();
    let router = ServiceBuilder::new().service_fn(move |request| {
        let (router, running) = (router.clone(), requests.begin());
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
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let began = Instant::now();
    let mut deadline = began + FIRST;
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
                debug!("a connection was closed, because its client does not read");
                return;
            }
            _ = ended.changed(), if !is_ending => {
                is_ending = true;
                served.as_mut().graceful_shutdown();
            }
            () = sleep_until(deadline) => {
                let now = Instant::now();
                let patience = if activity.was_used() { IDLE } else { FIRST };
                match activity.idle_since(began) {
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
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::super::sending::holding;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_gives_its_memory_back() {
        const BYTES: usize = 1 << 20;
        let limits = Arc::new(Limits::with_answers(1, BYTES / 1024));
        let shared = Arc::clone(&limits);
        let router = Router::new().fallback(move || async move {
            let place = shared.answer(BYTES).await.ok();
            holding(Response::new(Body::from(vec![b'x'; BYTES])), place)
        });
        let (mut client, server) = tokio::io::duplex(1024);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let (_end, ended) = watch::channel(());
        let served = tokio::spawn(connection(server, router, ended));
        // The answer is under way when nothing else is to be done.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(limits.answer(BYTES).await.is_err());
        served.await.unwrap();
        assert!(limits.answer(BYTES).await.is_ok());
    }
}
