//! The reconcile pipeline: dereference, validate, decide, record, deliver; the report follows. A step
//! hands its result to the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use federation::api::PlacementStatus;
use federation::members::{Item, ObjectKey};
use federation::operator::redacted::redacted_message;
use placement::ClusterName;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{debug, info, instrument};

use super::{HubError, Scheduler};
use crate::bundles::Bundler;
use crate::decide::{Assignment, is_over};
use crate::dependencies;
use crate::follow;
use crate::index::{Delivery, Event};
use crate::plan;
use crate::validate::{Invalid, Validated, validate};
use crate::workload::{Key, Kind, Workload};

/// What a reconcile fails with, by step.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A dependency could not be fetched.
    #[error("dereference: {}", redacted_message(.0))]
    Dereference(#[source] kube::Error),
    /// The assignment could not be written.
    #[error("record: {0}")]
    Record(#[source] HubError),
    /// The finalizer could not be taken off.
    #[error("finalize: {0}")]
    Finalize(#[source] HubError),
}

impl ReconcileError {
    /// What the hub said, where it will refuse the same write again.
    pub fn rejection(&self) -> Option<&str> {
        match self {
            Self::Dereference(_) => None,
            Self::Record(error) | Self::Finalize(error) => error.rejection(),
        }
    }

    /// The step, as a metric label.
    pub fn step(&self) -> &'static str {
        match self {
            Self::Record(error) | Self::Finalize(error) if error.rejection().is_some() => {
                "rejected"
            }
            Self::Dereference(_) => "dereference",
            Self::Record(_) => "record",
            Self::Finalize(_) => "finalize",
        }
    }
}

/// An object that has its assignment on record.
struct Recorded {
    workload: Arc<Workload>,
    assignment: Assignment,
}

impl Scheduler {
    /// Takes one object as far as it can go now; `Some` says when to check again. The slot is for
    /// the hub: it is free again when the hub has all that it gets.
    #[instrument(skip_all, fields(%key))]
    pub(super) async fn reconcile(
        &self,
        key: &Key,
        slot: OwnedSemaphorePermit,
    ) -> Result<Option<Duration>, ReconcileError> {
        let known = self.index().workloads().get(key).map(|tracked| {
            let ended = tracked.has_ended();
            (tracked.workload().clone(), ended)
        });
        let Some((workload, ended)) = known else {
            return Ok(None);
        };
        if workload.deleted_at.is_some() {
            return self.finalize(&workload).await;
        }
        if ended {
            let index = self.index();
            self.perform(&index, index.clear_ended(&workload));
            return Ok(None);
        }
        let dependencies = self.dereference(&workload).await?;
        match self.decide(&workload).await {
            Ok(()) => {
                let recorded = self.record(&workload).await?;
                drop(slot);
                self.hub_first().await;
                if let Some(recorded) = recorded {
                    self.deliver(&recorded, &dependencies);
                }
            }
            Err(Invalid(problem)) => self.handle(Event::Invalid(key.clone(), problem)),
        }
        self.report_later(key);
        Ok(None)
    }

    /// Fetches what the object's template needs. Nothing is read for one that needs nothing.
    #[instrument(skip_all)]
    async fn dereference(
        &self,
        workload: &Arc<Workload>,
    ) -> Result<Vec<Arc<Item>>, ReconcileError> {
        let asked = dependencies::named_by(workload);
        let mut names: BTreeSet<ObjectKey> = asked.keys().cloned().collect();
        loop {
            let changes = {
                let mut index = self.index();
                let known = index.workloads().get(&workload.key);
                if let Some(items) = known.and_then(|tracked| tracked.fetched(&asked)) {
                    return Ok(items);
                }
                index.set_dependencies(&workload.key, &names)
            };
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let fetched = dependencies::fetch(
                self.hub.client(),
                &self.hub_uid,
                asked.clone(),
                self.options.deadline,
            );
            let fetched = fetched.await.map_err(ReconcileError::Dereference)?;
            if !fetched.names.is_subset(&names) {
                // Some name others, which are watched from now on.
                names.clone_from(&fetched.names);
                continue;
            }
            let items = fetched.items.clone();
            self.index().keep_fetched(workload, changes, fetched);
            return Ok(items);
        }
    }

    /// Validates an object and decides its assignment.
    #[instrument(skip_all)]
    async fn decide(&self, workload: &Arc<Workload>) -> Result<(), Invalid> {
        if workload.key.kind == Kind::Service {
            let mut index = self.index();
            let next = follow::decide(&index, workload)?;
            if let Some(next) = next {
                index.followed(&workload.key, next);
            }
            return Ok(());
        }
        let validated = validate(workload)?;
        // On update, `most_traffic` ranks by the traffic of the pods that run now.
        let own_traffic = self.traffic_of(workload, &validated).await;
        let started = std::time::Instant::now();
        // Decided and held at once: the next decision sees what this one takes.
        let mut index = self.index();
        let Some(inputs) = index.inputs(&workload.key) else {
            return Ok(());
        };
        let now = self.seconds();
        let decision = plan::decide(&inputs, workload, &validated, own_traffic.as_ref(), now);
        drop(inputs);
        self.metrics.decided(started.elapsed());
        let (changed, effects) = index.decided(&workload.key, &validated, decision, Instant::now());
        self.perform(&index, effects);
        let tracked = index.workloads().get(&workload.key);
        if let Some(tracked) = tracked.filter(|_| changed) {
            let next = tracked.assignment();
            info!(key = %workload.key, clusters = %summary(&next.placements), unplaced = next.unplaced, "decided");
            self.metrics.placed(validated.policy.name(), next);
        }
        Ok(())
    }

    async fn traffic_of(
        &self,
        workload: &Workload,
        validated: &Validated,
    ) -> Option<BTreeMap<ClusterName, f64>> {
        let source = self
            .traffic
            .as_ref()
            .filter(|_| validated.policy.name() == "most_traffic")?;
        let chosen_before = {
            let index = self.index();
            let decision = &index.workloads().get(&workload.key)?.assignment().decision;
            decision.sequence > 0 && decision.key != validated.decision_key
        };
        if !chosen_before {
            return None;
        }
        match source
            .on_update(&workload.key.namespace, &workload.key.name)
            .await
        {
            Ok(traffic) if !traffic.is_empty() => Some(
                traffic
                    .into_iter()
                    .map(|(name, value)| (ClusterName::from(name), value))
                    .collect(),
            ),
            Ok(_) => None,
            Err(error) => {
                debug!(key = %workload.key, %error, "no traffic of its own; the clusters' traffic decides");
                None
            }
        }
    }

    /// Puts the assignment on record on the hub, if it is not yet, and then our finalizer on; members
    /// come after both. The record is the status, which needs rights that those who may edit the
    /// object need not have. None if there is no assignment.
    #[instrument(skip_all)]
    async fn record(&self, workload: &Arc<Workload>) -> Result<Option<Recorded>, ReconcileError> {
        let recorded = async {
            let Some(version) = self.record_assignment(workload).await? else {
                return Ok(None);
            };
            if !workload.is_held() || workload.is_held_by_kopf() {
                self.hub.add_finalizer(workload, &version).await?;
            }
            let index = self.index();
            let tracked = index.workloads().get(&workload.key);
            Ok(tracked.map(|tracked| Recorded {
                workload: workload.clone(),
                assignment: tracked.assignment().clone(),
            }))
        };
        let recorded: Result<_, HubError> = recorded.await;
        if recorded.as_ref().is_err_and(HubError::is_stale) {
            self.refresh(&workload.key).await;
        }
        recorded.map_err(ReconcileError::Record)
    }

    /// The object's resource version once the assignment is on record; none if there is no
    /// assignment.
    async fn record_assignment(
        &self,
        workload: &Arc<Workload>,
    ) -> Result<Option<String>, HubError> {
        let recordable = {
            let index = self.index();
            let Some(tracked) = index.workloads().get(&workload.key) else {
                return Ok(None);
            };
            if tracked.is_recorded() {
                let is_assigned = tracked.assignment().decision.sequence > 0;
                return Ok(is_assigned.then(|| workload.resource_version.clone()));
            }
            let mut recordable = tracked.recordable(self.status_of(&index, tracked));
            // Of the spec that this reconcile works on.
            recordable.version = tracked.version_on_hub(workload);
            recordable.workload = workload.clone();
            recordable
        };
        self.write_status(recordable).await.map(Some)
    }

    /// Hands each member its bundle.
    #[instrument(skip_all)]
    fn deliver(&self, recorded: &Recorded, dependencies: &[Arc<Item>]) {
        let workload = &recorded.workload;
        let shares = recorded.assignment.placements.iter();
        let shares = shares.filter(|one| !is_over(one));
        // A Job of no pods at a time would never end.
        let shares = shares.filter(|one| workload.key.kind != Kind::Job || one.replicas > 0);
        let bundler = Bundler::new(&self.hub_uid, workload, dependencies);
        let bundle = |share: &PlacementStatus| {
            let cluster = ClusterName::from(share.cluster.as_str());
            (cluster, bundler.bundle(share))
        };
        self.handle(Event::Deliver(Box::new(Delivery {
            key: workload.key.clone(),
            uid: workload.uid.clone(),
            bundles: shares.map(bundle).collect(),
        })));
    }

    /// Reads an object again after a conflict.
    pub(super) async fn refresh(&self, key: &Key) {
        if let Some(workload) = self.hub.read(key).await {
            self.handle(Event::WorkloadRefreshed(Box::new(workload)));
        }
    }

    pub(super) fn report_later(&self, key: &Key) {
        let delay = self.options.report_delay;
        self.reports.add_after(key.clone(), delay);
    }
}

fn summary(placements: &[PlacementStatus]) -> String {
    placements
        .iter()
        .map(|one| format!("{}:{}", one.cluster, one.replicas))
        .collect::<Vec<_>>()
        .join(",")
}
