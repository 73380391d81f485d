//! The objects that are served, and what is known of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use federation::api::{PlacementStatus, WorkloadStatus};
use federation::members::{Failure, Item, ObjectKey};
use placement::ClusterName;
use tokio::time::Instant;

use super::limits::Limits;
use crate::decide::{Assignment, is_over};
use crate::dependencies::Fetched;
use crate::references::Need;
use crate::status_guard::StatusGuard;
use crate::workload::{Key, Kind, Workload};

/// An object that is served.
pub struct Tracked {
    workload: Arc<Workload>,
    assignment: Assignment,
    /// The sequence of the last assignment that the hub has on record.
    recorded: i64,
    invalid: Option<String>,
    rejected: Option<String>,
    dependencies: Dependencies,
    deliveries: Deliveries,
    deletion_seen: Option<Instant>,
    reported: WorkloadStatus,
    guard: StatusGuard,
    limits: Limits,
    is_reserved: bool,
}

/// What the template names.
#[derive(Default)]
struct Dependencies {
    named: BTreeSet<ObjectKey>,
    fetched: Option<Fetched>,
    /// How often any of it was seen to change.
    changes: u64,
}

/// What became of the bundles.
#[derive(Default)]
struct Deliveries {
    failures: BTreeMap<ClusterName, Failure>,
    /// Clusters that have what was last handed over.
    delivered: BTreeSet<ClusterName>,
    /// Clusters that hold nothing of it any more, while it is deleted.
    removed: BTreeSet<ClusterName>,
    /// When the change that is in progress was seen, for the end-to-end time.
    changed_at: Option<Instant>,
}

/// What a newer version of an object means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// It has to be reconciled.
    pub is_relevant: bool,
    /// Its spec is another one.
    pub spec_changed: bool,
    /// Its deletion began.
    pub deletion_began: bool,
    /// Its status was replaced by another client and is written again after this.
    pub rewrite_after: Option<Duration>,
}

/// A status that is to be written.
#[derive(Clone, Debug)]
pub struct Recordable {
    /// The object.
    pub workload: Arc<Workload>,
    /// The version of the object that is known: the write is refused if it has another one.
    pub version: String,
    /// The sequence that it puts on record.
    pub sequence: i64,
    /// The status.
    pub status: WorkloadStatus,
    /// The status that was reported before.
    pub before: WorkloadStatus,
}

/// The assignment that the hub has on record.
pub fn assignment_of(workload: &Workload) -> Assignment {
    let status = &workload.status;
    Assignment {
        decision: status.decision.clone().unwrap_or_default(),
        policy: status.policy.clone(),
        placements: status.placements.clone(),
        unplaced: status.unplaced_replicas,
        unplaced_by: status.unplaced.clone(),
        fallback: None,
        obstacle: None,
    }
}

impl Tracked {
    /// A newly seen object; its assignment on record stays.
    fn new(workload: Arc<Workload>, now: Instant) -> Self {
        let assignment = assignment_of(&workload);
        // What was on record when this process started is no change that it has seen.
        let changed_at = (assignment.decision.sequence == 0).then_some(now);
        Self {
            recorded: assignment.decision.sequence,
            invalid: None,
            rejected: None,
            dependencies: Dependencies::default(),
            deliveries: Deliveries {
                changed_at,
                ..Deliveries::default()
            },
            deletion_seen: None,
            reported: workload.status.clone(),
            guard: StatusGuard::default(),
            limits: Limits::default(),
            is_reserved: false,
            assignment,
            workload,
        }
    }

    /// The object as the hub has it.
    pub fn workload(&self) -> &Arc<Workload> {
        &self.workload
    }

    /// The last decision.
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Why its spec cannot be served.
    pub fn invalid(&self) -> Option<&str> {
        self.invalid.as_deref()
    }

    /// Why the hub rejected our last write of the object.
    pub fn rejected(&self) -> Option<&str> {
        self.rejected.as_deref()
    }

    /// What its last deliveries failed with, by cluster.
    pub fn failures(&self) -> &BTreeMap<ClusterName, Failure> {
        &self.deliveries.failures
    }

    /// The cluster has what was last handed over.
    pub fn is_delivered(&self, cluster: &str) -> bool {
        self.deliveries.delivered.contains(cluster)
    }

    /// What its template needs and the hub does not have.
    pub fn missing(&self) -> &[ObjectKey] {
        let fetched = self.dependencies.fetched.as_ref();
        fetched.map_or(&[], |fetched| &fetched.missing)
    }

    /// What clusters are limited to, because their schedulers cannot place more.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// The status that was reported last.
    pub fn reported(&self) -> &WorkloadStatus {
        &self.reported
    }

    /// A Job that the hub has on record as complete or failed: it is not run again, whatever becomes
    /// of its members and of its Jobs there.
    pub fn has_ended(&self) -> bool {
        self.workload.has_ended_by(&self.reported)
    }

    /// The object's version, of what was read and what was written by us since.
    pub fn version_on_hub(&self, read: &Workload) -> String {
        let written = self.guard.written();
        if written > read.version() {
            return written.to_string();
        }
        read.resource_version.clone()
    }

    /// The assignment is on record.
    pub fn is_recorded(&self) -> bool {
        self.assignment.decision.sequence <= self.recorded
    }

    /// The hub has an assignment of replicas on record.
    pub(super) fn is_placed_by_record(&self) -> bool {
        self.recorded > 0 && self.workload.key.kind != Kind::Service && !self.has_ended()
    }

    /// What is written with this status.
    pub fn recordable(&self, status: WorkloadStatus) -> Recordable {
        Recordable {
            workload: self.workload.clone(),
            version: self.version_on_hub(&self.workload),
            sequence: self.assignment.decision.sequence,
            status,
            before: self.reported.clone(),
        }
    }

    /// Another client has replaced the status, and it is time to write it again.
    pub fn must_rewrite(&self, now: Instant) -> bool {
        self.guard.must_write(now)
    }

    /// The share of a cluster.
    pub fn share(&self, cluster: &str) -> Option<&PlacementStatus> {
        let mut placements = self.assignment.placements.iter();
        placements.find(|one| one.cluster == cluster)
    }

    /// The cluster may hold objects of it that were handed over.
    pub fn was_handed_to(&self, cluster: &ClusterName) -> bool {
        self.deliveries.delivered.contains(cluster)
            || self.deliveries.failures.contains_key(cluster)
    }

    /// The cluster is known to hold nothing of it any more, after its deletion.
    pub fn is_removed_from(&self, cluster: &ClusterName) -> bool {
        self.deliveries.removed.contains(cluster)
    }

    /// The fetched dependencies, if they were fetched for these names.
    pub fn fetched(&self, asked: &BTreeMap<ObjectKey, Need>) -> Option<Vec<Arc<Item>>> {
        let fetched = self.dependencies.fetched.as_ref();
        let fetched = fetched.filter(|fetched| fetched.covers(asked));
        fetched.map(|fetched| fetched.items.clone())
    }

    /// How often any dependency was seen to change.
    pub fn dependency_changes(&self) -> u64 {
        self.dependencies.changes
    }

    /// Keeps what was fetched, unless any of it has changed since `changes` was read.
    pub(super) fn keep_fetched(&mut self, uid: &str, changes: u64, fetched: Fetched) {
        if self.workload.uid == uid && self.dependencies.changes == changes {
            self.dependencies.fetched = Some(fetched);
        }
    }

    /// A dependency has changed: all are fetched again.
    pub(super) fn dependency_changed(&mut self) {
        self.dependencies.fetched = None;
        self.dependencies.changes += 1;
    }

    pub(super) fn forget_dependencies(&mut self) {
        self.dependencies.fetched = None;
    }

    /// A newer version of the object.
    pub(super) fn update(&mut self, mut workload: Workload, now: Instant) -> Update {
        let before = self.workload.clone();
        // The garbage collector may remove this finalizer before the object is cleared.
        workload.orphaned |= before.is_orphaned() && workload.deleted_at.is_some();
        self.workload = Arc::new(workload);
        let workload = &self.workload;
        let recorded = assignment_of(workload);
        let adopted = recorded.decision.sequence > self.assignment.decision.sequence;
        let mut rewrite_after = None;
        if adopted {
            // Another writer made it; it goes on from here.
            self.recorded = recorded.decision.sequence;
            self.assignment = recorded;
            self.reported = self.workload.status.clone();
            self.guard = StatusGuard::default();
        } else {
            self.recorded = self.recorded.max(recorded.decision.sequence);
            let version = workload.version();
            rewrite_after = (self.guard).seen(version, &workload.status, &self.reported, now);
        }
        let workload = &self.workload;
        let spec_changed = before.generation != workload.generation;
        if spec_changed {
            self.deliveries.changed_at = Some(now);
            self.deliveries.delivered.clear();
            self.limits.clear();
        }
        let deletion_began = before.deleted_at != workload.deleted_at;
        Update {
            is_relevant: spec_changed
                || adopted
                || deletion_began
                || before.labels != workload.labels
                || before.annotations != workload.annotations
                || (before.is_held() && !workload.is_held())
                || (workload.deleted_at.is_some() && before.finalizers != workload.finalizers),
            spec_changed,
            deletion_began,
            rewrite_after,
        }
    }

    /// The object was read again after a conflict: the assignment on the hub is the true one.
    pub(super) fn refresh(&mut self, workload: Workload, now: Instant) {
        let recorded = assignment_of(&workload);
        if recorded.decision.sequence < self.recorded {
            // It was wiped or replaced by an older one: ours is written again.
            let version = workload.version();
            (self.guard).seen(version, &workload.status, &self.reported, now);
        } else {
            self.recorded = recorded.decision.sequence;
            self.assignment = recorded;
            self.guard = StatusGuard::default();
            self.reported = workload.status.clone();
        }
        self.workload = Arc::new(workload);
    }

    /// A status was written; the object has this version since.
    pub(super) fn wrote(&mut self, written: &Recordable, version: u64) {
        let is_newer = written.sequence > self.recorded;
        self.recorded = self.recorded.max(written.sequence);
        // Of two writes in progress, the one with the newer assignment is what the hub has.
        if is_newer || self.reported == written.before {
            self.reported = written.status.clone();
            self.guard.wrote(version);
        }
    }

    /// The spec is valid, or why it is not.
    pub(super) fn set_invalid(&mut self, problem: Option<String>) {
        self.invalid = problem;
    }

    /// The hub takes our writes, or why it rejects them; whether that is another answer than before.
    pub(super) fn set_rejected(&mut self, rejection: Option<&str>) -> bool {
        let changed = self.rejected.as_deref() != rejection;
        if changed {
            self.rejected = rejection.map(str::to_owned);
        }
        changed
    }

    /// Its next assignment; the previous one.
    pub(super) fn assign(&mut self, next: Assignment) -> Assignment {
        std::mem::replace(&mut self.assignment, next)
    }

    /// The same assignment, explained again.
    pub(super) fn explain(&mut self, next: &Assignment) {
        self.assignment.fallback.clone_from(&next.fallback);
        self.assignment.obstacle.clone_from(&next.obstacle);
    }

    /// Its share of each cluster is held in the snapshot; whether it was before.
    pub(super) fn reserve(&mut self) -> bool {
        std::mem::replace(&mut self.is_reserved, true)
    }

    /// Its share of each cluster is held in the snapshot.
    pub fn is_reserved(&self) -> bool {
        self.is_reserved
    }

    /// A cluster gets an empty bundle: how deliveries to it went does not matter any more.
    pub(super) fn clear_delivery(&mut self, cluster: &ClusterName) {
        self.deliveries.failures.remove(cluster);
        self.deliveries.delivered.remove(cluster);
    }

    /// A cluster is another one or no member any more.
    pub(super) fn forget_cluster(&mut self, cluster: &ClusterName) {
        self.clear_delivery(cluster);
        self.deliveries.removed.remove(cluster);
        self.limits.remove(cluster);
    }

    pub(super) fn failed(&mut self, cluster: &ClusterName, failure: Failure) {
        self.deliveries.failures.insert(cluster.clone(), failure);
    }

    pub(super) fn succeeded(&mut self, cluster: &ClusterName) {
        self.deliveries.failures.remove(cluster);
    }

    pub(super) fn delivered(&mut self, cluster: &ClusterName) {
        self.deliveries.delivered.insert(cluster.clone());
    }

    pub(super) fn removed(&mut self, cluster: &ClusterName) {
        self.deliveries.removed.insert(cluster.clone());
    }

    /// When the change in progress was seen, once every cluster has its share of it.
    pub(super) fn take_completed(&mut self) -> Option<Instant> {
        let shares = self.assignment.placements.iter();
        let mut shares = shares.filter(|one| !is_over(one));
        let all = shares.all(|one| self.deliveries.delivered.contains(one.cluster.as_str()));
        all.then(|| self.deliveries.changed_at.take()).flatten()
    }

    /// When the change was seen that not every cluster has yet.
    pub fn changed_at(&self) -> Option<Instant> {
        self.deliveries.changed_at
    }

    /// When this process saw the deletion: the hub's clock may differ from ours.
    pub(super) fn deletion_seen(&mut self, now: Instant) -> Instant {
        *self.deletion_seen.get_or_insert(now)
    }
}

/// All of them.
#[derive(Default)]
pub struct Workloads {
    objects: BTreeMap<Key, Tracked>,
    /// Owner uid to object key.
    owners: BTreeMap<u128, Key>,
    /// Which objects name a dependency.
    dependants: BTreeMap<ObjectKey, BTreeSet<Key>>,
}

impl Workloads {
    pub fn get(&self, key: &Key) -> Option<&Tracked> {
        self.objects.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Tracked> {
        self.objects.get_mut(key)
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.objects.contains_key(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Tracked)> {
        self.objects.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Tracked)> {
        self.objects.iter_mut()
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// The object of an owner uid.
    pub fn of_owner(&self, owner: u128) -> Option<&Key> {
        self.owners.get(&owner)
    }

    /// A new object.
    pub(super) fn insert(&mut self, workload: Workload, now: Instant) {
        let key = workload.key.clone();
        self.owners.insert(workload.owner_bits(), key.clone());
        let tracked = Tracked::new(Arc::new(workload), now);
        self.objects.insert(key, tracked);
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Tracked> {
        self.set_dependencies(key, &BTreeSet::new());
        let tracked = self.objects.remove(key)?;
        let owner = tracked.workload.owner_bits();
        if self.owners.get(&owner) == Some(key) {
            self.owners.remove(&owner);
        }
        Some(tracked)
    }

    /// The objects that have or had a share on a cluster.
    pub fn placed_on(&self, cluster: &ClusterName) -> Vec<Key> {
        let placed = |(_, tracked): &(&Key, &Tracked)| tracked.share(cluster.as_str()).is_some();
        let placed = self.objects.iter().filter(placed);
        placed.map(|(key, _)| key.clone()).collect()
    }

    /// The object's template names these from now on.
    pub(super) fn set_dependencies(&mut self, key: &Key, names: &BTreeSet<ObjectKey>) {
        let Some(tracked) = self.objects.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut tracked.dependencies.named, names.clone());
        for name in before.difference(names) {
            if let Some(dependants) = self.dependants.get_mut(name) {
                dependants.remove(key);
                if dependants.is_empty() {
                    self.dependants.remove(name);
                }
            }
        }
        for name in names.difference(&before) {
            let dependants = self.dependants.entry(name.clone()).or_default();
            dependants.insert(key.clone());
        }
    }

    /// The objects that name a dependency.
    pub fn dependants(&self, name: &ObjectKey) -> Vec<Key> {
        let dependants = self.dependants.get(name).into_iter().flatten();
        dependants.cloned().collect()
    }

    /// Any object names it.
    pub fn is_named(&self, name: &ObjectKey) -> bool {
        self.dependants.contains_key(name)
    }

    /// Everything that any object names.
    pub fn named(&self) -> impl Iterator<Item = &ObjectKey> {
        self.dependants.keys()
    }
}
