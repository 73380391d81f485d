//! What follows from what happens to members.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use federation::api::{MemberCluster, MemberClusterStatus};
use federation::capacity::CapacityEvent;
use federation::members::{AccessReason, Change, Failure, MemberBackend, MemberEvent, Outcome};
use federation::operator::queue::Priority;
use kube::ResourceExt as _;
use placement::{ClusterName, Snapshot};
use tokio::time::Instant;
use tracing::{info, warn};

use super::identity::{Identity, judge};
use super::limits::Unschedulable;
use super::{Effect, HubTask, Index, Measure, MemberRecord};
use crate::decide::is_over;
use crate::workload::{Key, Kind};

/// So many objects whose pods wait on their members are decided at once, at most.
const TRIED_AT_ONCE: usize = 64;

/// A delivery that ended.
struct Delivered {
    owner: u128,
    generation: i64,
    last: bool,
}

impl Index {
    pub(super) fn member_applied(
        &mut self,
        object: MemberCluster,
        is_readable: bool,
        now: Instant,
    ) {
        let name = ClusterName::from(object.name_any());
        let known = self.members.same(&object);
        if known.is_none_or(|known| !known.is_readable()) {
            // It may have been deleted and created again between two watches.
            self.members.remove(&name);
            self.forget_cluster(&name);
        }
        let object = Arc::new(object);
        self.effects.push(Effect::Connect(object.clone()));
        self.members.put(&name, object, is_readable, now);
        self.cluster_changed(&name);
        if !self.unkept_leftovers(&name).is_empty() {
            self.effects
                .push(Effect::OnHub(HubTask::KeepLeftovers(name)));
        }
        // It may say by now that it may be the hub.
        self.judge_identities();
    }

    /// A known member stays as it is known; one that is not known yet is unreachable.
    pub(super) fn member_unreadable(&mut self, object: MemberCluster, now: Instant) {
        self.measure(Measure::Unreadable("MemberCluster"));
        let name = ClusterName::from(object.name_any());
        if self.members.get(&name).is_none() {
            self.member_applied(object, false, now);
        }
    }

    /// Its tasks end, and its shares are decided again.
    pub(super) fn member_deleted(&mut self, name: &ClusterName) {
        if self.members.remove(name) {
            self.effects.push(Effect::Disconnect(name.clone()));
            info!(cluster = %name, "is no longer a member");
            self.cluster_changed(name);
            self.forget_cluster(name);
            // Another name of the same cluster may serve now.
            self.judge_identities();
        }
    }

    pub(super) fn members_listed(&mut self, names: &BTreeSet<ClusterName>) {
        for name in self.members.names() {
            if !names.contains(&name) {
                self.member_deleted(&name);
            }
        }
        self.members.set_listed();
        self.judge_identities();
    }

    /// A cluster is another one or no member any more: what was known of it does not hold.
    fn forget_cluster(&mut self, name: &ClusterName) {
        self.snapshot.remove_cluster(name);
        for (_, tracked) in self.workloads.iter_mut() {
            tracked.forget_cluster(name);
        }
    }

    /// A member is connected. What it was handed before is handed over again.
    pub(super) fn connected(&mut self, object: &MemberCluster, backend: Arc<dyn MemberBackend>) {
        if let Some(record) = self.members.same_mut(object) {
            record.connected(backend);
            self.judge_identities();
            self.reconcile_placed_on(&ClusterName::from(object.name_any()));
        }
    }

    pub(super) fn member_event(&mut self, event: MemberEvent, now: Instant) {
        let MemberEvent { cluster, change } = event;
        let Some(record) = self.members.get_mut(&cluster) else {
            return;
        };
        match change {
            // Of a cluster that is not served, nothing counts.
            Change::Capacity(_) if record.admitted().is_none() => {}
            Change::Capacity(event) => {
                let nodes = matches!(event, CapacityEvent::NodesListed(_));
                let pods = matches!(event, CapacityEvent::PodsListed(_));
                let is_listed = record.listed(nodes, pods);
                capacity(&mut self.snapshot, &cluster, event);
                if is_listed {
                    self.cluster_changed(&cluster);
                }
            }
            Change::Refused(problem) => {
                if record.set_forbidden(problem.clone()) {
                    warn!(%cluster, problem, "watch forbidden");
                }
                self.cluster_changed(&cluster);
            }
            Change::Identified(uid) => self.identified(&cluster, uid),
            Change::Unidentified(problem) => {
                record.reachable(None);
                record.set_forbidden(problem);
                self.cluster_changed(&cluster);
            }
            Change::Reachable(version) => {
                record.reachable(version);
                self.cluster_changed(&cluster);
            }
            Change::Unreachable(problem) => {
                let message = format!("does not answer: {problem}");
                record.unreachable(AccessReason::Unreachable.problem(message), now);
                self.cluster_changed(&cluster);
            }
            Change::Synced => {
                record.clear_forbidden();
                self.member_synced(&cluster);
            }
            Change::Unreadable(kind) => self.measure(Measure::Unreadable(kind)),
            Change::Observed(owner) => self.observed(owner),
            Change::Undone(_) => self.measure(Measure::PutBack(cluster)),
            Change::Delivered {
                owner,
                generation,
                last,
                outcome,
            } => {
                let delivered = Delivered {
                    owner,
                    generation,
                    last,
                };
                self.delivered(&cluster, &delivered, outcome, now);
            }
            Change::NamespaceKept(kept) => {
                let about = record.object().clone();
                warn!(%cluster, "{kept}");
                self.effects.push(Effect::Warn {
                    about,
                    reason: "NamespaceKept",
                    message: kept.to_string(),
                });
            }
        }
    }

    /// A member has said which cluster it is: at first, or another one answers under its name.
    fn identified(&mut self, name: &ClusterName, uid: String) {
        let Some(record) = self.members.get_mut(name) else {
            return;
        };
        if let Some(before) = record.recorded_uid().filter(|before| *before != uid) {
            let message = format!(
                "another cluster answers under this name: {uid}, it was {before}; what runs is brought to it, and nothing is deleted on either because of it"
            );
            warn!(cluster = %name, "{message}");
            self.effects.push(Effect::Warn {
                about: record.object().clone(),
                reason: "ClusterReplaced",
                message,
            });
        }
        if record.identified(uid) {
            self.forget_cluster(name);
        }
        self.judge_identities();
    }

    /// Judges all names again, after any of them has changed. Not before all of them are known.
    fn judge_identities(&mut self) {
        if !self.members.is_listed() {
            return;
        }
        let claims = self.members.all();
        let claims = claims.map(|(name, one)| (name, one.claim())).collect();
        for (name, identity) in judge(&claims, &self.settings.hub_uid) {
            let Some(record) = self.members.get_mut(&name) else {
                continue;
            };
            let is_new = *record.identity() != identity;
            if is_new && let Identity::Duplicate(first) = &identity {
                warn!(cluster = %name, %first, "is another name of a cluster that is served: nothing is served under it");
            }
            let is_admitted = record.judge(identity);
            if is_admitted {
                info!(cluster = %name, uid = record.admitted(), "is the cluster that is served");
                self.reconcile_placed_on(&name);
            }
            if is_new || is_admitted {
                // The record of a new claim is written at once.
                self.effects.push(Effect::WriteMemberStatuses);
                self.cluster_changed(&name);
            }
        }
    }

    /// The status of a member was written; its object has this version since.
    pub fn member_status_written(
        &mut self,
        name: &ClusterName,
        status: MemberClusterStatus,
        version: u64,
    ) -> Vec<Effect> {
        if let Some(record) = self.members.get_mut(name)
            && record.wrote(status, version)
        {
            self.judge_identities();
        }
        std::mem::take(&mut self.effects)
    }

    /// What the member holds is known: what has no share there is removed, leftovers too.
    fn member_synced(&mut self, cluster: &ClusterName) {
        self.cluster_changed(cluster);
        let Some(record) = self.members.get(cluster) else {
            return;
        };
        // Each owner takes care of its own. One that the hub does not know is left alone: the hub may
        // have been restored from before it.
        let owners = record.backend().map(MemberBackend::owners);
        let owners = owners.into_iter().flatten();
        let known = owners.filter_map(|owner| self.workloads.of_owner(owner).cloned());
        let reconciles = known.map(|key| Effect::Reconcile(key, Priority::Low));
        self.effects.extend(reconciles);
        self.collect_leftovers(cluster);
    }

    fn observed(&mut self, owner: u128) {
        let Some(key) = self.workloads.of_owner(owner).cloned() else {
            return;
        };
        let is_decided = self.workloads.get(&key).is_some_and(|tracked| {
            tracked.assignment().is_moving() || tracked.workload().deleted_at.is_some()
        });
        self.report(key.clone());
        if is_decided {
            self.reconcile(key, Priority::High);
        }
    }

    fn delivered(
        &mut self,
        cluster: &ClusterName,
        delivered: &Delivered,
        outcome: Outcome,
        now: Instant,
    ) {
        let owner = delivered.owner;
        if delivered.last && outcome.is_ok() {
            self.leftover_collected(cluster, owner);
        }
        let failure = outcome.as_ref().err().map(|failure: &Failure| failure.kind);
        self.measure(Measure::Delivered(failure));
        let Some(key) = self.workloads.of_owner(owner).cloned() else {
            return;
        };
        let holds = (self.members.get(cluster)).is_some_and(|record| record.holds(owner));
        let Some(tracked) = self.workloads.get_mut(&key) else {
            return;
        };
        match outcome {
            Ok(()) => {
                tracked.succeeded(cluster);
                let share = tracked.share(cluster.as_str());
                let (has_share, has_left) = (
                    share.is_some_and(|share| !is_over(share)),
                    share.is_some_and(is_over),
                );
                let is_deleted = tracked.workload().deleted_at.is_some();
                if is_deleted && delivered.last {
                    // A delivery that was in progress at the deletion has brought it, not removed it.
                    tracked.removed(cluster);
                } else if !is_deleted
                    && has_share
                    && delivered.generation == tracked.workload().generation
                {
                    tracked.delivered(cluster);
                }
                let completed = tracked.take_completed();
                // One that holds nothing any more need not be on record.
                if is_deleted || (has_left && !holds) {
                    self.reconcile(key.clone(), Priority::High);
                }
                if let Some(since) = completed {
                    self.measure(Measure::EndToEnd(now.duration_since(since)));
                }
            }
            Err(failure) => tracked.failed(cluster, failure),
        }
        self.report(key);
    }

    /// A cluster may be another choice than before: what is placed on it or waits is decided again.
    pub(super) fn cluster_changed(&mut self, name: &ClusterName) {
        let open = self.members.get(name).map(MemberRecord::is_open);
        self.measure(Measure::Member(name.clone(), open));
        if self.refresh_cluster(name) {
            self.effects.push(Effect::WriteMemberStatuses);
            self.reconcile_placed_on(name);
            self.retry_waiting();
        }
    }

    pub(super) fn reconcile_placed_on(&mut self, name: &ClusterName) {
        let placed = self.workloads.placed_on(name).into_iter();
        self.effects
            .extend(placed.map(|key| Effect::Reconcile(key, Priority::Low)));
    }

    /// Brings the snapshot's cluster up to date; whether it has changed.
    fn refresh_cluster(&mut self, name: &ClusterName) -> bool {
        let Some(record) = self.members.member(name.as_str()) else {
            let was_known = self.snapshot.cluster(name).is_some();
            self.snapshot.remove_cluster(name);
            return was_known;
        };
        let cluster = record.cluster(name, self.failover.is_lost(name));
        let is_changed = self.snapshot.cluster(name) != Some(&cluster);
        if is_changed {
            self.snapshot.upsert_cluster(cluster);
        }
        is_changed
    }

    /// Decides which of the silent members are lost.
    pub(super) fn fail_over(&mut self, now: Instant) {
        let members = self.members.members();
        let judged = members
            .filter(|(_, one)| one.silent_since().is_some() || one.is_reachable() == Some(true));
        let judged = judged
            .map(|(name, one)| (name.clone(), one.silent_since()))
            .collect();
        let newly = (self.failover).pass(&judged, self.settings.failover, now);
        let is_suspended = self.failover.is_suspended();
        self.measure(Measure::FailedOver(newly, is_suspended));
        if newly > 0 {
            self.effects.push(Effect::WriteMemberStatuses);
        }
    }

    /// Limits the clusters whose schedulers cannot place what they have, and decides that again.
    pub(super) fn limit_unschedulable(&mut self, now: Instant) {
        let mut expired = Vec::new();
        for (key, tracked) in self.workloads.iter_mut() {
            if tracked.limits_mut().expire(now) > 0 {
                expired.push(key.clone());
            }
        }
        for key in expired {
            self.displaced.check_again(&key);
        }
        let after = self.settings.unschedulable_after;
        let mut tried = 0;
        for (key, stuck) in self.unschedulable(after) {
            let cluster = stuck.cluster.clone();
            if tried == TRIED_AT_ONCE {
                // The others a second later: nothing else happens meanwhile.
                break;
            }
            let Some(goes_elsewhere) = self.limit(&key, stuck, after, now) else {
                continue;
            };
            tried += 1;
            if goes_elsewhere {
                info!(%key, %cluster, "cannot schedule all replicas: they are placed elsewhere");
                self.reconcile(key, Priority::Low);
            }
        }
    }

    fn unschedulable(&self, after: Duration) -> Vec<(Key, Unschedulable)> {
        let mut all = Vec::new();
        for (cluster, record) in self.members.all() {
            let Some(backend) = record.backend().filter(|_| record.is_open()) else {
                continue;
            };
            for (owner, pods) in backend.unschedulable(after) {
                // A job's pods never move.
                let key = self.workloads.of_owner(owner);
                if let Some(key) = key.filter(|key| key.kind == Kind::Deployment) {
                    let diagnosis = backend.diagnosis(owner, key.kind.on_members());
                    let stuck = Unschedulable {
                        cluster: cluster.clone(),
                        pods,
                        message: diagnosis.map(|one| one.message).unwrap_or_default(),
                    };
                    all.push((key.clone(), stuck));
                }
            }
        }
        all
    }

    /// Limits a cluster, unless it is limited already; whether that makes replicas go elsewhere.
    fn limit(
        &mut self,
        key: &Key,
        stuck: Unschedulable,
        after: Duration,
        now: Instant,
    ) -> Option<bool> {
        let cluster = stuck.cluster.clone();
        let tracked = self.workloads.get_mut(key)?;
        let share = tracked.share(cluster.as_str());
        let share = share.filter(|one| one.leaving == 0 && one.replicas > 0)?;
        let share = share.replicas;
        if !tracked.limits_mut().limit(stuck, share, after, now) {
            return None;
        }
        let goes_elsewhere = self.share_now(key, &cluster) < share;
        if !goes_elsewhere && let Some(tracked) = self.workloads.get_mut(key) {
            tracked.limits_mut().shorten(&cluster, after, now);
        }
        Some(goes_elsewhere)
    }

    /// What a cluster would get if the object were decided now.
    fn share_now(&self, key: &Key, cluster: &ClusterName) -> u32 {
        self.trial(key).map_or(u32::MAX, |plan| {
            let placements = plan.placements.iter();
            let shares = placements.filter(|one| one.cluster == *cluster);
            shares.map(|one| one.replicas).sum()
        })
    }
}

fn capacity(snapshot: &mut Snapshot, cluster: &ClusterName, event: CapacityEvent) {
    match event {
        CapacityEvent::Node(node) => snapshot.upsert_node(cluster, node),
        CapacityEvent::NodeGone(name) => snapshot.remove_node(cluster, &name),
        CapacityEvent::Pod(key, pod) => snapshot.upsert_pod(cluster, key, pod),
        CapacityEvent::PodGone(key) => snapshot.remove_pod(cluster, key),
        CapacityEvent::NodesListed(names) => snapshot.retain_nodes(cluster, &names),
        CapacityEvent::PodsListed(keys) => snapshot.retain_pods(cluster, &keys),
        // The member handles these itself.
        CapacityEvent::OwnPod(..) | CapacityEvent::Refused(_) | CapacityEvent::Unreadable(_) => {}
    }
}
