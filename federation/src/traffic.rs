//! How much network traffic each cluster receives, from Prometheus.
//!
//! The policy `most_traffic` of the original goes by two numbers: on creation by what the
//! cluster's nodes receive, on update by what the application's own pods receive. It asks once per
//! cluster; here one query sums by cluster and answers for all of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use prometheus_http_query::Client;
use prometheus_http_query::response::Data;
use reqwest::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use reqwest::redirect;
use reqwest::{Certificate, Url};

/// The `PromQL` that is asked, and how its answer names the clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficQueries {
    /// Bytes per second that a cluster's nodes receive.
    pub creation: String,
    /// Bytes per second that an application's pods receive. `{namespace}` stands for the
    /// namespace, `{pods}` for a regular expression of the pods' names; both are escaped for a
    /// string in double quotes.
    pub update: String,
    /// The label whose value is the cluster's name.
    pub cluster_label: String,
}

impl Default for TrafficQueries {
    /// The original's queries.
    fn default() -> Self {
        Self {
            creation:
                "sum by (cluster_name) (instance:node_network_receive_bytes_excluding_lo:rate1m)"
                    .to_owned(),
            update: "sum by (cluster_name) (irate(container_network_receive_bytes_total\
                     {namespace=\"{namespace}\",pod=~\"{pods}\"}[60s]))"
                .to_owned(),
            cluster_label: "cluster_name".to_owned(),
        }
    }
}

/// How to ask.
#[derive(Debug, Clone)]
pub struct TrafficOptions {
    /// File with a bearer token; read at every query, because such tokens are rotated.
    pub bearer_token_file: Option<PathBuf>,
    /// File with the certificates (PEM) that the server's must be signed by, instead of the
    /// system's.
    pub ca_file: Option<PathBuf>,
    /// How long one query may take, all in all.
    pub timeout: Duration,
    /// What to ask.
    pub queries: TrafficQueries,
}

impl Default for TrafficOptions {
    /// No token, the system's certificates, ten seconds, the original's queries.
    fn default() -> Self {
        Self {
            bearer_token_file: None,
            ca_file: None,
            timeout: Duration::from_secs(10),
            queries: TrafficQueries::default(),
        }
    }
}

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The address can't be used.
    #[error(
        "not an address of a Prometheus server ({0}); write for example http://prometheus.monitoring:9090"
    )]
    Address(String),
    /// A file that was named can't be read.
    #[error("can't read {}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The token file holds something else.
    #[error("{} does not hold a bearer token: {source}", file.display())]
    Token {
        /// The file.
        file: PathBuf,
        /// What is wrong, without the content.
        source: InvalidHeaderValue,
    },
    /// The certificates can't be used.
    #[error("can't set up TLS: {0}")]
    Tls(String),
    /// There was no answer in time.
    #[error("Prometheus at {server} did not answer within {after:?}")]
    Silent {
        /// The server.
        server: String,
        /// The time it was given.
        after: Duration,
    },
    /// The query failed.
    #[error("Prometheus at {server} did not answer {query:?}: {reason}")]
    Query {
        /// The server.
        server: String,
        /// The query as sent.
        query: String,
        /// The reason, of the server or of the connection.
        reason: String,
    },
    /// The query's answer is not a list of samples.
    #[error(
        "{query:?} does not give one sample by cluster; write a query of the form sum by (cluster_name) (…)"
    )]
    Shape {
        /// The query as sent.
        query: String,
    },
}

/// Bytes per second by the cluster's name. A cluster that nothing is known of is not there.
pub type ByCluster = BTreeMap<String, f64>;

/// Who knows the traffic of all clusters.
pub trait Traffic: Send + Sync {
    /// Bytes per second that each cluster's nodes receive.
    fn on_creation(&self) -> BoxFuture<'_, Result<ByCluster, TrafficError>>;

    /// Bytes per second that the pods of this namespace receive whose names begin with
    /// `pod_prefix`.
    fn on_update<'a>(
        &'a self,
        namespace: &'a str,
        pod_prefix: &'a str,
    ) -> BoxFuture<'a, Result<ByCluster, TrafficError>>;
}

/// A Prometheus server that knows the traffic of all clusters.
pub struct TrafficSource {
    client: Client,
    options: TrafficOptions,
}

impl TrafficSource {
    /// Prepares to ask the server at `url`; nothing is sent yet.
    pub fn new(url: &str, options: TrafficOptions) -> Result<Self, TrafficError> {
        let address = checked(url)?;
        // A failure says that there is a provider already, which serves as well.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            // The token must not go where a redirect says.
            .redirect(redirect::Policy::none());
        if let Some(file) = &options.ca_file {
            builder = builder.tls_certs_only(certificates(file)?);
        } else if address.scheme() == "http" {
            // An image without any system certificates is good enough for plain HTTP.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|error| TrafficError::Tls(root_cause(&error)))?;
        let client = Client::from(http, address.as_str())
            .map_err(|error| TrafficError::Address(error.to_string()))?;
        Ok(Self { client, options })
    }

    async fn ask(&self, query: &str) -> Result<ByCluster, TrafficError> {
        let patience = self.options.timeout;
        match tokio::time::timeout(patience, self.answer(query)).await {
            Ok(answer) => answer,
            Err(_) => Err(TrafficError::Silent {
                server: self.client.base_url().to_string(),
                after: patience,
            }),
        }
    }

    async fn answer(&self, query: &str) -> Result<ByCluster, TrafficError> {
        let mut request = self.client.query(query);
        if let Some(file) = &self.options.bearer_token_file {
            request = request.header(AUTHORIZATION, bearer(file).await?);
        }
        let answer = request.post().await.map_err(|error| TrafficError::Query {
            server: self.client.base_url().to_string(),
            query: query.to_owned(),
            reason: root_cause(&error),
        })?;
        let (Data::Vector(samples), _) = answer.into_inner() else {
            return Err(TrafficError::Shape {
                query: query.to_owned(),
            });
        };
        let by_cluster = samples.into_iter().filter_map(|sample| {
            let (mut labels, sample) = sample.into_inner();
            let cluster = labels.remove(&self.options.queries.cluster_label)?;
            // A division by zero in a recording rule says nothing about the traffic.
            sample
                .value()
                .is_finite()
                .then(|| (cluster, sample.value()))
        });
        Ok(by_cluster.collect())
    }
}

impl Traffic for TrafficSource {
    fn on_creation(&self) -> BoxFuture<'_, Result<ByCluster, TrafficError>> {
        self.ask(&self.options.queries.creation).boxed()
    }

    fn on_update<'a>(
        &'a self,
        namespace: &'a str,
        pod_prefix: &'a str,
    ) -> BoxFuture<'a, Result<ByCluster, TrafficError>> {
        let query = filled(&self.options.queries.update, namespace, pod_prefix);
        async move { self.ask(&query).await }.boxed()
    }
}

/// An address without anything secret in it, so that it can be in an error.
fn checked(url: &str) -> Result<Url, TrafficError> {
    let address = Url::parse(url).map_err(|error| TrafficError::Address(error.to_string()))?;
    let secret =
        !address.username().is_empty() || address.password().is_some() || address.query().is_some();
    if secret {
        let reason = "it has a user, a password or a query; put a token in a file";
        return Err(TrafficError::Address(reason.to_owned()));
    }
    match address.scheme() {
        "http" | "https" => Ok(address),
        other => Err(TrafficError::Address(format!(
            "{other:?} is neither http nor https"
        ))),
    }
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, TrafficError> {
    let pem = std::fs::read(file).map_err(|source| TrafficError::File {
        file: file.to_owned(),
        source,
    })?;
    let none = || TrafficError::Tls(format!("there is no certificate in {}", file.display()));
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| none())?;
    if certificates.is_empty() {
        return Err(none());
    }
    Ok(certificates)
}

async fn bearer(file: &Path) -> Result<HeaderValue, TrafficError> {
    let read = tokio::task::spawn_blocking({
        let file = file.to_owned();
        move || std::fs::read_to_string(file)
    });
    let token = read.await.map_err(std::io::Error::other).flatten();
    let token = token.map_err(|source| TrafficError::File {
        file: file.to_owned(),
        source,
    })?;
    let mut header =
        HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|source| {
            TrafficError::Token {
                file: file.to_owned(),
                source,
            }
        })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The template with both placeholders filled.
fn filled(template: &str, namespace: &str, pod_prefix: &str) -> String {
    let pods = format!("{}.*", regex_escaped(pod_prefix));
    template
        .replace("{namespace}", &string_escaped(namespace))
        .replace("{pods}", &string_escaped(&pods))
}

/// The text as a regular expression (RE2) that matches just this text.
fn regex_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The text inside a `PromQL` string in double quotes.
fn string_escaped(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

/// The innermost reason: the outer ones only say that a request failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
