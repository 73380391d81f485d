//! The operators, each as in a process of its own: it can be killed, and is started again when it
//! has ended.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Parser as _;
use federation::operator::clock::SharedClock;
use federation::operator::http::Health;
use federation::operator::leader::Leadership;
use lab::simulated::{OperatorName, Prometheus, Traffic};
use lab::simulation::{Error, Network, Operator, Vantage};
use multi_cluster_scheduler::ProximitySource;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::network::door;
use crate::world::World;

/// Who they are on the hub.
const IDENTITY: &str = "mck8s-up";
/// How long they may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// What they work with.
#[derive(Clone)]
pub(crate) struct Setting {
    kubeconfig: PathBuf,
    clock: SharedClock,
    traffic: Arc<Traffic>,
    proximity: Option<ProximitySource>,
    prometheus: Prometheus,
}

/// All operators that there are, at work.
pub(crate) struct Operators {
    scheduler: Operator,
    autoscaler: Operator,
    health: [Health; 2],
}

impl Operators {
    /// Starts them, in this thread.
    pub(crate) fn start(network: &Network, setting: &Setting) -> Self {
        let health = [(); 2].map(|()| Health::new(&["hub", "members"]));
        let [of_scheduler, of_autoscaler] = health.clone();
        let scheduler = {
            let setting = setting.clone();
            start(network, "scheduler", async move |vantage, stop| {
                setting.schedule(vantage, &of_scheduler, stop).await
            })
        };
        let autoscaler = {
            let setting = setting.clone();
            start(network, "autoscaler", async move |vantage, stop| {
                setting.autoscale(vantage, &of_autoscaler, stop).await
            })
        };
        Self {
            scheduler,
            autoscaler,
            health,
        }
    }

    /// Whether all of them know the hub and the members.
    pub(crate) fn are_ready(&self) -> bool {
        self.health.iter().all(|health| health.missing().is_empty())
    }

    /// One dies, and is started again after so long.
    pub(crate) fn kill(&self, operator: OperatorName, down: Duration) {
        let operator = match operator {
            OperatorName::Scheduler => &self.scheduler,
            OperatorName::Autoscaler => &self.autoscaler,
        };
        operator.kill_at(1, down);
    }

    /// Ends them, after what they are at.
    pub(crate) async fn stop(self) {
        let ended = futures::future::join(self.scheduler.stop(), self.autoscaler.stop());
        // What takes longer goes on at the next start.
        tokio::time::timeout(GRACE, ended).await.ok();
    }
}

/// Starts one, and says why it has ended.
fn start(
    network: &Network,
    name: &'static str,
    work: impl AsyncFn(&Vantage, &CancellationToken) -> Result<()> + 'static,
) -> Operator {
    let work = async move |vantage: &Vantage, stop: &CancellationToken| {
        let ended = work(vantage, stop).await;
        ended.map_err(|error| {
            warn!("the {name} has ended and is started again: {error:#}");
            Error::from(error.to_string())
        })
    };
    Operator::start(network.clone(), name.to_owned(), work)
}

impl Setting {
    /// What they work with in this world.
    pub(crate) fn of(
        world: &World,
        kubeconfig: &Path,
        clock: &SharedClock,
        prometheus: &Prometheus,
    ) -> Self {
        let metrics = world.metrics().into_iter();
        let metrics = metrics.map(|one| (one.cluster().to_owned(), one));
        let times = Some(&world.round_trip_times).filter(|times| !times.is_empty());
        Self {
            kubeconfig: kubeconfig.to_owned(),
            clock: clock.clone(),
            traffic: Arc::new(Traffic::of(metrics.collect())),
            proximity: times.cloned().map(ProximitySource::Fixed),
            prometheus: prometheus.clone(),
        }
    }

    /// A command line, for what is usual.
    fn flags(&self, name: &str) -> [String; 2] {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        [name.to_owned(), kubeconfig]
    }

    async fn schedule(
        &self,
        vantage: &Vantage,
        health: &Health,
        stop: &CancellationToken,
    ) -> Result<()> {
        use multi_cluster_scheduler::{Args, Context, Metrics, lead};
        let args = Args::try_parse_from(self.flags("multi-cluster-scheduler"))?;
        let hub = args.common.hub().await?;
        let context = Context {
            network: door(vantage, &hub.config.cluster_url),
            hub: hub.config,
            hub_context: hub.context,
            member_contexts: None,
            identity: IDENTITY.to_owned(),
            leadership: Leadership::always(),
            options: args.options(),
            clock: self.clock.clone(),
            metrics: Metrics::new(&mut Registry::default()),
            health: health.clone(),
            traffic: Some(self.traffic.clone()),
            proximity: self.proximity.clone(),
        };
        let ended = Box::pin(lead(context, stop.clone())).await;
        ended.map_err(|error| anyhow!(error))
    }

    async fn autoscale(
        &self,
        vantage: &Vantage,
        health: &Health,
        stop: &CancellationToken,
    ) -> Result<()> {
        use multi_cluster_hpa::{Args, Context, Metrics, lead};
        let args = Args::try_parse_from(self.flags("multi-cluster-hpa"))?;
        let hub = args.common.hub().await?;
        let context = Context {
            network: door(vantage, &hub.config.cluster_url),
            hub: hub.config,
            identity: IDENTITY.to_owned(),
            leadership: Leadership::always(),
            options: args.options(),
            clock: self.clock.clone(),
            metrics: Metrics::new(&mut Registry::default()),
            health: health.clone(),
            prometheus: Some(Arc::new(self.prometheus.clone())),
        };
        let ended = Box::pin(lead(context, stop.clone())).await;
        ended.map_err(|error| anyhow!(error))
    }
}
