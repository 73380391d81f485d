//! The certificates of a server.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::certificates::Certificates;
use super::client_certificates::AskForCertificate;
use super::tls_error::TlsError;

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

    /// Greets those who connect.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// The authority's certificate, as PEM, for kubeconfig files.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}
