//! The watches on the hub: members, the objects that are served, and what their templates name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use federation::api::{Leftover, MemberCluster};
use federation::members::{
    Delivery as _, Ending, ManagedKind, ObjectKey, Read, Readable, metadata, watch_with,
};
use federation::operator::hub::log_watch_error;
use federation::operator::queue::Priority;
use kube::Api;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use placement::ClusterName;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::record::next_cursor;
use crate::scheduler::Scheduler;
use crate::state::{State, Tracked, assignment_of};
use crate::status_guard::StatusGuard;
use crate::workload::{Key, Kind, Workload};

impl Scheduler {
    pub(crate) async fn follow_members(
        &self,
        listed: &watch::Sender<BTreeSet<&'static str>>,
        cancel: &CancellationToken,
    ) {
        let api: Api<Readable<MemberCluster>> = Api::all(self.hub.clone());
        let mut seen = BTreeSet::new();
        let name = |object: &Read<MemberCluster>| metadata(object).name.clone().unwrap_or_default();
        let handle = |event: Event<Read<MemberCluster>>| match event {
            Event::Init => seen.clear(),
            Event::InitApply(object) => {
                seen.insert(ClusterName::from(name(&object)));
                self.member_read(object);
            }
            Event::Apply(object) => self.member_read(object),
            Event::Delete(object) => self.member_gone(&name(&object)),
            Event::InitDone => {
                let gone: Vec<_> = self
                    .state()
                    .members
                    .keys()
                    .filter(|name| !seen.contains(*name))
                    .cloned()
                    .collect();
                gone.iter().for_each(|name| self.member_gone(name.as_str()));
                self.members_listed();
                listed.send_modify(|lists| lists.extend(["members"]));
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }

    /// A member whose object cannot be read goes on as it is known; one that is not known yet is
    /// unreachable.
    fn member_read(&self, object: Read<MemberCluster>) {
        let object = object.or_else(|unreadable| {
            self.metrics.unreadable("MemberCluster");
            unreadable.mended().ok_or(unreadable)
        });
        match object {
            Ok(object) => self.member_applied(object),
            Err(unreadable) => {
                let name = ClusterName::from(unreadable.metadata.name.clone().unwrap_or_default());
                let is_known = self.state().members.contains_key(&name);
                if !is_known {
                    self.member_applied(MemberCluster {
                        metadata: unreadable.metadata,
                        ..MemberCluster::default()
                    });
                    if let Some(registered) = self.state().members.get_mut(&name) {
                        registered.is_readable = false;
                    }
                }
            }
        }
    }

    /// What cannot be read has a spec that cannot be served.
    fn workload_read(&self, kind: Kind, object: Read<DynamicObject>) -> Workload {
        object.map_or_else(
            |unreadable| {
                self.metrics.unreadable(kind.name());
                Workload::unreadable(kind, unreadable)
            },
            |object| Workload::read(kind, &object),
        )
    }

    pub(crate) async fn follow_workloads(
        &self,
        kind: Kind,
        listed: &watch::Sender<BTreeSet<&'static str>>,
        cancel: &CancellationToken,
    ) {
        let api: Api<Readable<DynamicObject>> = Api::all_with(self.hub.clone(), &kind.resource());
        let mut seen = BTreeSet::new();
        let handle = |event: Event<Read<DynamicObject>>| match event {
            Event::Init => seen.clear(),
            Event::InitApply(object) => {
                let workload = self.workload_read(kind, object);
                seen.insert(workload.key.clone());
                self.workload_applied(workload);
            }
            Event::Apply(object) => self.workload_applied(self.workload_read(kind, object)),
            Event::Delete(object) => self.workload_deleted(&self.workload_read(kind, object)),
            Event::InitDone => {
                // Not in the list is not deleted: a hub that was restored from before an object
                // has no record of its end, and its copies on the members stay.
                let mut state = self.state();
                let gone: Vec<_> = state
                    .workloads
                    .keys()
                    .filter(|key| key.kind == kind && !seen.contains(*key))
                    .cloned()
                    .collect();
                for key in gone {
                    warn!(%key, "is not on the hub any more, without a deletion on record: its copies are left alone");
                    state.leave_alone(&key);
                }
                drop(state);
                listed.send_modify(|lists| lists.extend([kind.name()]));
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }

    fn workload_applied(&self, workload: Workload) {
        let mut guard = self.state();
        let state = &mut *guard;
        let key = workload.key.clone();
        let mut workload = Arc::new(workload);
        if let Some(problem) = &workload.damaged_record
            && (state.workloads.get(&key))
                .is_none_or(|known| known.workload.damaged_record.as_ref() != Some(problem))
        {
            warn!(%key, problem, "its status is not a valid record: its replicas stay where members run them, and the record is written again");
        }
        let recorded = assignment_of(&workload).decision;
        if recorded.sequence > 0 {
            state.advance_cursor(&key.namespace, next_cursor(recorded.cursor));
        }
        if state
            .workloads
            .get(&key)
            .is_some_and(|tracked| tracked.workload.uid != workload.uid)
        {
            // Another object of the same name: the one before was let go.
            state.forget(&key);
        }
        let Some(tracked) = state.workloads.get_mut(&key) else {
            state.burst.change(Instant::now());
            state.owners.insert(workload.owner_bits(), key.clone());
            state
                .workloads
                .insert(key.clone(), Tracked::new(workload, Instant::now()));
            self.reports.forget(&key);
            self.queue.renew(key.clone(), Priority::High);
            self.follow_service(state, &key);
            return;
        };
        // The garbage collector may take this off before the object is cleared.
        let was_orphaned = tracked.workload.is_orphaned();
        if was_orphaned && !workload.is_orphaned() && workload.deleted_at.is_some() {
            Arc::make_mut(&mut workload).orphaned = true;
        }
        let before = std::mem::replace(&mut tracked.workload, workload.clone());
        let recorded = assignment_of(&workload);
        let adopted = recorded.decision.sequence > tracked.assignment.decision.sequence;
        if adopted {
            // An assignment that another writer made goes on from here.
            tracked.recorded = recorded.decision.sequence;
            tracked.assignment = recorded;
            tracked.reported = workload.status.clone();
            tracked.guard = StatusGuard::default();
        } else {
            tracked.recorded = tracked.recorded.max(recorded.decision.sequence);
            let (version, now) = (workload.version(), Instant::now());
            let wait = (tracked.guard).seen(version, &workload.status, &tracked.reported, now);
            if let Some(wait) = wait {
                let wait = wait.max(self.options.report_delay);
                self.reports.add_after(key.clone(), wait);
            }
        }
        let spec_changed = before.generation != workload.generation;
        if spec_changed {
            let now = Instant::now();
            tracked.changed_at = Some(now);
            tracked.delivered.clear();
            tracked.limits.clear();
            state.burst.change(now);
        }
        let relevant = spec_changed
            || adopted
            || before.deleted_at != workload.deleted_at
            || before.labels != workload.labels
            || before.annotations != workload.annotations
            || (before.is_held() && !workload.is_held())
            || (workload.deleted_at.is_some() && before.finalizers != workload.finalizers);
        if relevant {
            self.reports.forget(&key);
            self.queue.renew(key.clone(), Priority::High);
            if before.deleted_at != workload.deleted_at {
                self.follow_service(state, &key);
            }
        }
    }

    /// The service of a deployment's name looks again where that is.
    fn follow_service(&self, state: &State, deployment: &Key) {
        let service = Key {
            kind: Kind::Service,
            ..deployment.clone()
        };
        if deployment.kind == Kind::Deployment && state.workloads.contains_key(&service) {
            self.queue.add(service, Priority::High);
        }
    }

    /// The hub says that the object was deleted. One that we held was cleared before; one that went
    /// between its assignment and our finalizer is cleared now.
    fn workload_deleted(&self, workload: &Workload) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(tracked) = state.workloads.get(&workload.key) else {
            return;
        };
        if tracked.workload.uid != workload.uid {
            return;
        }
        let owner = workload.owner_bits();
        for registered in state.members.values() {
            // What is on record has its last bundle already, and is collected by it.
            let is_on_record = |leftover: &Leftover| leftover.uid == workload.uid;
            if registered.leftovers.iter().any(is_on_record) {
                continue;
            }
            if let Some(member) = &registered.member {
                let assigned = tracked
                    .assignment
                    .placements
                    .iter()
                    .any(|one| one.cluster == member.name().as_str());
                if member.holds(owner)
                    || (assigned && !workload.is_held() && !tracked.workload.is_held())
                {
                    let mut bundle = crate::bundles::nothing(workload);
                    bundle.ending = Some(Ending {
                        orphan: workload.is_orphaned() || tracked.workload.is_orphaned(),
                        namespace_gone: false,
                    });
                    member.deliver(bundle);
                }
            }
        }
        state.forget(&workload.key);
        self.follow_service(state, &workload.key);
        self.retry_waiting(state);
    }

    /// Objects that templates name: whoever names one that changed brings it again.
    pub(crate) async fn follow_dependencies(&self, cancel: &CancellationToken) {
        let kinds = [
            ManagedKind::ConfigMap,
            ManagedKind::Secret,
            ManagedKind::ServiceAccount,
            ManagedKind::PersistentVolumeClaim,
        ];
        futures::future::join_all(kinds.map(|kind| async move {
            let api: Api<Readable<PartialObjectMeta<DynamicObject>>> =
                Api::all_with(self.hub.clone(), &kind.resource());
            let mut versions: BTreeMap<ObjectKey, Option<String>> = BTreeMap::new();
            let mut unlisted: BTreeSet<ObjectKey> = BTreeSet::new();
            let handle = |event: Event<Read<PartialObjectMeta<DynamicObject>>>| {
                let key = |object: &Read<PartialObjectMeta<DynamicObject>>| {
                    let metadata = metadata(object);
                    ObjectKey {
                        kind,
                        namespace: metadata.namespace.clone().unwrap_or_default(),
                        name: metadata.name.clone().unwrap_or_default(),
                    }
                };
                match event {
                    Event::Init => {
                        let state = self.state();
                        let needed = state.dependants.keys().filter(|key| key.kind == kind);
                        unlisted = versions.keys().chain(needed).cloned().collect();
                    }
                    Event::InitApply(object) | Event::Apply(object) => {
                        let key = key(&object);
                        unlisted.remove(&key);
                        if object.is_err() {
                            self.metrics.unreadable(kind.name());
                        }
                        let version = metadata(&object).resource_version.clone();
                        if !self.state().dependants.contains_key(&key) {
                            versions.remove(&key);
                        } else if versions.insert(key.clone(), version.clone()) != Some(version) {
                            self.dependency_changed(&key);
                        }
                    }
                    Event::Delete(object) => {
                        versions.remove(&key(&object));
                        self.dependency_changed(&key(&object));
                    }
                    Event::InitDone => {
                        for gone in std::mem::take(&mut unlisted) {
                            versions.remove(&gone);
                            self.dependency_changed(&gone);
                        }
                    }
                }
            };
            watch_with(api, handle, log_watch_error, cancel).await;
        }))
        .await;
    }

    /// Whoever names it brings it again.
    fn dependency_changed(&self, key: &ObjectKey) {
        let mut state = self.state();
        for dependant in state.dependants.get(key).cloned().unwrap_or_default() {
            if let Some(tracked) = state.workloads.get_mut(&dependant) {
                tracked.dependencies = None;
                tracked.dependency_changes += 1;
            }
            self.queue.renew(dependant, Priority::High);
        }
    }
}
