//! What follows from what happens to the objects that are served.

use std::collections::BTreeSet;

use federation::members::{Ending, ObjectKey};
use federation::operator::queue::Priority;
use placement::{ClusterName, OwnerKey};
use tokio::time::Instant;
use tracing::warn;

use super::workloads::assignment_of;
use super::{Delivery, Effect, Index};
use crate::bundles;
use crate::dependencies::Fetched;
use crate::record::next_cursor;
use crate::workload::{Key, Kind, Workload};

impl Index {
    pub(super) fn workload_applied(&mut self, workload: Workload, now: Instant) {
        let key = workload.key.clone();
        if let Some(problem) = &workload.damaged_record {
            let known = self.workloads.get(&key);
            let known = known.and_then(|known| known.workload().damaged_record.as_ref());
            if known != Some(problem) {
                warn!(%key, problem, "its status is not a valid record: its replicas stay where members run them, and the record is written again");
            }
        }
        let recorded = assignment_of(&workload).decision;
        if recorded.sequence > 0 {
            self.advance_cursor(&key.namespace, next_cursor(recorded.cursor));
        }
        let known = self.workloads.get(&key);
        if known.is_some_and(|known| known.workload().uid != workload.uid) {
            // Another object of the same name: the finalizer of the former was removed.
            self.forget(&key);
        }
        let Some(tracked) = self.workloads.get_mut(&key) else {
            self.burst.change(now);
            self.workloads.insert(workload, now);
            self.renew(key.clone());
            self.follow_service(&key);
            return;
        };
        let update = tracked.update(workload, now);
        if let Some(wait) = update.rewrite_after {
            let wait = wait.max(self.settings.report_delay);
            self.effects.push(Effect::Report(key.clone(), wait));
        }
        if update.spec_changed {
            self.burst.change(now);
        }
        if update.is_relevant {
            self.renew(key.clone());
            if update.deletion_began {
                self.follow_service(&key);
            }
        }
    }

    /// The assignment on the hub is the true one. The watch event of this version is a no-op then.
    pub(super) fn workload_refreshed(&mut self, workload: Workload, now: Instant) {
        let key = workload.key.clone();
        if let Some(tracked) = self.workloads.get_mut(&key)
            && tracked.workload().uid == workload.uid
        {
            tracked.refresh(workload, now);
            self.reconcile(key, Priority::High);
        }
    }

    /// Not in the list is not deleted: a hub that was restored from before an object has no record of
    /// its end, and its copies on the members stay.
    pub(super) fn workloads_listed(&mut self, kind: Kind, keys: &BTreeSet<Key>) {
        let known = self.workloads.iter().map(|(key, _)| key);
        let gone = known.filter(|key| key.kind == kind && !keys.contains(*key));
        for key in gone.cloned().collect::<Vec<_>>() {
            warn!(%key, "is not on the hub any more, without a deletion on record: its copies are left alone");
            if let Some(tracked) = self.workloads.get(&key) {
                let owner = tracked.workload().owner_bits();
                let members = self.members.all();
                let backends = members.filter_map(|(_, one)| one.backend());
                backends.for_each(|backend| backend.forget(owner));
            }
            self.forget(&key);
        }
    }

    /// The hub says that the object is gone. One with our finalizer was cleared before; one that went
    /// between its assignment and our finalizer is cleared now.
    pub(super) fn workload_deleted(&mut self, workload: &Workload) {
        let Some(tracked) = self.workloads.get(&workload.key) else {
            return;
        };
        if tracked.workload().uid != workload.uid {
            return;
        }
        let was_held = workload.is_held() || tracked.workload().is_held();
        let ending = Ending {
            orphan: workload.is_orphaned() || tracked.workload().is_orphaned(),
            namespace_gone: false,
        };
        let owner = workload.owner_bits();
        for (name, record) in self.members.all() {
            // What is on record has its last bundle already.
            let is_on_record = self.leftovers.has(name, &workload.uid);
            if is_on_record || record.backend().is_none() {
                continue;
            }
            let was_assigned = tracked.share(name.as_str()).is_some();
            if record.holds(owner) || (was_assigned && !was_held) {
                let mut bundle = bundles::nothing(workload);
                bundle.ending = Some(ending);
                self.effects.push(Effect::Deliver(name.clone(), bundle));
            }
        }
        self.forget(&workload.key);
        for name in self.members.names() {
            if self.leftovers.has(&name, &workload.uid) {
                self.collect_leftovers(&name);
            }
        }
        self.follow_service(&workload.key);
        self.retry_waiting();
    }

    /// Forgets an object; its reservations are released.
    fn forget(&mut self, key: &Key) {
        let Some(tracked) = self.workloads.remove(key) else {
            return;
        };
        self.backlog.remove(key);
        self.displaced.remove(key);
        self.moves.forget_proposal(key);
        let owner = OwnerKey(tracked.workload().owner_bits());
        for cluster in self.members.names() {
            self.snapshot.release(&cluster, owner);
        }
        self.reservations.release(owner);
    }

    /// The service with a deployment's name follows where that runs.
    pub(super) fn follow_service(&mut self, deployment: &Key) {
        let service = Key {
            kind: Kind::Service,
            ..deployment.clone()
        };
        if deployment.kind == Kind::Deployment && self.workloads.contains(&service) {
            self.reconcile(service, Priority::High);
        }
    }

    /// The objects that name it bring it again.
    pub(super) fn dependency_changed(&mut self, name: &ObjectKey) {
        for key in self.workloads.dependants(name) {
            if let Some(tracked) = self.workloads.get_mut(&key) {
                tracked.dependency_changed();
            }
            self.effects.push(Effect::Renew(key));
        }
    }

    /// The object's template names these from now on. Before any of them is read, so that no change is
    /// missed. How often they have changed until now.
    pub fn set_dependencies(&mut self, key: &Key, names: &BTreeSet<ObjectKey>) -> u64 {
        self.workloads.set_dependencies(key, names);
        let Some(tracked) = self.workloads.get_mut(key) else {
            return 0;
        };
        if names.is_empty() {
            tracked.forget_dependencies();
        }
        tracked.dependency_changes()
    }

    /// Keeps what was fetched, unless any of it has changed since [`Self::set_dependencies`].
    pub fn keep_fetched(&mut self, workload: &Workload, changes: u64, fetched: Fetched) {
        if let Some(tracked) = self.workloads.get_mut(&workload.key) {
            tracked.keep_fetched(&workload.uid, changes, fetched);
        }
    }

    /// Hands each member its bundle. Members that hold something and have no share get an empty one.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let Some(tracked) = self.workloads.get_mut(&delivery.key) else {
            return;
        };
        let workload = tracked.workload().clone();
        // Between the record and now, another object of that name may have come.
        if tracked.assignment().decision.sequence == 0 || workload.uid != delivery.uid {
            return;
        }
        let owner = workload.owner_bits();
        let mut bundles = delivery.bundles;
        for (name, record) in self.members.members() {
            if record.backend().is_none() {
                continue;
            }
            let bundle = match bundles.remove(name) {
                Some(Ok(bundle)) => bundle,
                Some(Err(problem)) => {
                    tracked.set_invalid(Some(problem));
                    continue;
                }
                None if record.holds(owner) || tracked.was_handed_to(name) => {
                    tracked.clear_delivery(name);
                    bundles::nothing(&workload)
                }
                None => continue,
            };
            self.effects.push(Effect::Deliver(name.clone(), bundle));
        }
    }

    /// Takes a job that has ended from members that have no share of it: a delivery may have reached
    /// one late.
    pub fn clear_ended(&self, workload: &Workload) -> Vec<Effect> {
        let Some(tracked) = self.workloads.get(&workload.key) else {
            return Vec::new();
        };
        if tracked.assignment().decision.sequence == 0 || tracked.workload().uid != workload.uid {
            return Vec::new();
        }
        let owner = workload.owner_bits();
        let has_share = |name: &ClusterName| {
            let share = tracked.share(name.as_str());
            share.is_some_and(|one| one.replicas > 0)
        };
        let members = self.members.all();
        let clear = members.filter(|(name, one)| !has_share(name) && one.holds(owner));
        clear
            .map(|(name, _)| Effect::Deliver(name.clone(), bundles::nothing(workload)))
            .collect()
    }

    /// The members that are not yet known to hold nothing of a deleted object, and the last bundles
    /// for them.
    pub fn clear_deleted(
        &self,
        workload: &Workload,
        ending: Ending,
    ) -> (Vec<ClusterName>, Vec<Effect>) {
        let (mut remaining, mut effects) = (Vec::new(), Vec::new());
        let Some(tracked) = self.workloads.get(&workload.key) else {
            return (remaining, effects);
        };
        let owner = workload.owner_bits();
        for (name, record) in self.members.members() {
            let holds = record.backend().is_some_and(|backend| backend.holds(owner));
            let is_removed = tracked.is_removed_from(name);
            if !holds && (is_removed || tracked.share(name.as_str()).is_none()) {
                continue;
            }
            remaining.push(name.clone());
            if record.backend().is_some() {
                let mut bundle = bundles::nothing(workload);
                bundle.ending = Some(ending);
                effects.push(Effect::Deliver(name.clone(), bundle));
            }
        }
        (remaining, effects)
    }

    /// How long a deletion has been known to this process: the hub's clock may differ from ours.
    pub fn deleted_for(&mut self, key: &Key, now: Instant) -> std::time::Duration {
        let tracked = self.workloads.get_mut(key);
        tracked.map_or(std::time::Duration::ZERO, |tracked| {
            now.duration_since(tracked.deletion_seen(now))
        })
    }

    /// None of these members is open.
    pub fn are_all_away(&self, names: &[ClusterName]) -> bool {
        let mut members = names.iter().filter_map(|name| self.members.get(name));
        members.all(|one| !one.is_open())
    }
}
