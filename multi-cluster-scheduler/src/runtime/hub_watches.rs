//! The watches on the hub: members, the objects that are served, and what their templates name.

use std::collections::{BTreeMap, BTreeSet};

use federation::api::{MemberCluster, WorkloadMove};
use federation::members::{ManagedKind, ObjectKey, Read, Readable, metadata, watch_with};
use federation::operator::hub::log_watch_error;
use kube::Api;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event as WatchEvent;
use placement::ClusterName;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info_span;

use super::Scheduler;
use crate::index::{Event, MoveKey};
use crate::workload::{Kind, Workload};

impl Scheduler {
    pub(super) async fn follow_members(
        &self,
        listed: &watch::Sender<BTreeSet<&'static str>>,
        cancel: &CancellationToken,
    ) {
        let api: Api<Readable<MemberCluster>> = Api::all(self.hub.client().clone());
        let mut seen = BTreeSet::new();
        let name = |object: &Read<MemberCluster>| {
            ClusterName::from(metadata(object).name.clone().unwrap_or_default())
        };
        let handle = |event: WatchEvent<Read<MemberCluster>>| match event {
            WatchEvent::Init => seen.clear(),
            WatchEvent::InitApply(object) => {
                seen.insert(name(&object));
                self.handle(member_read(object));
            }
            WatchEvent::Apply(object) => self.handle(member_read(object)),
            WatchEvent::Delete(object) => self.handle(Event::MemberDeleted(name(&object))),
            WatchEvent::InitDone => {
                self.handle(Event::MembersListed(std::mem::take(&mut seen)));
                listed.send_modify(|lists| lists.extend(["members"]));
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }

    pub(super) async fn follow_workloads(
        &self,
        kind: Kind,
        listed: &watch::Sender<BTreeSet<&'static str>>,
        cancel: &CancellationToken,
    ) {
        let api: Api<Readable<DynamicObject>> =
            Api::all_with(self.hub.client().clone(), &kind.resource());
        let mut seen = BTreeSet::new();
        let handle = |event: WatchEvent<Read<DynamicObject>>| match event {
            WatchEvent::Init => seen.clear(),
            WatchEvent::InitApply(object) => {
                let workload = self.workload_read(kind, object);
                seen.insert(workload.key.clone());
                self.handle(Event::WorkloadApplied(workload));
            }
            WatchEvent::Apply(object) => {
                let workload = self.workload_read(kind, object);
                let _span = info_span!("watch", key = %workload.key).entered();
                self.handle(Event::WorkloadApplied(workload));
            }
            WatchEvent::Delete(object) => {
                self.handle(Event::WorkloadDeleted(self.workload_read(kind, object)));
            }
            WatchEvent::InitDone => {
                self.handle(Event::WorkloadsListed(kind, std::mem::take(&mut seen)));
                listed.send_modify(|lists| lists.extend([kind.name()]));
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }

    pub(super) async fn follow_moves(
        &self,
        listed: &watch::Sender<BTreeSet<&'static str>>,
        cancel: &CancellationToken,
    ) {
        let api: Api<Readable<WorkloadMove>> = Api::all(self.hub.client().clone());
        let mut seen = BTreeSet::new();
        let handle = |event: WatchEvent<Read<WorkloadMove>>| match event {
            WatchEvent::Init => seen.clear(),
            WatchEvent::InitApply(object) => {
                seen.insert(move_key(&object));
                self.move_read(object);
            }
            WatchEvent::Apply(object) => self.move_read(object),
            WatchEvent::Delete(object) => self.handle(Event::MoveDeleted(move_key(&object))),
            WatchEvent::InitDone => {
                self.handle(Event::MovesListed(std::mem::take(&mut seen)));
                listed.send_modify(|lists| lists.extend(["moves"]));
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }

    /// A move that cannot be read stays as it was last known.
    fn move_read(&self, object: Read<WorkloadMove>) {
        match object {
            Ok(object) => self.handle(Event::MoveApplied(Box::new(object))),
            Err(_) => self.handle(Event::Unreadable("WorkloadMove")),
        }
    }

    /// What cannot be read has a spec that cannot be served.
    fn workload_read(&self, kind: Kind, object: Read<DynamicObject>) -> Box<Workload> {
        Box::new(match object {
            Ok(object) => Workload::read(kind, &object),
            Err(unreadable) => {
                self.handle(Event::Unreadable(kind.name()));
                Workload::unreadable(kind, unreadable)
            }
        })
    }

    /// Objects that templates name: whoever names one that changed brings it again.
    pub(super) async fn follow_dependencies(&self, cancel: &CancellationToken) {
        let kinds = [
            ManagedKind::ConfigMap,
            ManagedKind::Secret,
            ManagedKind::ServiceAccount,
            ManagedKind::PersistentVolumeClaim,
        ];
        let watches = kinds.map(|kind| self.follow_dependencies_of(kind, cancel));
        futures::future::join_all(watches).await;
    }

    async fn follow_dependencies_of(&self, kind: ManagedKind, cancel: &CancellationToken) {
        let api: Api<Readable<PartialObjectMeta<DynamicObject>>> =
            Api::all_with(self.hub.client().clone(), &kind.resource());
        let mut versions: BTreeMap<ObjectKey, Option<String>> = BTreeMap::new();
        let mut unlisted: BTreeSet<ObjectKey> = BTreeSet::new();
        let key = |object: &Read<PartialObjectMeta<DynamicObject>>| {
            let metadata = metadata(object);
            ObjectKey {
                kind,
                namespace: metadata.namespace.clone().unwrap_or_default(),
                name: metadata.name.clone().unwrap_or_default(),
            }
        };
        let handle = |event: WatchEvent<Read<PartialObjectMeta<DynamicObject>>>| match event {
            WatchEvent::Init => {
                let index = self.index();
                let needed = index.workloads().named().filter(|key| key.kind == kind);
                unlisted = versions.keys().chain(needed).cloned().collect();
            }
            WatchEvent::InitApply(object) | WatchEvent::Apply(object) => {
                let key = key(&object);
                unlisted.remove(&key);
                if object.is_err() {
                    self.handle(Event::Unreadable(kind.name()));
                }
                let version = metadata(&object).resource_version.clone();
                if !self.index().workloads().is_named(&key) {
                    versions.remove(&key);
                } else if versions.insert(key.clone(), version.clone()) != Some(version) {
                    self.handle(Event::DependencyChanged(key));
                }
            }
            WatchEvent::Delete(object) => {
                versions.remove(&key(&object));
                self.handle(Event::DependencyChanged(key(&object)));
            }
            WatchEvent::InitDone => {
                for gone in std::mem::take(&mut unlisted) {
                    versions.remove(&gone);
                    self.handle(Event::DependencyChanged(gone));
                }
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }
}

fn move_key(object: &Read<WorkloadMove>) -> MoveKey {
    let metadata = metadata(object);
    MoveKey {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// Of a member's object that cannot be read, its metadata.
fn member_read(object: Read<MemberCluster>) -> Event {
    match object {
        Ok(object) => Event::MemberApplied(Box::new(object)),
        Err(unreadable) => match unreadable.mended() {
            Some(object) => Event::MemberMended(Box::new(object)),
            None => Event::MemberUnreadable(Box::new(MemberCluster {
                metadata: unreadable.metadata,
                ..MemberCluster::default()
            })),
        },
    }
}
