//! The scheduler as an operator of the frame.

use std::sync::Arc;

use federation::api::{Leftover, MemberCluster, WorkloadMove};
use federation::members::{follow_kubeconfig, follow_kubefed};
use federation::operator::args::CommonArgs;
use federation::operator::context::OperatorContext;
use federation::operator::frame::{Operator, OperatorError};
use federation::traffic::Traffic;
use kube::core::ApiResource;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::metrics::Metrics;
use crate::runtime::Scheduler;
use crate::sources::ProximitySource;
use crate::workload::Kind;

/// Places multi-cluster deployments, jobs and services on member clusters.
pub struct MultiClusterScheduler {
    args: Args,
    metrics: Metrics,
    /// Traffic by cluster.
    traffic: Option<Arc<dyn Traffic>>,
    /// Round-trip times between clusters.
    proximity: Option<ProximitySource>,
}

impl Operator for MultiClusterScheduler {
    const NAME: &'static str = "multi-cluster-scheduler";
    const ABOUT: &'static str = "\
Places multi-cluster deployments, jobs and services on member clusters

It serves the hub, the cluster that the kubeconfig's current context names. Every other context
of that file becomes a member cluster (see `kubectl get memberclusters`). Prometheus and serf
are optional: without them the policies that need them fall back to `worst_fit` and say so.";
    const PORT: u16 = 9440;
    const METRICS_PREFIX: &'static str = "mck8s_scheduler";

    type Args = Args;

    fn kinds() -> Vec<ApiResource> {
        let members = ApiResource::erase::<MemberCluster>(&());
        let kinds = Kind::ALL.map(Kind::resource);
        let moves = ApiResource::erase::<WorkloadMove>(&());
        let leftovers = ApiResource::erase::<Leftover>(&());
        kinds
            .into_iter()
            .chain([members, moves, leftovers])
            .collect()
    }

    fn new(
        args: Args,
        _common: &CommonArgs,
        metrics: &mut Registry,
    ) -> Result<Self, OperatorError> {
        let wrong = |flag, problem: String| OperatorError::Flag { flag, problem };
        let traffic = args.traffic();
        let traffic = traffic.map_err(|error| wrong("--prometheus-url", error.to_string()))?;
        let proximity = args.proximity();
        let proximity = proximity.map_err(|error| wrong("--serf-auth-file", error.to_string()))?;
        Ok(Self {
            traffic,
            proximity,
            metrics: Metrics::new(metrics),
            args,
        })
    }

    /// Substitutes `Arc<dyn Traffic>` and [`ProximitySource`] take the place of the Prometheus and of
    /// the serf agent of the flags.
    async fn run(
        self,
        context: OperatorContext,
        stop: CancellationToken,
    ) -> Result<(), OperatorError> {
        let substitutes = &context.substitutes;
        let proximity = substitutes.get::<ProximitySource>().or(self.proximity);
        let traffic = substitutes.get::<Arc<dyn Traffic>>().or(self.traffic);
        let options = self.args.options(&context);
        let (scheduler, events) = Scheduler::new(&context, options, self.metrics, traffic);
        let (hub, access) = (context.hub.clone(), context.access.clone());
        let kubeconfig = async {
            if let Some(file) = context.kubeconfig.clone() {
                let only = self.args.member_contexts.clone();
                let hub_context = context.hub_context.clone();
                follow_kubeconfig(hub.clone(), file, hub_context, only, stop.clone()).await;
            }
        };
        futures::join!(
            kubeconfig,
            follow_kubefed(hub.clone(), access.namespaces, stop.clone()),
            scheduler.follow_sources(proximity, &stop),
            Box::pin(scheduler.work(events, &context.health, &stop)),
        );
        Ok(())
    }
}
