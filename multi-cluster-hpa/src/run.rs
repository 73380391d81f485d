//! From a context to an operator at work.

use std::sync::Arc;

use federation::api::{MemberCluster, MultiClusterDeployment, MultiClusterHorizontalPodAutoscaler};
use federation::operator::clock::SharedClock;
use federation::operator::events::Recorder;
use federation::operator::fence::{Server, fenced_client};
use federation::operator::http::Health;
use federation::operator::hub::{HubError, require_kinds};
use federation::operator::leader::{Leadership, LeaseLost};
use federation::operator::network::Network;
use kube::Config;
use kube::core::ApiResource;
use tokio_util::sync::CancellationToken;

use crate::members::Members;
use crate::metrics::Metrics;
use crate::operator::{Operator, Options};
use crate::source::MetricSource;

/// What the operator needs from outside.
pub struct Context {
    /// The network that hub and members are on.
    pub network: Network,
    /// The way to the hub.
    pub hub: Config,
    /// The name of this copy of the operator.
    pub identity: String,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// How it works.
    pub options: Options,
    /// The time.
    pub clock: SharedClock,
    /// What it counts.
    pub metrics: Metrics,
    /// Whether it is ready: "hub" and "members".
    pub health: Health,
    /// What answers queries, if anything does.
    pub prometheus: Option<Arc<dyn MetricSource>>,
}

/// Why the operator ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The hub cannot be talked to, or does not know our kinds.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Another copy leads now.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
}

/// Waits for the lease and works until cancelled, or until the lease is lost.
pub async fn lead(context: Context, cancel: CancellationToken) -> Result<(), RunError> {
    let leadership = context.leadership.clone();
    let work = Box::pin(run(context, cancel.clone()));
    leadership.work(work, &cancel).await
}

/// Runs the operator until cancelled. Only a leader's writes get through.
async fn run(context: Context, cancel: CancellationToken) -> Result<(), RunError> {
    let hub = fenced_client(
        &context.network,
        context.hub,
        context.leadership.clone(),
        &context.metrics.requests,
        Server::Hub,
    )
    .map_err(HubError::from)?;
    let kinds = [
        ApiResource::erase::<MultiClusterHorizontalPodAutoscaler>(&()),
        ApiResource::erase::<MultiClusterDeployment>(&()),
        ApiResource::erase::<MemberCluster>(&()),
    ];
    require_kinds(&hub, kinds, context.options.deadline).await?;
    context.health.set("hub", true);
    let (recorder, writer) = Recorder::new(
        hub.clone(),
        "multi-cluster-hpa",
        &context.identity,
        context.clock.clone(),
        context.metrics.events_dropped.clone(),
    );
    let members = Members::new(
        context.network,
        context.leadership,
        context.metrics.requests.clone(),
        hub.clone(),
        context.options.kubeconfig.clone(),
        context.options.access.clone(),
        context.options.deadline,
    );
    let operator = Operator::new(
        hub,
        context.options,
        context.clock,
        context.metrics,
        recorder,
        members,
        context.prometheus,
    );
    futures::join!(
        writer.run(cancel.clone()),
        operator.work(&context.health, &cancel),
    );
    Ok(())
}
