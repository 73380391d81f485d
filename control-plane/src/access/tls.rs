//! The certificates of a server.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

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

const AUTHORITY: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

impl Tls {
    /// The certificates in a folder. If there are none for all of these names and addresses, an
    /// authority and a certificate for them are made; the authority's key is not kept.
    pub fn open(folder: &Path, names: &[impl AsRef<str>]) -> Result<Self, TlsError> {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        if !folder.join(KEY).exists() || !covers(folder, &names) {
            make(folder, &names)?;
        }
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(folder.join(CERTIFICATE))?.collect();
        let key = PrivateKeyDer::from_pem_file(folder.join(KEY))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain?, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            authority: fs::read_to_string(folder.join(AUTHORITY))?,
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

/// Whether the folder's certificate is for all of these names.
fn covers(folder: &Path, names: &[&str]) -> bool {
    let Ok(certificate) = CertificateDer::from_pem_file(folder.join(CERTIFICATE)) else {
        return false;
    };
    let Ok(certificate) = ParsedCertificate::try_from(&certificate) else {
        return false;
    };
    let covered = |name: &&str| {
        let name = ServerName::try_from(*name);
        name.is_ok_and(|name| verify_server_name(&certificate, &name).is_ok())
    };
    names.iter().all(covered)
}

fn make(folder: &Path, names: &[&str]) -> Result<(), TlsError> {
    fs::create_dir_all(folder)?;
    // While others are written, what is there is not to be used.
    if folder.join(KEY).exists() {
        fs::remove_file(folder.join(KEY))?;
    }
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "control-plane");
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    fs::write(folder.join(AUTHORITY), authority_certificate.pem())?;
    fs::write(folder.join(CERTIFICATE), certificate.pem())?;
    // Last: its presence says that all is there.
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(folder.join(KEY))?;
    io::Write::write_all(&mut file, key.serialize_pem().as_bytes())?;
    Ok(())
}
