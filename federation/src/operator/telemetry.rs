//! Logs and traces: where they go, in which form, and with whose time.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Filter, Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry};

use super::clock::SharedClock;
use super::traces::{BoxedLayer, Traces};

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object per line, for a log collector.
    Json,
}

/// Libraries that log what was sent or received, and the most that they may log whatever the filter
/// says: the bodies of Secrets would be among it. The longest name that fits a target counts.
const CAPS: [(&str, LevelFilter); 4] = [
    // Whole bodies at WARN and below, where it cannot parse them.
    ("kube_client::client", LevelFilter::ERROR),
    // Requests with their URLs, no bodies.
    ("kube_client::client::builder", LevelFilter::TRACE),
    // Errors in Rust's form, with the values that could not be parsed, at DEBUG.
    ("kube_runtime", LevelFilter::WARN),
    // Handshakes at TRACE.
    ("rustls", LevelFilter::DEBUG),
];

/// Whether a log line or span is within what its library may log.
pub(super) fn is_within_caps(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let fits = |(name, _): &&(&str, LevelFilter)| {
        let rest = target.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let cap = CAPS.iter().filter(fits).max_by_key(|(name, _)| name.len());
    cap.is_none_or(|(_, most)| metadata.level() <= most)
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in the syntax of `tracing`.
    #[error(
        "--log-level={filter:?} is not a log filter ({reason}); write for example \"info\" or \"info,federation=debug\""
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What the parser says about it.
        reason: String,
    },
    /// Traces cannot be sent there.
    #[error(
        "--otlp-endpoint={endpoint:?} is not a URL of an OTLP receiver ({reason}); write for example \"http://collector:4318\""
    )]
    OtlpEndpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else in this process has set up logging before.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// What an operator's process tells of itself, and where.
#[derive(Clone, Copy, Debug)]
pub struct TelemetryOptions<'a> {
    /// The form of log lines.
    pub format: LogFormat,
    /// What is logged, in the syntax of [`EnvFilter`]: a level, or levels by module.
    pub filter: &'a str,
    /// The OTLP receiver of traces, if there is one.
    pub otlp_endpoint: Option<&'a str>,
    /// The name of the service in traces.
    pub service: &'static str,
}

/// Logs and traces at work.
#[must_use = "the last traces are sent when it is shut down"]
pub struct Telemetry(Option<Traces>);

impl Telemetry {
    /// Sends the traces that still wait.
    pub async fn shut_down(self) {
        if let Some(traces) = self.0 {
            traces.shut_down().await;
        }
    }
}

/// Sends log lines to standard error, with times from `clock`, and traces to a receiver, if one is
/// given; within a tokio runtime. Without a receiver, traces cost nothing.
pub fn start(
    options: &TelemetryOptions<'_>,
    clock: SharedClock,
) -> Result<Telemetry, TelemetryError> {
    let traces = options.otlp_endpoint;
    let traces = traces.map(|endpoint| Traces::start(endpoint, options.service));
    let (traces, layer) = traces.transpose()?.unzip();
    let lines = lines(options.format, options.filter, clock, std::io::stderr)?;
    install([lines].into_iter().chain(layer))?;
    Ok(Telemetry(traces))
}

/// Sends log lines to standard error, with times from `clock`.
///
/// `filter` is in the syntax of [`EnvFilter`]: a level, or levels by module.
pub fn init(format: LogFormat, filter: &str, clock: SharedClock) -> Result<(), TelemetryError> {
    init_to(format, filter, clock, std::io::stderr)
}

/// The same, to something that writes to standard error.
pub fn init_to(
    format: LogFormat,
    filter: &str,
    clock: SharedClock,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> Result<(), TelemetryError> {
    install([lines(format, filter, clock, writer)?])
}

fn install(layers: impl IntoIterator<Item = BoxedLayer>) -> Result<(), TelemetryError> {
    let layers: Vec<_> = layers.into_iter().collect();
    let subscriber = registry().with(layers);
    subscriber
        .try_init()
        .map_err(|_| TelemetryError::AlreadySet)
}

/// The layer that writes log lines.
fn lines(
    format: LogFormat,
    filter: &str,
    clock: SharedClock,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> Result<BoxedLayer, TelemetryError> {
    let parsed = EnvFilter::try_new(filter).map_err(|error| TelemetryError::Filter {
        filter: filter.to_owned(),
        reason: error.to_string(),
    })?;
    let lines = fmt::layer()
        .with_timer(ClockTime(clock))
        // Colours are for people at a terminal.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(writer);
    Ok(match format {
        LogFormat::Text => lines.with_filter(capped(parsed)).boxed(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            lines.with_filter(capped(parsed)).boxed()
        }
    })
}

/// A filter that nothing turns up beyond the caps.
fn capped(filter: EnvFilter) -> impl Filter<Registry> {
    let caps = filter_fn(is_within_caps).with_max_level_hint(LevelFilter::TRACE);
    filter.and(caps)
}

/// Log lines carry the time of the injected clock, so that a simulated run logs simulated time.
struct ClockTime(SharedClock);

impl FormatTime for ClockTime {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        write!(line, "{:.3}", self.0.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::clock::VirtualClock;
    use std::sync::Arc;

    /// Logs at every level, as the target says.
    macro_rules! log_all {
        ($target:literal) => {
            tracing::error!(target: $target, "marker error");
            tracing::warn!(target: $target, "marker warn");
            tracing::debug!(target: $target, "marker debug");
            tracing::trace!(target: $target, "marker trace");
        };
    }

    /// Where lines go.
    struct Sink(std::sync::mpsc::Sender<String>);

    impl std::io::Write for Sink {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            drop(self.0.send(String::from_utf8_lossy(line).into_owned()));
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The levels that come through, with a filter that asks for everything.
    fn logged(log: impl FnOnce()) -> Vec<String> {
        let (send, lines) = std::sync::mpsc::channel::<String>();
        let everything = EnvFilter::new("trace,kube_client=trace,kube_runtime=trace");
        let layer = fmt::layer().with_ansi(false);
        let layer = layer.with_writer(move || Sink(send.clone()));
        let subscriber = registry().with(layer.with_filter(capped(everything)));
        tracing::subscriber::with_default(subscriber, log);
        let level = |line: String| {
            line.rsplit(' ')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        lines.iter().map(level).collect()
    }

    #[test]
    fn no_filter_turns_on_what_libraries_log_of_bodies() {
        let client = logged(|| {
            log_all!("kube_client::client");
        });
        assert_eq!(client, ["error"]);
        let requests = logged(|| {
            log_all!("kube_client::client::builder");
        });
        assert_eq!(requests, ["error", "warn", "debug", "trace"]);
        let watches = logged(|| {
            log_all!("kube_runtime::watcher");
        });
        assert_eq!(watches, ["error", "warn"]);
        let ours = logged(|| {
            log_all!("federation::members");
        });
        assert_eq!(ours, ["error", "warn", "debug", "trace"]);
    }

    #[test]
    fn a_wrong_filter_names_the_flag_and_an_example() {
        let clock = Arc::new(VirtualClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
        let error = init(LogFormat::Text, "federation=loud", clock).unwrap_err();
        assert!(error.to_string().contains("--log-level"), "{error}");
        assert!(
            error.to_string().contains("info,federation=debug"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_endpoint_that_is_no_url_names_the_flag_and_an_example() {
        let clock = Arc::new(VirtualClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
        let options = TelemetryOptions {
            format: LogFormat::Text,
            filter: "info",
            otlp_endpoint: Some("collector:4318"),
            service: "test",
        };
        let error = start(&options, clock).err().unwrap().to_string();
        assert!(error.contains("--otlp-endpoint") && error.contains("http://collector:4318"));
    }

    #[test]
    fn a_log_line_has_the_time_of_the_given_clock() {
        let clock = Arc::new(VirtualClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
        let mut line = String::new();
        ClockTime(clock)
            .format_time(&mut Writer::new(&mut line))
            .unwrap();
        assert!(line.starts_with("1970-01-01T00:00:00."), "{line}");
    }
}
