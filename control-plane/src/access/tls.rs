//! Serving over TLS: certificates, and connections by HTTP/1.1 and HTTP/2.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::certificates::Certificates;
use super::client_certificates::{AskForCertificate, Shown};

/// Why certificates can't be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read or written.
    #[error("a certificate can't be read or written: {0}")]
    Storage(#[from] io::Error),
    /// A certificate can't be made.
    #[error("a certificate can't be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A file holds no certificate or key.
    #[error("a certificate can't be read: {0}")]
    Read(#[from] rustls::pki_types::pem::Error),
    /// The authority's key can't be read.
    #[error(
        "{file} holds no key: restore it, or remove it to have another authority made; kubeconfigs that trust the old one are void then"
    )]
    AuthorityKey {
        /// The name of the file.
        file: String,
    },
    /// Certificate and key can't be used together.
    #[error("a certificate can't be used: {0}")]
    Use(#[from] rustls::Error),
}

/// How a server shows who it is.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    authority: String,
}

impl Tls {
    /// The certificates in a folder. What is missing, ends soon or is not for all of these names
    /// and addresses is made; clients that trust the folder's authority go on to do so.
    pub fn open(folder: &Path, names: &[impl AsRef<str>]) -> Result<Self, TlsError> {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let certificates = Certificates::open(folder, &names, Timestamp::now())?;
        let authority = certificates.authority()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(AskForCertificate::new()))
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            authority,
        })
    }

    /// The authority's certificate, as PEM, for kubeconfig files.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// Marks requests that come from other machines.
#[derive(Clone, Copy)]
pub(crate) struct Outside;

/// Serves a router on a listener until `shutdown` is done; then no connection is accepted any more,
/// and those that are open get a second to finish.
///
/// A listener that other machines reach needs TLS, or this fails with `PermissionDenied`; and who
/// comes by it needs a token, whatever [`Options::anonymous`](crate::Options::anonymous) and
/// [`ControlPlane::router_for`](crate::ControlPlane::router_for) say.
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
    let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.config)));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
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
        let (router, watcher, acceptor) = (router.clone(), graceful.watcher(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, router, watcher).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => {
                        let shown = Shown::of(stream.get_ref().1);
                        connection(stream, router.layer(Extension(shown)), watcher).await;
                    }
                    Err(error) => debug!(%error, "a TLS handshake failed"),
                },
            }
        });
    }
    // Watches do not end by themselves.
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

/// After an accept that failed, before the next.
const RETRY: std::time::Duration = std::time::Duration::from_millis(50);
/// For what is under way at the end.
const GRACE: std::time::Duration = std::time::Duration::from_secs(1);

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        debug!(%error, "a connection ended");
    }
}

/// Requests of one HTTP/2 connection at a time, as Go's server has it by default.
const STREAMS: u32 = 1000;
