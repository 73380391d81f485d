//! The certificate by which an API server shows extension API servers that it is the one who
//! forwards a request (Kubernetes calls it the front proxy, or aggregator). It has an authority of
//! its own, as kubeadm makes it.

use std::path::{Path, PathBuf};

use control_plane::TlsError;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::error::{Error, Result};
use crate::access::write_secret;

/// The name in the certificate: no other name may forward.
pub(crate) const NAME: &str = "front-proxy-client";

/// Where the files are.
#[derive(Clone, Debug)]
pub(crate) struct FrontProxy {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl FrontProxy {
    pub(super) fn at(directory: &Path) -> Self {
        Self {
            authority: directory.join("front-proxy-ca.crt"),
            certificate: directory.join("front-proxy-client.crt"),
            key: directory.join("front-proxy-client.key"),
        }
    }

    /// Makes authority, certificate and key.
    pub(super) fn create(&self) -> Result<()> {
        let (authority, certificate, key) = make().map_err(TlsError::from)?;
        let files = [
            (&self.authority, authority),
            (&self.certificate, certificate),
            (&self.key, key),
        ];
        for (path, text) in files {
            write_secret(path, &text).map_err(Error::io("write", path))?;
        }
        Ok(())
    }
}

/// Authority, certificate and key, as PEM.
fn make() -> std::result::Result<(String, String, String), rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (authority.distinguished_name).push(DnType::CommonName, "front-proxy-ca");
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let mut client = CertificateParams::default();
    client.distinguished_name.push(DnType::CommonName, NAME);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = client.signed_by(&key, &issuer)?;
    let key = key.serialize_pem();
    Ok((authority_certificate.pem(), certificate.pem(), key))
}
