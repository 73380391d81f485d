//! One client: an HTTP/1.1 connection over TLS, as `kube` clients have it.
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
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

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
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// A connection of its own.
    pub(super) async fn connect(&self, connector: &TlsConnector) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream = connector.connect(name, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection {
            sender,
            prefix: self.prefix.clone(),
            authorization: format!("Bearer {}", self.token),
        })
    }
}

/// An open connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
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
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
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
        let mut answer = self.open(method, path, body).await?;
        let mut length = 0;
        while let Some(frame) = answer.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(length)
    }

    /// Whether the control plane says that it is ready.
    pub(super) async fn ready(&mut self) -> Result<()> {
        let asked = self.call(Method::GET, "/readyz", Bytes::new()).await;
        asked.map(drop).context("the control plane is not ready")
    }
}
