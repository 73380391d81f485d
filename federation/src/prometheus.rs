//! A Prometheus server, and what it answers to a query.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prometheus_http_query::Client;
use prometheus_http_query::response::{Data, Sample as Answered};
use reqwest::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use reqwest::redirect;
use reqwest::{Certificate, Url};

/// How to ask.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Who asks, if the server wants to know.
    pub credentials: Option<Credentials>,
    /// File with the certificates (PEM) that the server's must be signed by, instead of the
    /// system's.
    pub ca_file: Option<PathBuf>,
    /// How long one query may take, all in all.
    pub timeout: Duration,
}

/// Who asks. Files are read at every query, because what they hold is rotated.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// File with a bearer token.
    Bearer(PathBuf),
    /// Basic authentication.
    Basic {
        /// The user.
        user: String,
        /// File with the password.
        password_file: PathBuf,
    },
}

impl Default for ServerOptions {
    /// No credentials, the system's certificates, ten seconds.
    fn default() -> Self {
        Self {
            credentials: None,
            ca_file: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
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
    /// A user without a password, or the other way round, or a token besides.
    #[error("give either a bearer token, or a user and a password file")]
    Credentials,
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
    /// The answer is of another kind than numbers at one moment.
    #[error(
        "{query:?} does not give numbers at one moment; write a query without a range at the end"
    )]
    Shape {
        /// The query as sent.
        query: String,
    },
}

/// What a query gives at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One number.
    Scalar(Sample),
    /// Numbers by their labels.
    Vector(Vec<(BTreeMap<String, String>, Sample)>),
}

/// A number at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The number; NaN and infinities are possible.
    pub value: f64,
    /// Seconds since 1970.
    pub at: f64,
}

/// A Prometheus server.
#[derive(Clone)]
pub struct Server {
    client: Client,
    options: ServerOptions,
}

impl Server {
    /// Prepares to ask the server at `url`; nothing is sent yet.
    pub fn new(url: &str, options: ServerOptions) -> Result<Self, PrometheusError> {
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
            .map_err(|error| PrometheusError::Tls(root_cause(&error)))?;
        let client = Client::from(http, address.as_str())
            .map_err(|error| PrometheusError::Address(error.to_string()))?;
        Ok(Self { client, options })
    }

    /// What `query` gives now.
    pub async fn ask(&self, query: &str) -> Result<Answer, PrometheusError> {
        let patience = self.options.timeout;
        match tokio::time::timeout(patience, self.answer(query)).await {
            Ok(answer) => answer,
            Err(_) => Err(PrometheusError::Silent {
                server: self.client.base_url().to_string(),
                after: patience,
            }),
        }
    }

    async fn answer(&self, query: &str) -> Result<Answer, PrometheusError> {
        let mut request = self.client.query(query);
        if let Some(credentials) = &self.options.credentials {
            request = request.header(AUTHORIZATION, credentials.header().await?);
        }
        let answer = request
            .post()
            .await
            .map_err(|error| PrometheusError::Query {
                server: self.client.base_url().to_string(),
                query: query.to_owned(),
                reason: root_cause(&error),
            })?;
        match answer.into_inner().0 {
            Data::Scalar(sample) => Ok(Answer::Scalar(Sample::of(&sample))),
            Data::Vector(samples) => {
                let samples = samples.into_iter().map(|one| {
                    let (labels, sample) = one.into_inner();
                    (labels.into_iter().collect(), Sample::of(&sample))
                });
                Ok(Answer::Vector(samples.collect()))
            }
            Data::Matrix(_) => Err(PrometheusError::Shape {
                query: query.to_owned(),
            }),
        }
    }
}

impl Sample {
    fn of(sample: &Answered) -> Self {
        Self {
            value: sample.value(),
            at: sample.timestamp(),
        }
    }
}

impl Credentials {
    /// What was given, if it fits together.
    pub fn given(
        token_file: Option<PathBuf>,
        user: Option<String>,
        password_file: Option<PathBuf>,
    ) -> Result<Option<Self>, PrometheusError> {
        match (token_file, user, password_file) {
            (None, None, None) => Ok(None),
            (Some(file), None, None) => Ok(Some(Self::Bearer(file))),
            (None, Some(user), Some(password_file)) => Ok(Some(Self::Basic {
                user,
                password_file,
            })),
            _ => Err(PrometheusError::Credentials),
        }
    }

    async fn header(&self) -> Result<HeaderValue, PrometheusError> {
        match self {
            Self::Bearer(file) => sensitive(&format!("Bearer {}", secret(file).await?), file),
            Self::Basic {
                user,
                password_file,
            } => {
                let pair = format!("{user}:{}", secret(password_file).await?);
                let coded = BASE64_STANDARD.encode(pair);
                sensitive(&format!("Basic {coded}"), password_file)
            }
        }
    }
}

/// The text inside a `PromQL` string in double quotes.
pub fn string_escaped(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

/// The text as a regular expression (RE2) that matches just this text.
pub fn regex_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// An address without anything secret in it, so that it can be in an error.
fn checked(url: &str) -> Result<Url, PrometheusError> {
    let address = Url::parse(url).map_err(|error| PrometheusError::Address(error.to_string()))?;
    let secret =
        !address.username().is_empty() || address.password().is_some() || address.query().is_some();
    if secret {
        let reason = "it has a user, a password or a query; put a token in a file";
        return Err(PrometheusError::Address(reason.to_owned()));
    }
    match address.scheme() {
        "http" | "https" => Ok(address),
        other => Err(PrometheusError::Address(format!(
            "{other:?} is neither http nor https"
        ))),
    }
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, PrometheusError> {
    let pem = std::fs::read(file).map_err(|source| PrometheusError::File {
        file: file.to_owned(),
        source,
    })?;
    let none = || PrometheusError::Tls(format!("there is no certificate in {}", file.display()));
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| none())?;
    if certificates.is_empty() {
        return Err(none());
    }
    Ok(certificates)
}

/// What a file holds, read now, because such files are rotated.
async fn secret(file: &Path) -> Result<String, PrometheusError> {
    let read = tokio::task::spawn_blocking({
        let file = file.to_owned();
        move || std::fs::read_to_string(file)
    });
    let text = read.await.map_err(std::io::Error::other).flatten();
    let text = text.map_err(|source| PrometheusError::File {
        file: file.to_owned(),
        source,
    })?;
    Ok(text.trim().to_owned())
}

/// A header that is left out of logs.
fn sensitive(text: &str, file: &Path) -> Result<HeaderValue, PrometheusError> {
    let mut header = HeaderValue::from_str(text).map_err(|source| PrometheusError::Token {
        file: file.to_owned(),
        source,
    })?;
    header.set_sensitive(true);
    Ok(header)
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
#[path = "prometheus_tests.rs"]
mod tests;
