//! The operators, each as in a process of its own: it can be killed, and is started again when it
//! has ended.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use federation::operator::clock::SharedClock;
use federation::operator::context::Substitutes;
use federation::operator::frame::{Environment, OperatorEntry};
use federation::operator::http::Health;
use federation::operator::leader::Leadership;
use federation::traffic::Traffic as TrafficSource;
use lab::operators::OPERATORS;
use lab::simulated::{OperatorName, Prometheus, Traffic};
use lab::simulation::{Error, Network, NetworkOrigin, Operator};
use multi_cluster_hpa::source::MetricSource;
use multi_cluster_scheduler::ProximitySource;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::network::simulated_network;
use crate::world::World;

/// Who they are on the hub.
const IDENTITY: &str = "mck8s-up";
/// How long they may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// What they work with.
#[derive(Clone)]
pub(crate) struct OperatorConfig {
    kubeconfig: PathBuf,
    clock: SharedClock,
    substitutes: Substitutes,
}

/// All operators of the table, at work.
pub(crate) struct Operators(Vec<Running>);

struct Running {
    name: &'static str,
    process: Operator,
    health: Health,
}

impl Operators {
    /// Starts them, in this thread.
    pub(crate) fn start(network: &Network, config: &OperatorConfig) -> Self {
        let running = OPERATORS.iter().map(|entry| start(network, config, *entry));
        Self(running.collect())
    }

    /// Whether all of them know the hub and the members.
    pub(crate) fn are_ready(&self) -> bool {
        self.0.iter().all(|one| one.health.missing().is_empty())
    }

    /// One dies, and is started again after so long.
    pub(crate) fn kill(&self, operator: OperatorName, down: Duration) {
        let named = self.0.iter().filter(|one| one.name == operator.as_str());
        named.for_each(|one| one.process.kill_at(1, down));
    }

    /// Ends them, after what they are at.
    pub(crate) async fn stop(self) {
        let ended = self.0.into_iter().map(|one| one.process.stop());
        // What takes longer goes on at the next start.
        let ended = futures::future::join_all(ended);
        tokio::time::timeout(GRACE, ended).await.ok();
    }
}

/// Their flags come from the environment: one that cannot be read would end each of them at once, again
/// and again.
pub(crate) fn check_environment() -> Result<()> {
    for entry in &OPERATORS {
        // Any file will do: it is not read here.
        let flags = ["--kubeconfig=kubeconfig".to_owned()];
        entry.common(&flags).with_context(|| {
            format!(
                "the {} is set up by MCK8S_ variables of the environment, see its --help",
                entry.name
            )
        })?;
    }
    Ok(())
}

/// Starts one, and logs why it has ended.
fn start(network: &Network, config: &OperatorConfig, entry: OperatorEntry) -> Running {
    let (config, health) = (config.clone(), Health::of_operator());
    let shared = health.clone();
    let work = async move |origin: &NetworkOrigin, stop: &CancellationToken| {
        let ended = config.lead(entry, origin, &shared, stop).await;
        ended.map_err(|error| {
            warn!("{} has ended and is started again: {error:#}", entry.name);
            Error::from(error.to_string())
        })
    };
    Running {
        name: entry.name,
        process: Operator::start(network.clone(), entry.name.to_owned(), work),
        health,
    }
}

impl OperatorConfig {
    /// What they work with in this world.
    pub(crate) fn of(
        world: &World,
        kubeconfig: &Path,
        clock: &SharedClock,
        prometheus: &Prometheus,
    ) -> Self {
        let metrics = world.metrics().into_iter();
        let metrics = metrics.map(|one| (one.cluster().to_owned(), one));
        let traffic: Arc<dyn TrafficSource> = Arc::new(Traffic::of(metrics.collect()));
        let prometheus: Arc<dyn MetricSource> = Arc::new(prometheus.clone());
        let mut substitutes = Substitutes::default().with(traffic).with(prometheus);
        if !world.round_trip_times.is_empty() {
            let times = ProximitySource::Fixed(world.round_trip_times.clone());
            substitutes = substitutes.with(times);
        }
        Self {
            kubeconfig: kubeconfig.to_owned(),
            clock: clock.clone(),
            substitutes,
        }
    }

    async fn lead(
        &self,
        entry: OperatorEntry,
        origin: &NetworkOrigin,
        health: &Health,
        stop: &CancellationToken,
    ) -> Result<()> {
        let flags = [format!("--kubeconfig={}", self.kubeconfig.display())];
        let hub = entry.common(&flags)?.hub().await?;
        let environment = Environment {
            network: simulated_network(origin, &hub.config.cluster_url),
            hub,
            identity: IDENTITY.to_owned(),
            leadership: Leadership::always(),
            clock: self.clock.clone(),
            health: health.clone(),
            substitutes: self.substitutes.clone(),
        };
        Ok(entry.lead(&flags, environment, stop.clone()).await?)
    }
}
