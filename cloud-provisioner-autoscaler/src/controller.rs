//! The provisioner at work: observe, decide, act, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::api::CloudProvisioner;
use federation::operator::clock::SharedClock;
use federation::operator::context::OperatorContext;
use federation::operator::events::{EventType, Recorder};
use federation::operator::finalizer::{add_finalizer, remove_finalizer, remove_kopf_finalizer};
use federation::operator::http::Health;
use federation::operator::queue::{Backoff, Priority, WorkQueue};
use federation::operator::status::WriteError;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, instrument, warn};

use crate::cluster_api::{ClusterApi, Error};
use crate::decide::{Action, Decision, Inputs, decide};
use crate::hub_watches::WORKLOADS;
use crate::metrics::Metrics;
use crate::objects::{self, Place};
use crate::observed::{Design, Observed};
use crate::report::Report;
use crate::state::{FINALIZER, State};
use crate::validate::{Infrastructure, Invalid, Settings};

/// How the provisioner works.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The namespace of the Cluster API objects.
    pub(crate) cloud_namespace: String,
    /// Where the scheduler reads access to members.
    pub(crate) access_namespace: String,
    /// The time between two looks while nothing changes.
    pub(crate) scan_interval: Duration,
    /// How long a flavor that has failed is not tried.
    pub(crate) flavor_backoff: Duration,
    /// The longest that one call may take.
    pub(crate) deadline: Duration,
}

/// What the parts of the provisioner share.
pub(crate) struct Controller {
    pub(crate) cluster_api: ClusterApi,
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Recorder,
    queue: WorkQueue<String>,
    /// The kubeconfigs that were copied last, by cluster.
    copied: Mutex<BTreeMap<String, ByteString>>,
    state: Mutex<State>,
}

/// Why a look was not finished. It is tried again.
#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error(transparent)]
    ClusterApi(#[from] Error),
    #[error("the finalizer was not written: {0}")]
    Finalizer(WriteError),
    #[error("the status was not written: {0}")]
    Report(WriteError),
}

impl ReconcileError {
    fn step(&self) -> &'static str {
        match self {
            Self::ClusterApi(_) => "act",
            Self::Finalizer(_) => "finalizer",
            Self::Report(_) => "report",
        }
    }
}

/// A provisioner as it is known when it is looked at.
struct Subject {
    name: String,
    metadata: ObjectMeta,
    settings: Result<Arc<Settings>, Invalid>,
    is_deleting: bool,
    is_held: bool,
}

impl Controller {
    pub(crate) fn new(context: &OperatorContext, options: Options, metrics: Metrics) -> Arc<Self> {
        let cluster_api = ClusterApi {
            hub: context.hub.clone(),
            namespace: options.cloud_namespace.clone(),
            access_namespace: options.access_namespace.clone(),
            deadline: options.deadline,
        };
        let backoff = Backoff {
            first: Duration::from_secs(1),
            longest: Duration::from_mins(1),
        };
        Arc::new(Self {
            cluster_api,
            clock: context.clock.clone(),
            metrics,
            recorder: context.recorder.clone(),
            queue: WorkQueue::new(backoff),
            copied: Mutex::default(),
            state: Mutex::default(),
            options,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copied(&self) -> MutexGuard<'_, BTreeMap<String, ByteString>> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A provisioner is to be looked at, whatever failed before.
    pub(crate) fn look_at(&self, name: &str) {
        self.queue.renew(name.to_owned(), Priority::High);
    }

    /// All of them are, when nothing of them failed.
    pub(crate) fn look_at_all(&self) {
        let names: Vec<String> = self.state().provisioners.keys().cloned().collect();
        for name in names {
            self.queue.add(name, Priority::High);
        }
    }

    /// Works until cancelled.
    pub(crate) async fn work(self: &Arc<Self>, health: &Health, cancel: &CancellationToken) {
        let listed = watch::Sender::new(0);
        futures::join!(
            self.follow_members(&listed, cancel),
            self.follow_provisioners(&listed, cancel),
            self.follow_deployments(&listed, cancel),
            self.follow_jobs(&listed, cancel),
            async {
                let mut lists = listed.subscribe();
                let all = lists.wait_for(|lists| *lists >= 2 + WORKLOADS);
                if let Some(Ok(_)) = cancel.run_until_cancelled(all).await {
                    health.set("members", true);
                    info!("ready");
                    self.reconcile_all(cancel).await;
                }
            },
        );
    }

    /// One after the other: what one buys, the next one counts.
    async fn reconcile_all(&self, cancel: &CancellationToken) {
        while let Some(Some(job)) = cancel.run_until_cancelled(self.queue.next()).await {
            match self.reconcile(job.key()).await {
                Ok(Some(wait)) => job.succeed_until(wait),
                Ok(None) => job.succeed(),
                Err(error) => {
                    warn!(provisioner = %job.key(), %error, "not done to the end");
                    self.metrics.failed(error.step());
                    job.fail();
                }
            }
        }
    }

    fn subject(&self, name: &str) -> Option<Subject> {
        let state = self.state();
        let provisioner = state.provisioners.get(name)?;
        Some(Subject {
            name: name.to_owned(),
            metadata: provisioner.metadata.clone(),
            settings: provisioner.settings.clone(),
            is_deleting: provisioner.is_deleting(),
            is_held: provisioner.is_held(),
        })
    }

    /// Looks at a provisioner; gives when to look again.
    #[instrument(skip_all, fields(name))]
    async fn reconcile(&self, name: &str) -> Result<Option<Duration>, ReconcileError> {
        let Some(subject) = self.subject(name) else {
            return Ok(None);
        };
        self.release_from_kopf(&subject).await?;
        let settings = match &subject.settings {
            Ok(settings) => settings.clone(),
            Err(invalid) => {
                // What was made stays, and goes on as it is.
                self.report(
                    &subject,
                    Report::refused("InvalidSpec", &invalid.to_string()),
                )
                .await?;
                return Ok(Some(self.options.scan_interval));
            }
        };
        let observed = match self.cluster_api.observe(name).await {
            Ok(observed) => observed,
            Err(error) => {
                let nothing_was_made = matches!(error, Error::NoClusterApi) && !subject.is_held;
                if subject.is_deleting && nothing_was_made {
                    return Ok(None);
                }
                self.report(
                    &subject,
                    Report::refused(error.reason(), &error.to_string()),
                )
                .await?;
                return Err(error.into());
            }
        };
        self.follow_kubeconfigs(name, &observed).await?;
        let decision = self.decide(&subject, &settings, &observed);
        if subject.is_deleting && is_over(&settings, &observed, &decision) {
            return self.release(&subject).await.map(|()| None);
        }
        // Before anything is made that would be left behind.
        let makes = |action: &Action| matches!(action, Action::Apply(_));
        if !subject.is_held && decision.actions.iter().any(makes) {
            let api = self.api();
            let deadline = self.options.deadline;
            let added = add_finalizer(&api, &subject.metadata, FINALIZER, deadline);
            added.await.map_err(ReconcileError::Finalizer)?;
        }
        let acted = self.act(&subject, &settings, &decision).await;
        let report = match &acted {
            Ok(()) => Report::served(&settings, &decision),
            // What was decided is not there.
            Err(error) => Report::refused(error.reason(), &error.to_string()),
        };
        self.metrics
            .clusters(name, &decision.clusters, decision.cost);
        self.report(&subject, report).await?;
        acted?;
        let now = self.clock.now();
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default();
        let wake = decision.wake.map(until);
        let soon = Duration::from_millis(100);
        let interval = self.options.scan_interval;
        Ok(Some(
            wake.map_or(interval, |wake| wake.clamp(soon, interval)),
        ))
    }

    fn decide(&self, subject: &Subject, settings: &Settings, observed: &[Observed]) -> Decision {
        let now = self.clock.now();
        let mut state = self.state();
        let pending = state.pending();
        self.metrics
            .unplaced(pending.iter().map(|one| one.need.replicas).sum());
        let Some(provisioner) = state.provisioners.get_mut(&subject.name) else {
            return Decision::default();
        };
        provisioner.failed.retain(|_, until| *until > now);
        let failed: BTreeSet<String> = provisioner.failed.keys().cloned().collect();
        let before = provisioner.reported.clone();
        let decision = decide(&Inputs {
            settings,
            now,
            pending: &pending,
            clusters: observed,
            members: &state.members,
            before: &before,
            failed: &failed,
            deleting: subject.is_deleting,
        });
        let backoff = SignedDuration::try_from(self.options.flavor_backoff);
        let until = now.saturating_add(backoff.unwrap_or(SignedDuration::MAX));
        let until = until.unwrap_or(Timestamp::MAX);
        if let Some(provisioner) = state.provisioners.get_mut(&subject.name) {
            let failed = decision.failed.iter();
            provisioner
                .failed
                .extend(failed.map(|flavor| (flavor.clone(), until)));
        }
        decision
    }

    async fn act(
        &self,
        subject: &Subject,
        settings: &Settings,
        decision: &Decision,
    ) -> Result<(), Error> {
        for action in &decision.actions {
            self.do_one(&subject.name, settings, action).await?;
        }
        for (is_warning, reason, message) in &decision.events {
            let kind = if *is_warning {
                EventType::Warning
            } else {
                EventType::Normal
            };
            self.announce(subject, kind, reason, message);
        }
        Ok(())
    }

    async fn do_one(
        &self,
        provisioner: &str,
        settings: &Settings,
        action: &Action,
    ) -> Result<(), Error> {
        let api = &self.cluster_api;
        match action {
            Action::Apply(design) => {
                self.metrics.acted("apply");
                self.apply(provisioner, settings, design).await
            }
            Action::Register(cluster, upcoming) => {
                // Without it, Cluster API has not written it yet.
                if self.copied().contains_key(cluster) {
                    self.metrics.acted("register");
                    api.register(provisioner, cluster, upcoming).await?;
                }
                Ok(())
            }
            Action::Announce(cluster, upcoming) => {
                self.metrics.acted("announce");
                api.register(provisioner, cluster, upcoming).await
            }
            Action::Leave(cluster, why) => {
                self.metrics.acted("leave");
                api.mark(cluster, why).await?;
                api.deregister(cluster).await
            }
            Action::Forget(cluster) => {
                self.metrics.acted("forget");
                api.forget(cluster).await
            }
            Action::Delete(cluster) => {
                self.metrics.acted("delete");
                api.delete(cluster).await
            }
            Action::Sweep(cluster) => {
                self.metrics.acted("sweep");
                self.copied().remove(cluster);
                api.sweep(cluster).await
            }
        }
    }

    async fn apply(
        &self,
        provisioner: &str,
        settings: &Settings,
        design: &Design,
    ) -> Result<(), Error> {
        let version = match &settings.infrastructure {
            Infrastructure::OpenStack(_) => self.cluster_api.openstack_version().await?,
            Infrastructure::ClusterClass(_) => String::new(),
        };
        let place = Place {
            provisioner,
            namespace: &self.options.cloud_namespace,
            infrastructure_version: &version,
        };
        for object in objects::objects(&place, settings, design) {
            self.cluster_api.apply(&object).await?;
        }
        Ok(())
    }

    /// Copies the kubeconfigs that Cluster API has written, and again when it has renewed them.
    async fn follow_kubeconfigs(
        &self,
        provisioner: &str,
        observed: &[Observed],
    ) -> Result<(), ReconcileError> {
        for cluster in observed
            .iter()
            .filter(|one| one.initialized && !one.deleting)
        {
            let name = &cluster.design.cluster;
            let Some(kubeconfig) = self.cluster_api.kubeconfig(name).await? else {
                continue;
            };
            if self.copied().get(name) == Some(&kubeconfig) {
                continue;
            }
            let copy = self
                .cluster_api
                .copy_kubeconfig(provisioner, name, &kubeconfig);
            copy.await?;
            self.copied().insert(name.clone(), kubeconfig);
        }
        Ok(())
    }

    fn api(&self) -> Api<CloudProvisioner> {
        Api::all(self.cluster_api.hub.clone())
    }

    /// Removes the original's finalizer, which nothing else removes.
    async fn release_from_kopf(&self, subject: &Subject) -> Result<(), ReconcileError> {
        let is_held = {
            let state = self.state();
            let provisioner = state.provisioners.get(&subject.name);
            provisioner.is_some_and(crate::state::Provisioner::is_held_by_kopf)
        };
        if !is_held {
            return Ok(());
        }
        let api = self.api();
        let removed = remove_kopf_finalizer(&api, &subject.metadata, self.options.deadline);
        match removed.await {
            // Its next revision leads here again.
            Ok(()) | Err(WriteError::Stale) => Ok(()),
            Err(error) => Err(ReconcileError::Finalizer(error)),
        }
    }

    /// Lets a deleted provisioner go.
    async fn release(&self, subject: &Subject) -> Result<(), ReconcileError> {
        if !subject.is_held {
            return Ok(());
        }
        let (api, deadline) = (self.api(), self.options.deadline);
        let removed = remove_finalizer(&api, &subject.metadata, FINALIZER, deadline);
        match removed.await {
            Ok(()) | Err(WriteError::Stale) => Ok(()),
            Err(error) => Err(ReconcileError::Finalizer(error)),
        }
    }

    fn announce(&self, subject: &Subject, kind: EventType, reason: &str, message: &str) {
        let about = {
            let state = self.state();
            let provisioner = state.provisioners.get(&subject.name);
            provisioner.map(crate::state::Provisioner::reference)
        };
        if let Some(about) = about {
            self.recorder.record(about, kind, reason, message);
        }
    }

    /// Writes the status, if it is another one, and records Events for what is new.
    async fn report(&self, subject: &Subject, report: Report) -> Result<(), ReconcileError> {
        let now = self.clock.now();
        let before = {
            let state = self.state();
            let provisioner = state.provisioners.get(&subject.name);
            provisioner
                .map(|one| one.reported.clone())
                .unwrap_or_default()
        };
        let generation = subject.metadata.generation.unwrap_or_default();
        let status = report.status(&before, generation, now);
        if status == before {
            return Ok(());
        }
        let (api, deadline) = (self.api(), self.options.deadline);
        let written = crate::report::write(&api, &subject.name, &status, deadline);
        match written.await {
            Ok(()) => {}
            Err(WriteError::Gone) => return Ok(()),
            Err(error) => return Err(ReconcileError::Report(error)),
        }
        for (reason, message) in crate::report::degraded(&before, &status) {
            self.announce(subject, EventType::Warning, &reason, &message);
        }
        if let Some(provisioner) = self.state().provisioners.get_mut(&subject.name) {
            provisioner.reported = status;
        }
        Ok(())
    }
}

/// Whether nothing is left to be done for a provisioner that is being deleted.
fn is_over(settings: &Settings, observed: &[Observed], decision: &Decision) -> bool {
    let orphans = settings.deletion_policy == federation::api::DeletionPolicy::Orphan;
    orphans || observed.is_empty() && decision.actions.is_empty()
}
