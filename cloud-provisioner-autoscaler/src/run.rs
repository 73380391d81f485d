//! The provisioner as an operator of the frame.

use federation::api::{CloudProvisioner, MemberCluster, MultiClusterDeployment, MultiClusterJob};
use federation::operator::args::CommonArgs;
use federation::operator::context::OperatorContext;
use federation::operator::frame::{Operator, OperatorError};
use kube::core::ApiResource;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::controller::Controller;
use crate::metrics::Metrics;

/// Makes, sizes and removes cloud clusters through Cluster API.
pub struct CloudProvisionerAutoscaler {
    args: Args,
    metrics: Metrics,
}

impl Operator for CloudProvisionerAutoscaler {
    const NAME: &'static str = "cloud-provisioner-autoscaler";
    const ABOUT: &'static str = "\
Makes, sizes and removes cloud clusters through Cluster API

It serves the CloudProvisioners of the hub: replicas that fit nowhere and may burst get a cluster
of the right size, which joins the federation and is deleted when it has had no work for a while.
Cluster API and its provider run on the hub.";
    const PORT: u16 = 9442;
    const METRICS_PREFIX: &'static str = "mck8s_cloud";

    type Args = Args;

    fn kinds() -> Vec<ApiResource> {
        vec![
            ApiResource::erase::<CloudProvisioner>(&()),
            ApiResource::erase::<MultiClusterDeployment>(&()),
            ApiResource::erase::<MultiClusterJob>(&()),
            ApiResource::erase::<MemberCluster>(&()),
        ]
    }

    fn new(
        args: Args,
        _common: &CommonArgs,
        metrics: &mut Registry,
    ) -> Result<Self, OperatorError> {
        Ok(Self {
            args,
            metrics: Metrics::new(metrics),
        })
    }

    async fn run(
        self,
        context: OperatorContext,
        stop: CancellationToken,
    ) -> Result<(), OperatorError> {
        let options = self.args.options(&context);
        let health = context.health.clone();
        let controller = Controller::new(&context, options, self.metrics);
        Box::pin(controller.work(&health, &stop)).await;
        Ok(())
    }
}
