//! An operator as a process of its own: logs, signals, the hub, health, leadership, and a graceful
//! stop.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::runtime::Builder;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::args::{ArgsError, CommonArgs, HubAccess};
use super::clock::{SharedClock, WallClock};
use super::fence::{ApiRequests, Server, fenced_client};
use super::http::{Health, HttpError, bind, serve};
use super::leader::{Election, Leadership};
use super::network::Network;
use super::redacted::redacted_message;
use super::signals;
use super::telemetry::{self, TelemetryError};

/// What an operator's process has beside its work.
pub struct Process {
    /// The time.
    pub clock: SharedClock,
    /// The way to the hub.
    pub hub: HubAccess,
    /// Whether it is ready; served as `/readyz`.
    pub health: Health,
    /// Whether it may write.
    pub leadership: Leadership,
    /// The name of this copy.
    pub identity: String,
    /// Cancelled at the first signal.
    pub stop: CancellationToken,
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
    /// A part of it has panicked.
    #[error(transparent)]
    Panicked(#[from] JoinError),
}

/// Runs an operator in one thread: its decisions are made in order, and the rest is waiting. Says on
/// standard error why it ended, if that was not meant.
pub fn run<E: fmt::Display>(operator: &str, work: impl Future<Output = Result<(), E>>) -> ExitCode {
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
    pub async fn start(
        operator: &str,
        args: &CommonArgs,
        default_port: u16,
        metrics: Registry,
    ) -> Result<Self, ProcessError> {
        let clock: SharedClock = Arc::new(WallClock);
        telemetry::init(args.log_format, &args.log_level, clock.clone())?;
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let stop = signals::stop_on_signal().map_err(ProcessError::Signals)?;
        let hub = args.hub().await?;
        let health = Health::new(&["hub", "members"]);
        let listener = bind(args.listen_or(default_port)).await?;
        let serving = serve(listener, health.clone(), Arc::new(metrics), stop.clone());
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

    /// Ends what serves the work. To be called when the work has ended, however it ended: the lease
    /// is given back then, and not before.
    pub async fn end(self) -> Result<(), ProcessError> {
        self.stop.cancel();
        self.term.cancel();
        if let Some(election) = self.election {
            election.await?;
        }
        self.server.await??;
        Ok(())
    }
}
