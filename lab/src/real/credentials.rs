//! The lab's keys, certificates, token and kubeconfigs.
//!
//! One certificate authority and one administrator's token serve all clusters
//! of a lab. They are made when the lab goes up and outlive restarts, also
//! that of a cluster whose data is lost.

use std::fs;
use std::path::{Path, PathBuf};

use control_plane::{Tls, TlsError};
use rcgen::KeyPair;

use super::error::{Error, Result};
use super::front_proxy::FrontProxy;
use crate::access;

/// What the API servers are called.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "kubernetes.default.svc"];

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

        Tls::open(directory, &NAMES)?;
        let accounts = KeyPair::generate().map_err(TlsError::from)?;
        write_secret(&credentials.account_key(), &accounts.serialize_pem())?;
        write_secret(
            &credentials.account_public_key(),
            &accounts.public_key_pem(),
        )?;
        let token = access::token(directory).map_err(Error::io("make a token in", directory))?;
        write_secret(
            &credentials.tokens(),
            &format!("{token},admin,admin,system:masters\n"),
        )?;
        credentials.front_proxy().create()?;
        Ok(credentials)
    }

    /// Those that an earlier run made in `directory`.
    pub(crate) fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Where they all are, as the embedded control plane wants them.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The authority's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    pub(crate) fn server_certificate(&self) -> PathBuf {
        self.directory.join("tls.crt")
    }

    pub(crate) fn server_key(&self) -> PathBuf {
        self.directory.join("tls.key")
    }

    /// Signs the tokens of service accounts.
    pub(crate) fn account_key(&self) -> PathBuf {
        self.directory.join("sa.key")
    }

    pub(crate) fn account_public_key(&self) -> PathBuf {
        self.directory.join("sa.pub")
    }

    /// By what the API server forwards requests.
    pub(crate) fn front_proxy(&self) -> FrontProxy {
        FrontProxy::at(&self.directory)
    }

    /// The API server's table of static tokens.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.directory.join("tokens.csv")
    }

    /// Writes a kubeconfig with one context per (cluster, server URL); the
    /// first is the current one. The authority is embedded, so the file works
    /// from anywhere.
    pub(crate) fn write_kubeconfig(&self, path: &Path, clusters: &[(&str, String)]) -> Result<()> {
        let ca = self.ca();
        let authority = fs::read_to_string(&ca).map_err(Error::io("read", &ca))?;
        let token = access::token(&self.directory).map_err(Error::io("read", &self.directory))?;
        write_secret(path, &access::kubeconfig(clusters, &authority, &token))
    }
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    access::write_secret(path, text).map_err(Error::io("write", path))
}
