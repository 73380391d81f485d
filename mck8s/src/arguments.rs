//! What people can say to `mck8s up`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use lab::simulated::{Clusters, Scenario};
use placement::parse_milli;
use rustls::pki_types::ServerName;

use crate::scenarios;

/// How it is shaped.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where data, certificates and the kubeconfig are kept
    #[arg(long, default_value = ".mck8s", value_name = "FOLDER")]
    pub(crate) data_dir: PathBuf,
    /// Simulated members
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    members: u32,
    /// Nodes of each member
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    nodes: u32,
    /// Cores of each node
    #[arg(long, default_value = "4", value_parser = amount, allow_hyphen_values = true)]
    cpu: String,
    /// Memory of each node
    #[arg(long, default_value = "16Gi", value_parser = amount, allow_hyphen_values = true)]
    memory: String,
    /// YAML file with clusters of different sizes, regions, delays and failures
    #[arg(long, value_name = "FILE", conflicts_with_all = ["members", "nodes", "cpu", "memory"])]
    config: Option<PathBuf>,
    /// Play a scenario: flash-crowd, cluster-loss, rough-day, day, or a YAML file. It has its own
    /// members, and nothing of it is kept
    #[arg(
        long, value_name = "NAME|FILE",
        conflicts_with_all = ["members", "nodes", "cpu", "memory", "config"]
    )]
    scenario: Option<String>,
    /// Address that the API is served on; only this machine reaches it unless you say otherwise
    #[arg(
        long, default_value = "127.0.0.1:7443", value_name = "ADDRESS:PORT", value_parser = address
    )]
    pub(crate) listen: SocketAddr,
    /// A further name or address that the API is reached by; its certificate covers it
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) tls_san: Vec<String>,
    /// File that requests are recorded in, as events of audit.k8s.io/v1; rotated at 100 MiB
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Policy of audit.k8s.io/v1: how much of which requests is recorded. Metadata of all but
    /// health, discovery, events and leases if not given
    #[arg(long, value_name = "FILE", requires = "audit_log")]
    pub(crate) audit_policy: Option<PathBuf>,
    /// What is logged
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    pub(crate) log_level: String,
    /// Where the log goes instead of standard error; after 10 MiB it goes on in a new file, and
    /// the one before stays as FILE.1
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

impl Arguments {
    /// The scenario that is asked for.
    pub(crate) fn scenario(&self) -> Result<Option<Scenario>> {
        self.scenario.as_deref().map(scenarios::find).transpose()
    }

    /// The members that are asked for, if there is no scenario.
    pub(crate) fn clusters(&self) -> Result<Clusters> {
        if let Some(file) = &self.config {
            // The error says what the system says; it is not to be said twice.
            return Clusters::read(file).map_err(|error| anyhow!("{error}"));
        }
        let text = format!(
            "clusters: {}\ndefaults: {{nodes: {}, cpu: {:?}, memory: {:?}}}",
            self.members, self.nodes, self.cpu, self.memory
        );
        Ok(Clusters::parse(&text, Path::new("the flags"))?)
    }
}

fn amount(text: &str) -> Result<String, String> {
    match parse_milli(text) {
        Ok(amount) if amount > 0 => Ok(text.to_owned()),
        Ok(_) => Err("a node has some of it; write an amount such as 4, 500m or 16Gi".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let hint = "write an IP address and a port, as 127.0.0.1:7443 or [::1]:7443; port 0 takes any \
                that is free";
    text.parse().map_err(|_| hint.to_owned())
}

fn name(text: &str) -> Result<String, String> {
    let hint = "write a host name or an IP address, without a port, as lab.example.org or 10.0.0.7";
    let parsed = ServerName::try_from(text).map_err(|_| hint.to_owned());
    parsed.map(|_| text.to_owned())
}
