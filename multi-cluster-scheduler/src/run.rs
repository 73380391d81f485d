//! From a context to a scheduler at work.

use std::sync::Arc;

use federation::api::MemberCluster;
use federation::members::{Deadlined as _, follow_kubeconfig, follow_kubefed};
use federation::operator::clock::SharedClock;
use federation::operator::events::Recorder;
use federation::operator::fence::{Server, fenced_client};
use federation::operator::http::Health;
use federation::operator::hub::{HubError, require_kinds};
use federation::operator::leader::{Leadership, LeaseLost};
use federation::operator::network::Network;
use federation::traffic::Traffic;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::ApiResource;
use kube::{Api, Client, Config, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::metrics::Metrics;
use crate::runtime::{Announcer, Hub, Options, Parts, Scheduler};
use crate::sources::ProximitySource;
use crate::workload::Kind;

/// What a scheduler needs from outside.
pub struct Context {
    /// The network that hub and members are on.
    pub network: Network,
    /// The way to the hub.
    pub hub: Config,
    /// The kubeconfig's context that the hub is, if it is one.
    pub hub_context: Option<String>,
    /// The contexts that are members; all but the hub's when none are named.
    pub member_contexts: Option<Vec<String>>,
    /// The name of this copy of the scheduler.
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
    /// Traffic by cluster.
    pub traffic: Option<Arc<dyn Traffic>>,
    /// Round-trip times between clusters.
    pub proximity: Option<ProximitySource>,
}

/// Why a scheduler ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The hub cannot be talked to, or does not know our kinds.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The hub behind the address is another one than before.
    #[error(
        "the hub is not the one it was (it was set up anew): start again, and everything is looked at with fresh eyes"
    )]
    OtherHub,
    /// Somebody else may lead by now.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
}

/// Waits for the lease and works until cancelled, or until the lease is lost.
pub async fn lead(context: Context, cancel: CancellationToken) -> Result<(), RunError> {
    let leadership = context.leadership.clone();
    let work = Box::pin(run(context, cancel.clone()));
    leadership.work(work, &cancel).await
}

/// Runs the scheduler until cancelled. Only a leader's writes get through.
pub async fn run(context: Context, cancel: CancellationToken) -> Result<(), RunError> {
    let hub = fenced_client(
        &context.network,
        context.hub.clone(),
        context.leadership.clone(),
        &context.metrics.requests,
        Server::Hub,
    )
    .map_err(HubError::from)?;
    let hub_uid = hub_uid(&hub, &context.options).await?;
    let members = ApiResource::erase::<MemberCluster>(&());
    let kinds = Kind::ALL.map(Kind::resource).into_iter().chain([members]);
    require_kinds(&hub, kinds, context.options.deadline).await?;
    context.health.set("hub", true);
    let (recorder, writer) = Recorder::new(
        hub.clone(),
        "multi-cluster-scheduler",
        &context.identity,
        context.clock.clone(),
        context.metrics.events_dropped.clone(),
    );
    let (scheduler, events) = Scheduler::new(Parts {
        network: context.network,
        hub: Hub::new(hub.clone(), context.options.deadline),
        hub_uid: hub_uid.clone(),
        leadership: context.leadership,
        options: context.options.clone(),
        clock: context.clock,
        metrics: context.metrics,
        recorder: Announcer(recorder),
        traffic: context.traffic,
    });
    let stop = cancel.child_token();
    let kubeconfig = async {
        if let Some(file) = context.options.kubeconfig.clone() {
            follow_kubeconfig(
                hub.clone(),
                file,
                context.hub_context,
                context.member_contexts,
                stop.clone(),
            )
            .await;
        }
    };
    let same_hub = async {
        let changed = watch_identity(&hub, &hub_uid, &context.options, &stop).await;
        stop.cancel();
        changed
    };
    let ((), (), (), (), (), result) = futures::join!(
        kubeconfig,
        writer.run(stop.clone()),
        follow_kubefed(
            hub.clone(),
            context.options.access.namespaces.clone(),
            stop.clone()
        ),
        scheduler.follow_sources(context.proximity, &stop),
        scheduler.work(events, &context.health, &stop),
        same_hub,
    );
    result
}

/// The uid of the hub: of its `kube-system` namespace, as is usual.
async fn hub_uid(hub: &Client, options: &Options) -> Result<String, RunError> {
    let namespaces: Api<Namespace> = Api::all(hub.clone());
    let system = namespaces
        .get_metadata("kube-system")
        .within(options.deadline)
        .await
        .map_err(HubError::from)?;
    Ok(system.uid().unwrap_or_default())
}

/// A hub that was set up anew under the same address has nothing on record of what was before:
/// whoever goes on as if it had would clear the members.
async fn watch_identity(
    hub: &Client,
    uid: &str,
    options: &Options,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(options.probe_interval) => {}
        }
        if let Ok(now) = hub_uid(hub, options).await
            && now != uid
        {
            error!("the hub is not the one it was");
            return Err(RunError::OtherHub);
        }
    }
}
