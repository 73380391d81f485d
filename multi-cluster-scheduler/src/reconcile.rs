//! The way of an object through the scheduler: dereference, validate, decide, apply, report.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use federation::api::PlacementStatus;
use federation::members::{Delivery as _, Item, ObjectKey};
use federation::operator::queue::Priority;
use federation::operator::redacted::redacted_message;
use placement::{ClusterName, Inputs, OwnerKey, Plan, Request, place};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::bundles;
use crate::decide::{Assignment, is_over};
use crate::dependencies;
use crate::hub::HubError;
use crate::record::next_cursor;
use crate::scheduler::Scheduler;
use crate::state::State;
use crate::validate::{Invalid, Validated, named_clusters, validate};
use crate::workload::{Key, Kind, Spec, Workload, version_of};

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

impl Scheduler {
    /// Takes one object as far as it can go now; `Some` says when to look again. The slot is for
    /// the hub: it is free again when the hub has all that it shall have.
    pub(crate) async fn reconcile(
        &self,
        key: &Key,
        slot: OwnedSemaphorePermit,
    ) -> Result<Option<Duration>, ReconcileError> {
        let Some((workload, ended)) = self
            .state()
            .workloads
            .get(key)
            .map(|tracked| (tracked.workload.clone(), tracked.has_ended()))
        else {
            return Ok(None);
        };
        if workload.deleted_at.is_some() {
            return self.finalize(&workload).await;
        }
        if ended {
            self.clear(&workload);
            return Ok(None);
        }
        let dependencies = self.dereference(&workload).await?;
        let decided = match workload.key.kind {
            Kind::Service => self.follow(&workload),
            Kind::Deployment | Kind::Job => self.choose(&workload).await,
        };
        match decided {
            Ok(()) => {
                self.record(&workload).await?;
                drop(slot);
                self.hub_first().await;
                self.apply(&workload, &dependencies);
            }
            Err(Invalid(problem)) => {
                if let Some(tracked) = self.state().workloads.get_mut(key) {
                    tracked.invalid = Some(problem);
                }
            }
        }
        self.reports
            .add_after(key.clone(), self.options.report_delay);
        Ok(None)
    }

    /// Fetches what the object's template needs. Nothing is read for one that needs nothing.
    async fn dereference(&self, workload: &Arc<Workload>) -> Result<Vec<Item>, ReconcileError> {
        let asked = dependencies::named_by(workload);
        let mut names: BTreeSet<ObjectKey> = asked.keys().cloned().collect();
        loop {
            let (known, changes) = {
                let mut guard = self.state();
                let state = &mut *guard;
                let tracked = state.workloads.get(&workload.key);
                let known = tracked.and_then(|tracked| tracked.dependencies.clone());
                let changes = tracked.map(|tracked| tracked.dependency_changes);
                if let Some(known) = known.filter(|known| known.covers(&asked)) {
                    return Ok(known.items);
                }
                // Before anything is read, so that no change is missed.
                state.names(&workload.key, &names);
                if names.is_empty() {
                    if let Some(tracked) = state.workloads.get_mut(&workload.key) {
                        tracked.dependencies = None;
                    }
                    return Ok(Vec::new());
                }
                (names.clone(), changes)
            };
            let deadline = self.options.deadline;
            let fetched = dependencies::fetch(&self.hub, &self.hub_uid, asked.clone(), deadline)
                .await
                .map_err(ReconcileError::Dereference)?;
            if !fetched.names.is_subset(&known) {
                // Some name others, which are watched from now on.
                names = fetched.names;
                continue;
            }
            // What changed meanwhile is fetched again, next time.
            if let Some(tracked) = self.state().workloads.get_mut(&workload.key)
                && tracked.workload.uid == workload.uid
                && Some(tracked.dependency_changes) == changes
            {
                tracked.dependencies = Some(fetched.clone());
            }
            return Ok(fetched.items);
        }
    }

    /// Validates and decides a deployment or a job; the assignment is in the state afterwards.
    async fn choose(&self, workload: &Arc<Workload>) -> Result<(), Invalid> {
        let validated = validate(workload)?;
        // On update, `most_traffic` ranks by the traffic of the pods that run now.
        let own_traffic = self.traffic_of(workload, &validated).await;
        let mut state = self.state();
        let started = std::time::Instant::now();
        let Some(decided) = decide(&state, workload, &validated, own_traffic.as_ref()) else {
            return Ok(());
        };
        let Decided { next, cursor, away } = decided;
        self.metrics.decided(started.elapsed());
        state.advance_cursor(&workload.key.namespace, cursor);
        let until = Instant::now() + self.options.reservation;
        let waiting = (Reverse(workload.priority()), workload.key.clone());
        state.waiting.retain(|(_, key)| *key != workload.key);
        if next.unplaced > 0 {
            state.waiting.insert(waiting);
        }
        state.note_away(&workload.key, away);
        let Some(tracked) = state.workloads.get_mut(&workload.key) else {
            return Ok(());
        };
        tracked.invalid = None;
        let changed = next.differs_from(&tracked.assignment);
        if changed {
            info!(key = %workload.key, clusters = %summary(&next.placements), unplaced = next.unplaced, "decided");
            self.metrics.placed(validated.policy.name(), &next);
        }
        let next = if changed {
            next
        } else {
            tracked.assignment.fallback = next.fallback;
            tracked.assignment.obstacle = next.obstacle;
            if tracked.reserved {
                return Ok(());
            }
            // What was decided before this process started holds its room, too.
            tracked.assignment.decision.clusters = next.decision.clusters;
            tracked.assignment.clone()
        };
        let moved = state.assign(&workload.key, next, &validated.shape, until);
        let service = Key {
            kind: Kind::Service,
            ..workload.key.clone()
        };
        if moved && state.workloads.contains_key(&service) {
            self.queue.add(service, Priority::High);
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
            let state = self.state();
            let decision = &state.workloads.get(&workload.key)?.assignment.decision;
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

    /// A service goes where its `locations` say, or where the deployment of its name is.
    fn follow(&self, workload: &Arc<Workload>) -> Result<(), Invalid> {
        let spec = match &workload.spec {
            Ok(Spec::Service(spec)) => spec,
            Ok(_) => return Ok(()),
            Err(problem) => return Err(Invalid(problem.clone())),
        };
        let named = named_clusters(spec.locations.as_deref(), spec.clusters.as_ref())?;
        let mut state = self.state();
        let (names, why) = if let Some(names) = named {
            (names, "named as a location")
        } else {
            let deployment = Key {
                kind: Kind::Deployment,
                ..workload.key.clone()
            };
            let Some(followed) = state
                .workloads
                .get(&deployment)
                .filter(|one| one.workload.deleted_at.is_none())
            else {
                return Err(Invalid(format!(
                    "there is no MultiClusterDeployment {} in namespace {} to follow: create it, or name the clusters in locations",
                    workload.key.name, workload.key.namespace
                )));
            };
            let names = followed
                .assignment
                .placements
                .iter()
                .map(|one| one.cluster.clone())
                .collect();
            (names, "follows the deployment of its name")
        };
        let mut placements: BTreeMap<String, PlacementStatus> = names
            .into_iter()
            .map(|cluster| {
                (
                    cluster.clone(),
                    PlacementStatus {
                        cluster,
                        location: true,
                        why: why.to_owned(),
                        ..PlacementStatus::default()
                    },
                )
            })
            .collect();
        let standing = state.standing(workload.owner_bits(), workload.key.kind.on_members());
        if let Some(before) = before(&state, workload) {
            before.keep_on_record(&mut placements, &standing);
        }
        let Some(tracked) = state.workloads.get_mut(&workload.key) else {
            return Ok(());
        };
        tracked.invalid = None;
        let mut next = Assignment {
            placements: placements.into_values().collect(),
            ..Assignment::default()
        };
        next.decision.sequence = tracked.assignment.decision.sequence.saturating_add(1);
        if next.differs_from(&tracked.assignment) {
            tracked.assignment = next;
        }
        Ok(())
    }

    /// Puts the assignment on record on the hub, if it is not yet, and then our finalizer on; members
    /// come after both. The record is the status, which needs rights that those who may edit the
    /// object need not have.
    async fn record(&self, workload: &Arc<Workload>) -> Result<(), ReconcileError> {
        let recorded = async {
            let version = self.record_assignment(workload).await?;
            let held = workload.is_held() && !workload.is_held_by_kopf();
            match version {
                Some(version) if !held => self.hold(workload, &version).await,
                _ => Ok(()),
            }
        };
        let recorded = recorded.await;
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
        let (sequence, status, seen) = {
            let state = self.state();
            let Some(tracked) = state.workloads.get(&workload.key) else {
                return Ok(None);
            };
            let sequence = tracked.assignment.decision.sequence;
            if sequence <= tracked.recorded {
                return Ok((sequence > 0).then(|| workload.resource_version.clone()));
            }
            let status = self.status_of(&state, tracked);
            (sequence, status, tracked.reported_sequence())
        };
        let version = self.write_status(workload, seen, &status).await?;
        if let Some(tracked) = self.state().workloads.get_mut(&workload.key) {
            tracked.recorded = tracked.recorded.max(sequence);
            tracked.guard.wrote(version_of(&version));
            let before = std::mem::replace(&mut tracked.reported, status);
            self.announce(workload, &before, &tracked.reported);
        }
        Ok(Some(version))
    }

    /// Hands each member its bundle. Members that hold something and have no share get an empty one.
    fn apply(&self, workload: &Arc<Workload>, dependencies: &[Item]) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(tracked) = state.workloads.get_mut(&workload.key) else {
            return;
        };
        // While the hub went first, another object of that name may have come.
        if tracked.assignment.decision.sequence == 0 || tracked.workload.uid != workload.uid {
            return;
        }
        let owner = workload.owner_bits();
        let members = state.members.iter();
        for (name, registered) in members.filter(|(_, one)| !one.is_refused()) {
            let Some(member) = &registered.member else {
                continue;
            };
            let share = tracked
                .assignment
                .placements
                .iter()
                .find(|one| one.cluster == name.as_str())
                .filter(|one| !is_over(one))
                // A Job of no pods at a time would never end.
                .filter(|one| workload.key.kind != Kind::Job || one.replicas > 0);
            let bundle = match share {
                Some(share) => {
                    match bundles::bundle(&self.hub_uid, workload, share, dependencies) {
                        Ok(bundle) => bundle,
                        Err(problem) => {
                            tracked.invalid = Some(problem);
                            continue;
                        }
                    }
                }
                None if member.holds(owner)
                    || tracked.delivered.contains(name)
                    || tracked.failures.contains_key(name) =>
                {
                    bundles::nothing(workload)
                }
                None => continue,
            };
            if share.is_none() {
                tracked.failures.remove(name);
                tracked.delivered.remove(name);
            }
            member.deliver(bundle);
        }
    }

    /// Takes what has ended from members that have no share of it: what came late to one that had
    /// left the federation is there when it is back.
    fn clear(&self, workload: &Workload) {
        let state = self.state();
        let Some(tracked) = state.workloads.get(&workload.key) else {
            return;
        };
        let assignment = &tracked.assignment;
        if assignment.decision.sequence == 0 || tracked.workload.uid != workload.uid {
            return;
        }
        for (name, registered) in &state.members {
            let is_here = |one: &PlacementStatus| one.cluster == name.as_str() && one.replicas > 0;
            let has_share = assignment.placements.iter().any(is_here);
            if let Some(member) = &registered.member
                && !has_share
                && member.holds(workload.owner_bits())
            {
                member.deliver(bundles::nothing(workload));
            }
        }
    }
}

/// What was decided.
struct Decided {
    next: Assignment,
    /// Of its replicas, those that run elsewhere than at their location.
    away: u32,
    cursor: u64,
}

/// Decides by the snapshot as it is; `None` when the object is not known any more. Costs no call.
fn decide(
    state: &State,
    workload: &Workload,
    validated: &Validated,
    own_traffic: Option<&BTreeMap<ClusterName, f64>>,
) -> Option<Decided> {
    let before = before(state, workload)?;
    let (plan, cursor) = plan(state, workload, validated, own_traffic)?;
    let standing = state.standing(workload.owner_bits(), workload.key.kind.on_members());
    let next = before.next(&plan, validated, cursor, &standing);
    Some(Decided {
        next,
        away: plan.away,
        cursor: if chooses(&before, validated) {
            next_cursor(cursor)
        } else {
            state.cursor(&workload.key.namespace)
        },
    })
}

/// The assignment that the next one follows: the one on record, or what members hold of an object
/// whose record is lost.
fn before<'a>(state: &'a State, workload: &Workload) -> Option<Cow<'a, Assignment>> {
    let assignment = &state.workloads.get(&workload.key)?.assignment;
    if assignment.decision.sequence > 0 {
        return Some(Cow::Borrowed(assignment));
    }
    let standing = state.standing(workload.owner_bits(), workload.key.kind.on_members());
    Some(Cow::Owned(Assignment::of_what_is_held(&standing)))
}

/// What the placement core says of an object now, and with which cursor.
pub(crate) fn plan(
    state: &State,
    workload: &Workload,
    validated: &Validated,
    own_traffic: Option<&BTreeMap<ClusterName, f64>>,
) -> Option<(Plan, u64)> {
    let before = before(state, workload)?;
    let is_new = chooses(&before, validated);
    let cursor = if is_new {
        state.cursor(&workload.key.namespace)
    } else {
        before.decision.cursor
    };
    let resizable = workload.key.kind != Kind::Job;
    let ask = |limits: &BTreeMap<ClusterName, u32>| {
        let mut current = before.current(resizable);
        for one in &mut current {
            let limit = limits.get(&one.cluster).copied();
            one.replicas = one.replicas.min(limit.unwrap_or(u32::MAX));
        }
        let request = Request {
            owner: OwnerKey(workload.owner_bits()),
            shape: &validated.shape,
            targets: validated.targets.clone(),
            replicas: validated.replicas,
            scheduling: validated.scheduling,
            eligibility: validated.eligibility.clone(),
            overflow: validated.overflow,
            current,
            resizable,
            moves: &[],
            limits: limits.clone(),
            rechoose: is_new && before.decision.sequence > 0,
            inputs: Inputs {
                traffic: own_traffic.or(state.traffic.as_ref()),
                proximity: state.proximity.as_ref(),
                origins: validated
                    .origin
                    .iter()
                    .flat_map(|origin| state.snapshot.origins(origin))
                    .collect(),
                cursor,
                seed: validated.seed,
                parameters: validated.parameters.clone(),
            },
        };
        place(&state.snapshot, &request, validated.policy)
    };
    let mut limits = state.limits(&workload.key);
    let mut plan = ask(&limits);
    if !limits.is_empty() && plan.unplaced_replicas() > 0 {
        // What has no other place stays where it waits.
        let mut surplus = plan
            .unplaced_replicas()
            .saturating_sub(ask(&BTreeMap::new()).unplaced_replicas());
        for one in before.current(resizable) {
            if let Some(limit) = limits.get_mut(&one.cluster) {
                let more = one.replicas.saturating_sub(*limit).min(surplus);
                *limit += more;
                surplus -= more;
            }
        }
        plan = ask(&limits);
    }
    Some((plan, cursor))
}

/// Whether locations are chosen, for the first time or anew.
fn chooses(before: &Assignment, validated: &Validated) -> bool {
    before.decision.sequence == 0 || before.decision.key != validated.decision_key
}

fn summary(placements: &[PlacementStatus]) -> String {
    placements
        .iter()
        .map(|one| format!("{}:{}", one.cluster, one.replicas))
        .collect::<Vec<_>>()
        .join(",")
}
