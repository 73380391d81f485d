//! The provisioner at work: observe, decide, act, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::api::{CloudProvisioner, DeletionPolicy};
use federation::operator::clock::SharedClock;
use federation::operator::context::OperatorContext;
use federation::operator::events::{EventType, Recorder};
use federation::operator::finalizer::{
    add_finalizer, has_finalizer, is_held_by_kopf, remove_finalizer, remove_kopf_finalizer,
};
use federation::operator::http::Health;
use federation::operator::queue::{Backoff, Priority, WorkQueue};
use federation::operator::status::WriteError;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, instrument, warn};

use crate::cluster_api::{ClusterApi, Error};
use crate::decide::{Action, Decision, Inputs, Step, decide};
use crate::hub_watches::WORKLOADS;
use crate::metrics::Metrics;
use crate::objects::{self, Place};
use crate::observed::{Design, Observed};
use crate::report::Report;
use crate::state::{Failure, State};
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

/// Holds a `CloudProvisioner` until its clusters are gone.
const FINALIZER: &str = "fogguru.eu/cloud";

/// A provisioner as it is known when it is looked at.
struct Subject {
    name: String,
    metadata: ObjectMeta,
    settings: Result<Arc<Settings>, Invalid>,
    of_deletion: Arc<Settings>,
}

impl Subject {
    fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether it stays until its clusters are gone.
    fn is_held(&self) -> bool {
        has_finalizer(&self.metadata, FINALIZER)
    }

    /// What an Event is about.
    fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("fogguru.eu/v1".to_owned()),
            kind: Some("CloudProvisioner".to_owned()),
            name: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
            ..ObjectReference::default()
        }
    }
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
            of_deletion: provisioner.of_deletion.clone(),
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
            // What was made is given back all the same.
            Err(_) if subject.is_deleting() => subject.of_deletion.clone(),
            Err(invalid) => {
                // What was made stays, and goes on as it is.
                let report = Report::refused("InvalidSpec", &invalid.to_string());
                self.report(&subject, report).await?;
                return Ok(Some(self.options.scan_interval));
            }
        };
        let observed = match self.cluster_api.observe().await {
            Ok(observed) => observed,
            Err(error) => {
                let nothing_was_made = matches!(error, Error::NoClusterApi) && !subject.is_held();
                if subject.is_deleting() && nothing_was_made {
                    return Ok(None);
                }
                let report = Report::refused(error.reason(), &error.to_string());
                self.report(&subject, report).await?;
                return Err(error.into());
            }
        };
        let ours = || observed.iter().filter(|one| one.provisioner == name);
        let mut failed = self.follow_kubeconfigs(name, ours()).await;
        let decision = self.decide(&subject, &settings, &observed);
        let is_over = ours().next().is_none() && decision.steps.is_empty();
        let orphans = settings.deletion_policy == DeletionPolicy::Orphan;
        if subject.is_deleting() && (orphans || is_over && decision.clusters.is_empty()) {
            return self.release(&subject).await.map(|()| None);
        }
        // Before anything is made that would be left behind.
        let makes = |step: &Step| matches!(step.action, Action::Apply(_));
        if !subject.is_held() && decision.steps.iter().any(makes) {
            let api = self.api();
            let deadline = self.options.deadline;
            let added = add_finalizer(&api, &subject.metadata, FINALIZER, deadline);
            added.await.map_err(ReconcileError::Finalizer)?;
        }
        failed.extend(self.act(&subject, &settings, &decision).await);
        self.remember(name, &decision, &failed);
        let report = Report::served(&settings, &decision, &failed);
        self.metrics
            .clusters(name, &decision.clusters, decision.cost);
        self.report(&subject, report).await?;
        if let Some((_, error)) = failed.into_iter().next() {
            return Err(error.into());
        }
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
        let kubeconfigs: BTreeSet<String> = self.copied().keys().cloned().collect();
        let known = {
            let mut state = self.state();
            let pending = state.pending();
            let others = state.provisioners.iter().filter_map(|(name, one)| {
                let settings = one.settings.as_ref().ok()?.clone();
                Some((name.clone(), settings))
            });
            let others: BTreeMap<String, Arc<Settings>> = others.collect();
            let members = state.members.clone();
            let Some(provisioner) = state.provisioners.get_mut(&subject.name) else {
                return Decision::default();
            };
            let is_pending = |workload: &String| {
                let mut pending = pending.iter();
                pending.any(|one| one.workload == *workload)
            };
            provisioner
                .purchases
                .retain(|workload, _| is_pending(workload));
            let failed = provisioner.failed.iter();
            let failed = failed.filter(|(_, failure)| failure.until > now);
            let failed: BTreeSet<String> = failed.map(|(flavor, _)| flavor.clone()).collect();
            let before = provisioner.reported.clone();
            (
                pending,
                others,
                members,
                before,
                failed,
                provisioner.purchases.clone(),
            )
        };
        let (pending, others, members, before, failed, purchases) = known;
        let replicas = pending.iter().map(|one| one.need.replicas);
        self.metrics.unplaced(replicas.fold(0, u32::saturating_add));
        decide(&Inputs {
            provisioner: &subject.name,
            settings,
            now,
            pending: &pending,
            clusters: observed,
            others: &others,
            kubeconfigs: &kubeconfigs,
            members: &members,
            before: &before,
            failed: &failed,
            purchases: &purchases,
            deleting: subject.is_deleting(),
        })
    }

    /// Remembers what was bought for whom, and which flavors have failed: each time in a row they are
    /// not tried for twice as long.
    fn remember(&self, name: &str, decision: &Decision, failed: &[(String, Error)]) {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(provisioner) = state.provisioners.get_mut(name) else {
            return;
        };
        if failed.is_empty() {
            provisioner.purchases.extend(decision.purchases.clone());
        }
        for flavor in &decision.failed {
            // What has never come was not made in vain.
            provisioner.purchases.clear();
            let times = provisioner.failed.get(flavor).map_or(0, |one| one.times);
            let wait = self.options.flavor_backoff * 2_u32.pow(times.min(4));
            let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
            let failure = Failure {
                times: times.saturating_add(1),
                until: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
            };
            provisioner.failed.insert(flavor.clone(), failure);
        }
        // What has failed so long ago says nothing.
        let day = SignedDuration::from_hours(24);
        provisioner
            .failed
            .retain(|_, failure| now.duration_since(failure.until) < day);
    }

    /// Does what was decided; of a cluster of which something failed, nothing more. What failed, by
    /// cluster.
    async fn act(
        &self,
        subject: &Subject,
        settings: &Settings,
        decision: &Decision,
    ) -> Vec<(String, Error)> {
        let mut failed: Vec<(String, Error)> = Vec::new();
        for step in &decision.steps {
            let cluster = step.action.cluster();
            if failed.iter().any(|(name, _)| name == cluster) {
                continue;
            }
            let is_new = decision.made.contains(cluster);
            let done = self.do_one(&subject.name, settings, &step.action, is_new);
            if let Err(error) = done.await {
                failed.push((cluster.to_owned(), error));
                continue;
            }
            if let Some(told) = &step.told {
                let kind = if told.is_warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                };
                self.announce(subject, kind, told.reason, &told.message);
            }
        }
        failed
    }

    async fn do_one(
        &self,
        provisioner: &str,
        settings: &Settings,
        action: &Action,
        is_new: bool,
    ) -> Result<(), Error> {
        let api = &self.cluster_api;
        match action {
            Action::Apply(design) => {
                self.metrics.acted("apply");
                if is_new {
                    api.check_name(provisioner, &design.cluster).await?;
                }
                self.apply(provisioner, settings, design).await
            }
            Action::Register(cluster, upcoming) => {
                self.metrics.acted("register");
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
                api.delete(provisioner, cluster).await
            }
            Action::Sweep(cluster) => {
                self.metrics.acted("sweep");
                self.copied().remove(cluster);
                api.sweep(provisioner, cluster).await
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

    /// Copies the kubeconfigs that Cluster API has written, and again when it has renewed them. What
    /// failed, by cluster.
    async fn follow_kubeconfigs(
        &self,
        provisioner: &str,
        clusters: impl Iterator<Item = &Observed>,
    ) -> Vec<(String, Error)> {
        let mut failed = Vec::new();
        for cluster in clusters.filter(|one| one.initialized && !one.deleting) {
            let name = &cluster.design.cluster;
            if let Err(error) = self.follow_kubeconfig(provisioner, name).await {
                failed.push((name.clone(), error));
            }
        }
        failed
    }

    async fn follow_kubeconfig(&self, provisioner: &str, cluster: &str) -> Result<(), Error> {
        let api = &self.cluster_api;
        let Some(kubeconfig) = api.kubeconfig(cluster).await? else {
            return Ok(());
        };
        if self.copied().get(cluster) == Some(&kubeconfig) {
            return Ok(());
        }
        api.copy_kubeconfig(provisioner, cluster, &kubeconfig)
            .await?;
        self.copied().insert(cluster.to_owned(), kubeconfig);
        Ok(())
    }

    fn api(&self) -> Api<CloudProvisioner> {
        Api::all(self.cluster_api.hub.clone())
    }

    /// Removes the original's finalizer, which nothing else removes.
    async fn release_from_kopf(&self, subject: &Subject) -> Result<(), ReconcileError> {
        if !is_held_by_kopf(&subject.metadata) {
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
        if !subject.is_held() {
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
        self.recorder
            .record(subject.reference(), kind, reason, message);
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
