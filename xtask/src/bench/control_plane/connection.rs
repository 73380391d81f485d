//! Clients: each with an HTTP/1.1 connection over TLS, as `kube` has it, or all on one HTTP/2
//! connection, as the clients of one Go process are.
//!
//! It sends bytes and drains what is answered, so that of the processors that all share it takes
//! as little as can be, and the same for every server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where a server is, and how to be let in.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// What comes before the paths of the API.
    pub(super) prefix: String,
    /// The file with the certificate of its authority.
    pub(super) authority: PathBuf,
    pub(super) token: String,
    /// Its processes.
    pub(super) pids: Vec<u32>,
}

impl Server {
    /// How clients check who it is: made once, used for many connections.
    pub(super) fn connector(&self) -> Result<TlsConnector> {
        self.connector_for(&[])
    }

    fn connector_for(&self, protocols: &[&[u8]]) -> Result<TlsConnector> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn open(&self, connector: &TlsConnector) -> Result<TokioIo<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        Ok(TokioIo::new(connector.connect(name, stream).await?))
    }

    /// A connection of its own.
    pub(super) async fn connect(&self, connector: &TlsConnector) -> Result<Connection> {
        let (sender, connection) = http1::handshake(self.open(connector).await?).await?;
        tokio::spawn(connection);
        Ok(self.connection(Sender::Own(sender)))
    }

    /// Clients that share one HTTP/2 connection.
    pub(super) async fn connect_shared(&self, clients: usize) -> Result<Vec<Connection>> {
        let stream = self.open(&self.connector_for(&[b"h2"])?).await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        // As Go's client has them.
        builder
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(1 << 30);
        let (sender, connection) = builder.handshake(stream).await?;
        tokio::spawn(connection);
        let client = |_| self.connection(Sender::Shared(sender.clone()));
        Ok((0..clients).map(client).collect())
    }

    fn connection(&self, sender: Sender) -> Connection {
        Connection {
            sender,
            prefix: self.prefix.clone(),
            authorization: format!("Bearer {}", self.token),
        }
    }
}

enum Sender {
    Own(http1::SendRequest<Full<Bytes>>),
    Shared(http2::SendRequest<Full<Bytes>>),
}

/// An open connection.
pub(super) struct Connection {
    sender: Sender,
    prefix: String,
    authorization: String,
}

impl Connection {
    /// Sends a request; gives the body to be read, of an answer that is no error.
    pub(super) async fn open(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Incoming> {
        self.open_as(method, path, "application/json", body).await
    }

    async fn open_as(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Incoming> {
        let path = format!("{}{path}", self.prefix);
        let uri = match self.sender {
            Sender::Own(_) => path.clone(),
            Sender::Shared(_) => format!("https://127.0.0.1{path}"),
        };
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(body))?;
        let response = match &mut self.sender {
            Sender::Own(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Shared(sender) => sender.send_request(request).await?,
        };
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let text = body.collect().await?.to_bytes();
            let text = String::from_utf8_lossy(&text).into_owned();
            bail!("{path} was answered with {}: {text}", parts.status);
        }
        Ok(body)
    }

    /// Sends a request and reads its answer to the end. Gives the length of the body.
    pub(super) async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<usize> {
        let answer = self.open(method, path, body).await?;
        drain(answer).await
    }

    /// Sends a JSON patch and reads its answer to the end.
    pub(super) async fn patch(&mut self, path: &str, body: Bytes) -> Result<()> {
        let kind = "application/json-patch+json";
        let answer = self.open_as(Method::PATCH, path, kind, body).await?;
        drain(answer).await?;
        Ok(())
    }

    /// Whether the control plane says that it is ready.
    pub(super) async fn ready(&mut self) -> Result<()> {
        let asked = self.call(Method::GET, "/readyz", Bytes::new()).await;
        asked.map(drop).context("the control plane is not ready")
    }
}

/// Reads an answer to its end. Gives the length of the body.
async fn drain(mut answer: Incoming) -> Result<usize> {
    let mut length = 0;
    while let Some(frame) = answer.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(length)
}
