//! The flags of an operator that asks a Prometheus.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::prometheus::{Credentials, PrometheusError, Server, ServerOptions};

/// Where Prometheus is, and who asks it.
#[derive(Debug, Clone, Args)]
pub struct PrometheusArgs {
    /// Prometheus that sees every cluster (label `cluster_name`); e.g. <http://prometheus:9090>
    #[arg(long, env = "MCK8S_PROMETHEUS_URL", value_name = "URL")]
    pub prometheus_url: Option<String>,

    /// File with a bearer token for Prometheus
    #[arg(
        long,
        env = "MCK8S_PROMETHEUS_TOKEN_FILE",
        value_name = "FILE",
        requires = "prometheus_url"
    )]
    pub prometheus_token_file: Option<PathBuf>,

    /// User for Prometheus, with the password of --prometheus-password-file
    #[arg(
        long,
        env = "MCK8S_PROMETHEUS_USER",
        value_name = "NAME",
        requires = "prometheus_password_file",
        conflicts_with = "prometheus_token_file"
    )]
    pub prometheus_user: Option<String>,

    /// File with the password for Prometheus
    #[arg(
        long,
        env = "MCK8S_PROMETHEUS_PASSWORD_FILE",
        value_name = "FILE",
        requires_all = ["prometheus_url", "prometheus_user"]
    )]
    pub prometheus_password_file: Option<PathBuf>,

    /// File with the CA certificates (PEM) of Prometheus [default: the system's]
    #[arg(
        long,
        env = "MCK8S_PROMETHEUS_CA_FILE",
        value_name = "FILE",
        requires = "prometheus_url"
    )]
    pub prometheus_ca_file: Option<PathBuf>,
}

impl PrometheusArgs {
    /// The server, if one is given; a query may take so long.
    pub fn server(&self, timeout: Duration) -> Result<Option<Server>, PrometheusError> {
        let Some(url) = &self.prometheus_url else {
            return Ok(None);
        };
        let options = ServerOptions {
            credentials: Credentials::given(
                self.prometheus_token_file.clone(),
                self.prometheus_user.clone(),
                self.prometheus_password_file.clone(),
            )?,
            ca_file: self.prometheus_ca_file.clone(),
            timeout,
        };
        Server::new(url, options).map(Some)
    }
}
