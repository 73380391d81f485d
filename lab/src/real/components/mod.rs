//! The processes of one cluster, and where their files are.

mod embedded;
mod kubernetes;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::binaries::Binaries;
use super::credentials::Credentials;
use super::options::Flavour;
use super::ports::Ports;

pub(crate) use kubernetes::{
    AUDIT_POLICY, audit_log, audit_policy, kwok_configuration, kwok_configuration_text,
};

/// A process to start.
pub(crate) struct Component {
    /// What it is called in the record and in messages, and what its log is called.
    pub(crate) name: &'static str,
    pub(crate) command: Command,
}

/// What the commands of one cluster are made of.
pub(crate) struct Plan<'a> {
    pub(crate) flavour: &'a Flavour,
    pub(crate) name: &'a str,
    pub(crate) is_hub: bool,
    pub(crate) binaries: &'a Binaries,
    pub(crate) credentials: &'a Credentials,
    pub(crate) ports: Ports,
    /// The cluster's own directory.
    pub(crate) directory: &'a Path,
    pub(crate) metrics: bool,
    /// The policy by which the API server records requests.
    pub(crate) audit: Option<PathBuf>,
    pub(crate) fsync: bool,
}

impl Plan<'_> {
    /// What serves the API, in the order in which it is started.
    pub(crate) fn servers(&self) -> Vec<Component> {
        match self.flavour {
            Flavour::Kubernetes => kubernetes::servers(self),
            Flavour::Embedded { program } => vec![embedded::server(self, program)],
        }
    }

    /// What else the cluster is made of.
    pub(crate) fn clients(&self) -> Vec<Component> {
        match self.flavour {
            Flavour::Kubernetes => kubernetes::clients(self),
            Flavour::Embedded { .. } => Vec::new(),
        }
    }
}

impl Flavour {
    /// The name of the process that answers requests.
    pub(crate) fn api_server(&self) -> &'static str {
        match self {
            Self::Kubernetes => kubernetes::API_SERVER,
            Self::Embedded { .. } => embedded::NAME,
        }
    }
}

/// What the API server keeps.
pub(crate) fn database(directory: &Path) -> PathBuf {
    directory.join("database")
}

pub(crate) fn kubeconfig(directory: &Path) -> PathBuf {
    directory.join("kubeconfig")
}

pub(crate) fn log(directory: &Path, component: &str) -> PathBuf {
    directory.join(format!("{component}.log"))
}

fn flag(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(value);
    flag
}
