//! The lab's keys, certificates, token and kubeconfigs.
//!
//! One certificate authority and one administrator's token serve all clusters
//! of a lab. They are made when the lab goes up and outlive restarts, also
//! that of a cluster whose data is lost.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use super::error::{Error, Result};

/// Where the files of a lab's credentials are.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    directory: PathBuf,
}

impl Credentials {
    /// Makes new ones in `directory`.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        let credentials = Self::at(directory);

        let authority = CertifiedIssuer::self_signed(authority(), KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = server()?.signed_by(&key, &authority)?;
        write_secret(&credentials.ca(), &authority.pem())?;
        write_secret(&credentials.server_certificate(), &certificate.pem())?;
        write_secret(&credentials.server_key(), &key.serialize_pem())?;

        let accounts = KeyPair::generate()?;
        write_secret(&credentials.account_key(), &accounts.serialize_pem())?;
        write_secret(
            &credentials.account_public_key(),
            &accounts.public_key_pem(),
        )?;

        let token = random_token()?;
        write_secret(&credentials.directory.join("token"), &token)?;
        write_secret(
            &credentials.tokens(),
            &format!("{token},admin,admin,system:masters\n"),
        )?;
        Ok(credentials)
    }

    /// Those that an earlier run made in `directory`.
    pub(crate) fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// The authority's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    pub(crate) fn server_certificate(&self) -> PathBuf {
        self.directory.join("server.crt")
    }

    pub(crate) fn server_key(&self) -> PathBuf {
        self.directory.join("server.key")
    }

    /// Signs the tokens of service accounts.
    pub(crate) fn account_key(&self) -> PathBuf {
        self.directory.join("sa.key")
    }

    pub(crate) fn account_public_key(&self) -> PathBuf {
        self.directory.join("sa.pub")
    }

    /// The API server's table of static tokens.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.directory.join("tokens.csv")
    }

    /// Writes a kubeconfig with one context per (cluster, server URL); the
    /// first is the current one. The authority is embedded, so the file works
    /// from anywhere.
    pub(crate) fn write_kubeconfig(&self, path: &Path, clusters: &[(&str, String)]) -> Result<()> {
        let authority = BASE64_STANDARD.encode(read(&self.ca())?);
        let token = String::from_utf8_lossy(&read(&self.directory.join("token"))?).into_owned();
        let text = kubeconfig(clusters, &authority, &token);
        write_secret(path, &text)
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "mck8s lab");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server() -> Result<CertificateParams> {
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn kubeconfig(clusters: &[(&str, String)], authority: &str, token: &str) -> String {
    let mut text = String::from("apiVersion: v1\nkind: Config\n");
    if let Some((first, _)) = clusters.first() {
        let _ = writeln!(text, "current-context: {first}");
    }
    text.push_str("contexts:\n");
    for (name, _) in clusters {
        let _ = writeln!(
            text,
            "- name: {name}\n  context: {{cluster: {name}, user: admin}}"
        );
    }
    text.push_str("clusters:\n");
    for (name, server) in clusters {
        let _ = writeln!(text, "- name: {name}\n  cluster:\n    server: {server}");
        if server.starts_with("https:") {
            let _ = writeln!(text, "    certificate-authority-data: {authority}");
        }
    }
    let _ = writeln!(text, "users:\n- name: admin\n  user: {{token: {token}}}");
    text
}

/// Anybody on this machine can reach the lab's ports, so the token is a
/// secret like any other.
fn random_token() -> Result<String> {
    let path = "/dev/urandom";
    let mut bytes = [0_u8; 16];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Error::io("read", path))?;
    Ok(bytes.iter().fold(String::new(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    }))
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::io("write", path))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubeconfig_is_understood() {
        let text = kubeconfig(
            &[
                ("cluster0", "https://127.0.0.1:1".to_owned()),
                ("cluster1", "http://127.0.0.1:2".to_owned()),
            ],
            "QQ==",
            "secret",
        );
        let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(config.current_context.as_deref(), Some("cluster0"));
        assert_eq!(config.contexts.len(), 2);
        let authorities: Vec<_> = config
            .clusters
            .iter()
            .map(|named| {
                named
                    .cluster
                    .as_ref()
                    .unwrap()
                    .certificate_authority_data
                    .clone()
            })
            .collect();
        assert_eq!(authorities, [Some("QQ==".to_owned()), None]);
    }
}
