//! The autoscaler as an operator of the frame.

use std::sync::Arc;

use federation::api::{MemberCluster, MultiClusterDeployment, MultiClusterHorizontalPodAutoscaler};
use federation::operator::args::CommonArgs;
use federation::operator::context::OperatorContext;
use federation::operator::frame::{Operator, OperatorError};
use kube::core::ApiResource;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::controller::Controller;
use crate::metrics::Metrics;
use crate::source::MetricSource;

/// Scales multi-cluster deployments from metrics.
pub struct MultiClusterHpa {
    args: Args,
    metrics: Metrics,
    /// What answers queries, if anything does.
    prometheus: Option<Arc<dyn MetricSource>>,
}

impl Operator for MultiClusterHpa {
    const NAME: &'static str = "multi-cluster-hpa";
    const ABOUT: &'static str = "\
Scales multi-cluster deployments from metrics

It serves the hub, the cluster that the kubeconfig's current context names, and reads the pods
and `metrics.k8s.io` of the member clusters (see `kubectl get memberclusters`, which the
scheduler keeps). Metrics of other types need a Prometheus that sees all clusters.";
    const PORT: u16 = 9441;
    const METRICS_PREFIX: &'static str = "mck8s_hpa";
    const DEADLINE: &'static str = "5s";
    const CONCURRENT_SYNCS: &'static str = "64";

    type Args = Args;

    fn kinds() -> Vec<ApiResource> {
        vec![
            ApiResource::erase::<MultiClusterHorizontalPodAutoscaler>(&()),
            ApiResource::erase::<MultiClusterDeployment>(&()),
            ApiResource::erase::<MemberCluster>(&()),
        ]
    }

    fn new(args: Args, common: &CommonArgs, metrics: &mut Registry) -> Result<Self, OperatorError> {
        let prometheus = args.prometheus(common.deadline);
        let prometheus = prometheus.map_err(|error| OperatorError::Flag {
            flag: "--prometheus-url",
            problem: error.to_string(),
        })?;
        Ok(Self {
            prometheus,
            metrics: Metrics::new(metrics),
            args,
        })
    }

    /// A substitute `Arc<dyn MetricSource>` answers in place of the Prometheus of the flags.
    async fn run(
        self,
        context: OperatorContext,
        stop: CancellationToken,
    ) -> Result<(), OperatorError> {
        let substitute = context.substitutes.get::<Arc<dyn MetricSource>>();
        let prometheus = substitute.or(self.prometheus);
        let options = self.args.options(&context);
        let health = context.health.clone();
        let controller = Controller::new(&context, options, self.metrics, prometheus);
        Box::pin(controller.work(&health, &stop)).await;
        Ok(())
    }
}
