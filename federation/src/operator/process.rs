//! An operator as a process of its own: logs, signals, the hub, health, leadership, and a graceful
//! stop.

use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::runtime::Builder;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::args::{ArgsError, CommonArgs, HubAccess};
use super::clock::{SharedClock, WallClock};
use super::context::Substitutes;
use super::fence::{ApiRequests, Server, fenced_client};
use super::frame::{CommandLine, Environment, Operator, OperatorError, Prepared};
use super::http::{self, Health, HttpError, bind};
use super::leader::{Election, Leadership};
use super::network::Network;
use super::redacted::redacted_message;
use super::signals;
use super::telemetry::{self, TelemetryError, TelemetryOptions};

/// Makes this process an operator's, by its command line, until a signal comes or another copy leads.
pub fn main<O: Operator>() -> ExitCode {
    serve_with::<O>(std::env::args_os().collect())
}

/// The same with these arguments, of which the first is the program's name.
pub(super) fn serve_with<O: Operator>(arguments: Vec<OsString>) -> ExitCode {
    match CommandLine::read::<O>(arguments) {
        Ok(flags) => run(O::NAME, Box::pin(serve::<O>(flags))),
        Err(error) => error.exit(),
    }
}

/// Serves the hub that the flags name.
async fn serve<O: Operator>(flags: CommandLine<O::Args>) -> Result<(), ProcessError> {
    let common = flags.common.clone();
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let clock: SharedClock = Arc::new(WallClock);
    let options = TelemetryOptions {
        format: common.log_format,
        filter: &common.log_level,
        otlp_endpoint: common.otlp_endpoint.as_deref(),
        service: O::NAME,
    };
    let telemetry = telemetry::start(&options, clock.clone())?;
    let ended = serve_logged::<O>(flags, &common, clock).await;
    telemetry.shut_down().await;
    ended
}

async fn serve_logged<O: Operator>(
    flags: CommandLine<O::Args>,
    common: &CommonArgs,
    clock: SharedClock,
) -> Result<(), ProcessError> {
    let mut registry = Registry::default();
    let prepared = Prepared::<O>::new(flags, &mut registry)?;
    let process = Process::start(O::NAME, common, O::PORT, registry, clock).await?;
    let worked = Box::pin(prepared.lead(process.environment(), process.stop.clone())).await;
    let ended = process.end().await;
    worked?;
    ended
}

/// What an operator's process has beside its work.
struct Process {
    clock: SharedClock,
    hub: HubAccess,
    health: Health,
    leadership: Leadership,
    identity: String,
    /// Cancelled at the first signal.
    stop: CancellationToken,
    /// Ends the election.
    term: CancellationToken,
    election: Option<JoinHandle<()>>,
    server: JoinHandle<Result<(), HttpError>>,
}

/// Why a process could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Logs cannot be written as asked.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// No signal handlers.
    #[error("signals: {0}")]
    Signals(#[source] std::io::Error),
    /// No access to the hub, or no valid lease.
    #[error(transparent)]
    Args(#[from] ArgsError),
    /// The hub's configuration cannot be used.
    #[error("the hub: {}", redacted_message(.0))]
    Hub(#[from] kube::Error),
    /// Health and metrics cannot be served.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The operator has ended by itself.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// A part of it has panicked.
    #[error(transparent)]
    Panicked(#[from] JoinError),
}

/// Runs an operator in one thread: its decisions are made in order, and the rest is waiting. Says on
/// standard error why it ended, if that was not meant.
fn run<E: fmt::Display>(operator: &str, work: impl Future<Output = Result<(), E>>) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{operator}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(work);
    // A credential plugin that hangs cannot be stopped, and is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{operator}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Process {
    /// Sets up what the flags ask for: serves health (ready once `hub` and `members` are) and these
    /// metrics, and begins to stand for election. `operator` is also the lease's name.
    async fn start(
        operator: &str,
        args: &CommonArgs,
        default_port: u16,
        metrics: Registry,
        clock: SharedClock,
    ) -> Result<Self, ProcessError> {
        let stop = signals::stop_on_signal().map_err(ProcessError::Signals)?;
        let hub = args.hub().await?;
        let health = Health::of_operator();
        let listener = bind(args.listen_or(default_port)).await?;
        let serving = http::serve(listener, health.clone(), Arc::new(metrics), stop.clone());
        let server = tokio::spawn(serving);

        let term = CancellationToken::new();
        let mut identity = operator.to_owned();
        let (leadership, election) = match args.election(operator)? {
            Some(options) => {
                identity.clone_from(&options.identity);
                // As a candidate it must write the lease before it leads.
                let client = fenced_client(
                    &Network::default(),
                    hub.config.clone(),
                    Leadership::always(),
                    &ApiRequests::default(),
                    Server::Hub,
                )?;
                let (election, leadership) = Election::new(client, options, clock.clone());
                (leadership, Some(tokio::spawn(election.run(term.clone()))))
            }
            None => (Leadership::always(), None),
        };
        Ok(Self {
            clock,
            hub,
            health,
            leadership,
            identity,
            stop,
            term,
            election,
            server,
        })
    }

    /// Where the operator works.
    fn environment(&self) -> Environment {
        Environment {
            network: Network::default(),
            hub: self.hub.clone(),
            identity: self.identity.clone(),
            leadership: self.leadership.clone(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            substitutes: Substitutes::default(),
        }
    }

    /// Ends what serves the work. To be called when the work has ended, however it ended: the lease
    /// is given back then, and not before.
    async fn end(self) -> Result<(), ProcessError> {
        self.stop.cancel();
        self.term.cancel();
        if let Some(election) = self.election {
            election.await?;
        }
        self.server.await??;
        Ok(())
    }
}
