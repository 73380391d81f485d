//! From a context to an operator at work.

use std::sync::Arc;

use federation::api::{MemberCluster, MultiClusterDeployment, MultiClusterHorizontalPodAutoscaler};
use federation::members::Deadlined as _;
use federation::operator::clock::SharedClock;
use federation::operator::events::Recorder;
use federation::operator::fence::{Server, fenced_client};
use federation::operator::http::Health;
use federation::operator::leader::Leadership;
use federation::operator::network::Network;
use kube::api::{DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Api, Client, Config};
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
    /// The hub cannot be talked to.
    #[error("the hub: {0}")]
    Hub(#[from] kube::Error),
    /// The hub does not know our kinds.
    #[error("the hub does not know {0}: install the CRDs with kubectl apply -f manifests/crds/")]
    NoCrds(String),
    /// Another copy leads now.
    #[error("the lease is lost: another copy leads now, or the hub did not answer in time")]
    LeaseLost,
}

/// Waits for the lease and works until cancelled, or until the lease is lost.
pub async fn lead(context: Context, cancel: CancellationToken) -> Result<(), RunError> {
    let leadership = context.leadership.clone();
    let acquired = cancel.run_until_cancelled(leadership.acquired()).await;
    if acquired.is_none() {
        return Ok(());
    }
    tokio::select! {
        biased;
        result = Box::pin(run(context, cancel.clone())) => result,
        // Whoever leads now starts from what is on the hub; so shall this copy.
        () = leadership.lost() => Err(RunError::LeaseLost),
    }
}

/// Runs the operator until cancelled. Only a leader's writes get through.
async fn run(context: Context, cancel: CancellationToken) -> Result<(), RunError> {
    let hub = fenced_client(
        &context.network,
        context.hub,
        context.leadership.clone(),
        &context.metrics.requests,
        Server::Hub,
    )?;
    require_crds(&hub, &context.options).await?;
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

async fn require_crds(hub: &Client, options: &Options) -> Result<(), RunError> {
    let kinds = [
        ApiResource::erase::<MultiClusterHorizontalPodAutoscaler>(&()),
        ApiResource::erase::<MultiClusterDeployment>(&()),
        ApiResource::erase::<MemberCluster>(&()),
    ];
    for resource in kinds {
        let api: Api<DynamicObject> = Api::all_with(hub.clone(), &resource);
        let one = ListParams::default().limit(1);
        match api.list_metadata(&one).within(options.deadline).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Err(RunError::NoCrds(resource.kind));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
