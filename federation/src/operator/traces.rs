//! Traces over OTLP (HTTP, protobuf), for whoever gives a receiver with `--otlp-endpoint`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing::warn;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;

use super::telemetry::{TelemetryError, is_within_caps};

/// How long the receiver may take for one batch.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends spans of level INFO and above until it is shut down.
pub(super) struct Traces(SdkTracerProvider);

/// A layer of a subscriber.
pub(super) type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

impl Traces {
    /// Traces of this service to the receiver at a URL, to which `/v1/traces` is added, and the
    /// layer that takes the spans. Spans wait in a bounded queue and are sent every few seconds from a
    /// thread of their own; what does not fit is dropped.
    pub(super) fn start(
        endpoint: &str,
        service: &'static str,
    ) -> Result<(Self, BoxedLayer), TelemetryError> {
        let failed = |reason: &dyn fmt::Display| TelemetryError::OtlpEndpoint {
            endpoint: endpoint.to_owned(),
            reason: reason.to_string(),
        };
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let is_http = url.starts_with("http://") || url.starts_with("https://");
        if !is_http {
            return Err(failed(&"the scheme is not http or https"));
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new().map_err(|error| failed(&error))?)
            .with_endpoint(url)
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(|error| failed(&error))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder().with_service_name(service).build())
            .build();
        let level = LevelFilter::INFO;
        let is_sent = move |metadata: &tracing::Metadata<'_>| {
            *metadata.level() <= level && is_within_caps(metadata)
        };
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(service))
            .with_filter(filter_fn(is_sent).with_max_level_hint(level));
        Ok((Self(provider), Box::new(layer)))
    }

    /// Sends what still waits.
    pub(super) async fn shut_down(self) {
        // It blocks until the last batch is sent, which is done by this thread.
        let shut_down = tokio::task::spawn_blocking(move || self.0.shutdown());
        if let Ok(Err(error)) = shut_down.await {
            warn!(%error, "the last traces were not sent");
        }
    }
}

/// Sends requests of the exporter's thread in the operator's runtime.
#[derive(Clone)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    has_failed: Arc<AtomicBool>,
}

impl Sender {
    fn new() -> reqwest::Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().timeout(TIMEOUT).build()?,
            runtime: Handle::current(),
            has_failed: Arc::default(),
        })
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        Ok(response.body(answer.bytes().await?)?)
    }

    /// Says it once, until a batch is taken again.
    fn log_once(&self, result: &Result<Response<Bytes>, HttpError>) {
        let problem = match result {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        let had_failed = self.has_failed.swap(problem.is_some(), Ordering::Relaxed);
        if let Some(problem) = problem.filter(|_| !had_failed) {
            warn!(
                problem,
                "traces are not taken by the receiver of --otlp-endpoint"
            );
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl HttpClient for Sender {
    fn send_bytes<'life, 'future>(
        &'life self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'life: 'future,
        Self: 'future,
    {
        Box::pin(async move {
            let sender = self.clone();
            let sent = self.runtime.spawn(async move {
                let result = sender.clone().send(request).await;
                sender.log_once(&result);
                result
            });
            sent.await?
        })
    }
}
