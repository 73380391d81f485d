//! The frame of every operator: what lies between its flags and its own work, written once.
//!
//! An operator implements [`Operator`]. [`process::main`](super::process::main) makes a process of it;
//! an [`OperatorEntry`] makes it a row of a table from which others start it.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::args::{CommonArgs, HubAccess};
use super::clock::SharedClock;
use super::context::{OperatorContext, Substitutes};
use super::events::Recorder;
use super::fence::{ApiRequests, Server, fenced_client};
use super::http::Health;
use super::hub::{HubError, require_kinds};
use super::leader::{Leadership, LeaseLost};
use super::network::Network;
use crate::members::{Deadlined as _, Kubeconfig};

/// How often it is checked that the hub is the same cluster.
const IDENTITY_INTERVAL: Duration = Duration::from_secs(5);

/// An operator: its name, its flags, and its work.
pub trait Operator: Sized + 'static {
    /// The name of its program, its lease, and the source of its Events.
    const NAME: &'static str;
    /// What `--help` says it does. The first line is the summary.
    const ABOUT: &'static str;
    /// The port of `/healthz`, `/readyz` and `/metrics`; each operator has its own.
    const PORT: u16;
    /// What the names of its metrics begin with.
    const METRICS_PREFIX: &'static str;
    /// The default of `--deadline`.
    const DEADLINE: &'static str = "10s";
    /// The default of `--concurrent-syncs`.
    const CONCURRENT_SYNCS: &'static str = "16";

    /// The flags that it has besides those of every operator.
    type Args: clap::Args;

    /// The kinds that the hub must serve.
    fn kinds() -> Vec<ApiResource>;

    /// An operator with these flags, whose metrics are registered. Nothing is sent yet; wrong flags
    /// are refused.
    fn new(
        args: Self::Args,
        common: &CommonArgs,
        metrics: &mut Registry,
    ) -> Result<Self, OperatorError>;

    /// Works until stopped. The hub serves the kinds, and this process leads.
    fn run(
        self,
        context: OperatorContext,
        stop: CancellationToken,
    ) -> impl Future<Output = Result<(), OperatorError>>;
}

/// Why an operator has ended before it was stopped.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The hub cannot be talked to, or does not serve the kinds.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Another cluster answers at the hub's address.
    #[error(
        "the hub is another cluster than before (uid of kube-system): start the operator again"
    )]
    HubReplaced,
    /// Another copy may lead by now.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// A flag has a value that cannot be used.
    #[error("{flag}: {problem}")]
    Flag {
        /// The flag, as it is written.
        flag: &'static str,
        /// What is wrong, and what to write.
        problem: String,
    },
}

/// The flags of an operator: those of every operator, and its own.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, args_override_self = true)]
pub struct CommandLine<A: clap::Args> {
    /// Those of every operator.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Its own.
    #[command(flatten)]
    pub own: A,
}

impl<A: clap::Args> CommandLine<A> {
    /// The command of an operator with these flags.
    pub fn command_of<O: Operator<Args = A>>() -> clap::Command {
        let summary = O::ABOUT.lines().next().unwrap_or_default();
        Self::command()
            .name(O::NAME)
            .about(summary)
            .long_about(O::ABOUT)
            .mut_arg("deadline", |arg| arg.default_value(O::DEADLINE))
            .mut_arg("concurrent_syncs", |arg| {
                arg.default_value(O::CONCURRENT_SYNCS)
            })
    }

    /// Reads arguments, of which the first is the program's name.
    pub fn read<O: Operator<Args = A>>(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let matches = Self::command_of::<O>().try_get_matches_from(arguments)?;
        Self::from_arg_matches(&matches)
    }
}

/// Where an operator works: what is given from outside.
pub struct Environment {
    /// The network that hub and members are on.
    pub network: Network,
    /// The access to the hub.
    pub hub: HubAccess,
    /// The name of this copy of the operator.
    pub identity: String,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// The time of day.
    pub clock: SharedClock,
    /// Whether it is ready: "hub" and "members".
    pub health: Health,
    /// What takes the place of servers that flags name.
    pub substitutes: Substitutes,
}

/// What every operator counts.
#[derive(Clone, Debug, Default)]
pub struct FrameMetrics {
    requests: ApiRequests,
    events_dropped: Counter,
}

impl FrameMetrics {
    /// Registers the counters; those of the operator's own begin with `prefix`.
    fn register(registry: &mut Registry, prefix: &str) -> Self {
        let metrics = Self::default();
        metrics.requests.register(registry);
        registry.sub_registry_with_prefix(prefix).register(
            "events_dropped",
            "Events that were not written",
            metrics.events_dropped.clone(),
        );
        metrics
    }
}

/// An operator that is set up and does not work yet.
pub struct Prepared<O> {
    operator: O,
    common: CommonArgs,
    metrics: FrameMetrics,
}

impl<O: Operator> Prepared<O> {
    /// Registers an operator's metrics and checks its flags.
    pub fn new(
        flags: CommandLine<O::Args>,
        registry: &mut Registry,
    ) -> Result<Self, OperatorError> {
        let CommandLine { common, own } = flags;
        let metrics = FrameMetrics::register(registry, O::METRICS_PREFIX);
        let registry = registry.sub_registry_with_prefix(O::METRICS_PREFIX);
        let operator = O::new(own, &common, registry)?;
        Ok(Self {
            operator,
            common,
            metrics,
        })
    }

    /// Waits for the lease and works until stopped, until the lease is lost, or until another
    /// cluster answers at the hub's address.
    pub async fn lead(
        self,
        environment: Environment,
        stop: CancellationToken,
    ) -> Result<(), OperatorError> {
        let leadership = environment.leadership.clone();
        let work = Box::pin(self.work(environment, stop.clone()));
        leadership.work(work, &stop).await
    }

    async fn work(
        self,
        environment: Environment,
        stop: CancellationToken,
    ) -> Result<(), OperatorError> {
        let (deadline, metrics) = (self.common.deadline, self.metrics);
        let hub = fenced_client(
            &environment.network,
            environment.hub.config,
            environment.leadership.clone(),
            &metrics.requests,
            Server::Hub,
        );
        let hub = hub.map_err(HubError::from)?;
        let hub_uid = hub_uid(&hub, deadline).await?;
        require_kinds(&hub, O::kinds(), deadline).await?;
        environment.health.set("hub", true);
        let (recorder, writer) = Recorder::new(
            hub.clone(),
            O::NAME,
            &environment.identity,
            environment.clock.clone(),
            metrics.events_dropped,
        );
        let context = OperatorContext {
            network: environment.network,
            hub: hub.clone(),
            hub_context: environment.hub.context,
            hub_uid: hub_uid.clone(),
            identity: environment.identity,
            leadership: environment.leadership,
            clock: environment.clock,
            health: environment.health,
            requests: metrics.requests,
            recorder,
            kubeconfig: self.common.kubeconfig.map(Kubeconfig::at),
            access: self.common.access.rules(),
            deadline,
            concurrent_syncs: self.common.concurrent_syncs.get(),
            substitutes: environment.substitutes,
        };
        let stop = stop.child_token();
        let same_hub = async {
            let same = watch_identity(&hub, &hub_uid, deadline, &stop).await;
            stop.cancel();
            same
        };
        let work = async {
            let worked = Box::pin(self.operator.run(context, stop.clone())).await;
            stop.cancel();
            worked
        };
        let ((), same, worked) = futures::join!(writer.run(stop.clone()), same_hub, work);
        same.and(worked)
    }
}

/// The uid of the hub: of its namespace `kube-system`, as is usual.
async fn hub_uid(hub: &Client, deadline: Duration) -> Result<String, HubError> {
    let namespaces: Api<Namespace> = Api::all(hub.clone());
    let system = namespaces
        .get_metadata("kube-system")
        .with_deadline(deadline);
    Ok(system.await?.uid().unwrap_or_default())
}

/// A hub that was set up anew under the same address has no record of what was before: an operator
/// that goes on as if it had would clear the members.
async fn watch_identity(
    hub: &Client,
    uid: &str,
    deadline: Duration,
    stop: &CancellationToken,
) -> Result<(), OperatorError> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(IDENTITY_INTERVAL) => {}
        }
        let current = hub_uid(hub, deadline).await;
        if current.is_ok_and(|current| current != uid) {
            error!("another cluster answers at the hub's address");
            return Err(OperatorError::HubReplaced);
        }
    }
}

/// A row of a table of operators.
#[derive(Clone, Copy)]
pub struct OperatorEntry {
    /// Its name.
    pub name: &'static str,
    /// The port of `/healthz`, `/readyz` and `/metrics` in a process of its own.
    pub port: u16,
    common: fn(&[String]) -> Result<CommonArgs, clap::Error>,
    lead: fn(&[String], Environment, CancellationToken) -> Led,
    serve: fn(Vec<OsString>) -> ExitCode,
}

/// An operator at work.
pub type Led = LocalBoxFuture<'static, Result<(), LeadError>>;

/// Why an operator of a table has ended before it was stopped.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// Its flags cannot be read.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// It ended by itself.
    #[error(transparent)]
    Operator(#[from] OperatorError),
}

impl OperatorEntry {
    /// The row of an operator.
    pub const fn of<O: Operator>() -> Self {
        Self {
            name: O::NAME,
            port: O::PORT,
            common: common::<O>,
            lead: lead::<O>,
            serve: super::process::serve_with::<O>,
        }
    }

    /// The flags of every operator, from its command line without the program's name. All flags are
    /// checked.
    pub fn common(&self, flags: &[String]) -> Result<CommonArgs, clap::Error> {
        (self.common)(flags)
    }

    /// Waits for the lease and works until stopped.
    pub fn lead(&self, flags: &[String], environment: Environment, stop: CancellationToken) -> Led {
        (self.lead)(flags, environment, stop)
    }

    /// Makes this process the operator's, with these arguments, of which the first is the program's
    /// name, until it is ended.
    pub fn serve(&self, arguments: Vec<OsString>) -> ExitCode {
        (self.serve)(arguments)
    }
}

fn read<O: Operator>(flags: &[String]) -> Result<CommandLine<O::Args>, clap::Error> {
    let name = O::NAME.to_owned();
    CommandLine::read::<O>(std::iter::once(&name).chain(flags))
}

fn common<O: Operator>(flags: &[String]) -> Result<CommonArgs, clap::Error> {
    Ok(read::<O>(flags)?.common)
}

fn lead<O: Operator>(flags: &[String], environment: Environment, stop: CancellationToken) -> Led {
    let flags = read::<O>(flags);
    Box::pin(async move {
        let prepared = Prepared::<O>::new(flags?, &mut Registry::default())?;
        Ok(prepared.lead(environment, stop).await?)
    })
}
