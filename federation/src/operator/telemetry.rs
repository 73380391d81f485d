//! Logs: where they go, in which form, and with whose time.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::clock::SharedClock;

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object per line, for a log collector.
    Json,
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
    /// Something else in this process has set up logging before.
    #[error("logging is already set up in this process")]
    AlreadySet,
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
    let parsed = EnvFilter::try_new(filter).map_err(|error| TelemetryError::Filter {
        filter: filter.to_owned(),
        reason: error.to_string(),
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_timer(ClockTime(clock))
        // Colours are for people at a terminal.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(writer);
    match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(|_| TelemetryError::AlreadySet)
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
