//! The watches on the hub: members, the objects that are served, and what their templates name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};

use federation::api::MemberCluster;
use federation::members::{ManagedKind, ObjectKey, Read, Readable, metadata, watch_with};
use federation::operator::hub::log_watch_error;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ObjectMeta};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event as WatchEvent;
use kube::{Api, Resource};
use placement::ClusterName;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info_span;

use super::Scheduler;
use crate::index::{Event, MoveKey};
use crate::workload::{Key, Kind, Workload};

/// What happens to the objects of a kind, each known by an `N`.
enum Seen<K, N> {
    /// One is there, or has changed.
    Applied(Read<K>),
    /// One is gone.
    Deleted(Read<K>),
    /// These are all.
    Listed(BTreeSet<N>),
}

/// The kinds that are listed completely.
pub(super) type Lists = watch::Sender<BTreeSet<&'static str>>;

impl Scheduler {
    /// Tells the index what happens to the objects of a kind; `lists` has `list` once they are complete.
    async fn follow<K, N: Ord + Display>(
        &self,
        api: Api<Readable<K>>,
        name: impl Fn(&ObjectMeta) -> N,
        event: impl Fn(Seen<K, N>) -> Event,
        (lists, list): (&Lists, &'static str),
        cancel: &CancellationToken,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let mut names = BTreeSet::new();
        let handle = |seen: WatchEvent<Read<K>>| match seen {
            WatchEvent::Init => names.clear(),
            WatchEvent::InitApply(object) => {
                names.insert(name(metadata(&object)));
                self.handle(event(Seen::Applied(object)));
            }
            WatchEvent::Apply(object) => {
                let _span = info_span!("watch", key = %name(metadata(&object))).entered();
                self.handle(event(Seen::Applied(object)));
            }
            WatchEvent::Delete(object) => self.handle(event(Seen::Deleted(object))),
            WatchEvent::InitDone => {
                self.handle(event(Seen::Listed(std::mem::take(&mut names))));
                lists.send_modify(|lists| lists.extend([list]));
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
    }

    pub(super) async fn follow_members(&self, lists: &Lists, cancel: &CancellationToken) {
        let api = Api::all(self.hub.client().clone());
        let name = |metadata: &ObjectMeta| ClusterName::from(name_in(metadata));
        let event = |seen| match seen {
            Seen::Applied(object) => member_read(object),
            Seen::Deleted(object) => Event::MemberDeleted(name(metadata(&object))),
            Seen::Listed(names) => Event::MembersListed(names),
        };
        let list = (lists, "members");
        self.follow(api, name, event, list, cancel).await;
    }

    pub(super) async fn follow_workloads(
        &self,
        kind: Kind,
        lists: &Lists,
        cancel: &CancellationToken,
    ) {
        let api = Api::all_with(self.hub.client().clone(), &kind.resource());
        let key = |metadata: &ObjectMeta| Key {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: name_in(metadata),
        };
        let event = |seen| match seen {
            Seen::Applied(object) => Event::WorkloadApplied(self.workload_read(kind, object)),
            Seen::Deleted(object) => Event::WorkloadDeleted(self.workload_read(kind, object)),
            Seen::Listed(keys) => Event::WorkloadsListed(kind, keys),
        };
        let list = (lists, kind.name());
        self.follow(api, key, event, list, cancel).await;
    }

    /// A move that cannot be read stays as it was last known.
    pub(super) async fn follow_moves(&self, lists: &Lists, cancel: &CancellationToken) {
        let api = Api::all(self.hub.client().clone());
        let key = |metadata: &ObjectMeta| MoveKey {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: name_in(metadata),
        };
        let event = |seen| match seen {
            Seen::Applied(Ok(object)) => Event::MoveApplied(Box::new(object)),
            Seen::Applied(Err(_)) => Event::Unreadable("WorkloadMove"),
            Seen::Deleted(object) => Event::MoveDeleted(key(metadata(&object))),
            Seen::Listed(keys) => Event::MovesListed(keys),
        };
        let list = (lists, "moves");
        self.follow(api, key, event, list, cancel).await;
    }

    pub(super) async fn follow_leftovers(&self, lists: &Lists, cancel: &CancellationToken) {
        let api = Api::all(self.hub.client().clone());
        let event = |seen| match seen {
            Seen::Applied(Ok(object)) => Event::LeftoverApplied(Box::new(object)),
            Seen::Applied(Err(_)) => Event::Unreadable("Leftover"),
            Seen::Deleted(object) => Event::LeftoverDeleted(name_in(metadata(&object))),
            Seen::Listed(names) => Event::LeftoversListed(names),
        };
        let list = (lists, "leftovers");
        self.follow(api, name_in, event, list, cancel).await;
    }

    /// Namespaces that were there and are not any more.
    pub(super) async fn follow_namespaces(&self, cancel: &CancellationToken) {
        type Metadata = PartialObjectMeta<Namespace>;
        let api: Api<Readable<Metadata>> = Api::all(self.hub.client().clone());
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut unlisted = BTreeMap::new();
        let uid = |object: &Read<Metadata>| metadata(object).uid.clone().unwrap_or_default();
        let handle = |event: WatchEvent<Read<Metadata>>| match event {
            WatchEvent::Init => unlisted = known.clone(),
            WatchEvent::InitApply(object) | WatchEvent::Apply(object) => {
                let name = name_in(metadata(&object));
                unlisted.remove(&name);
                known.insert(name, uid(&object));
            }
            WatchEvent::Delete(object) => {
                let name = name_in(metadata(&object));
                known.remove(&name);
                self.handle(Event::NamespaceDeleted(name, uid(&object)));
            }
            WatchEvent::InitDone => {
                for (name, uid) in std::mem::take(&mut unlisted) {
                    known.remove(&name);
                    self.handle(Event::NamespaceDeleted(name, uid));
                }
            }
        };
        watch_with(api, handle, log_watch_error, cancel).await;
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

fn name_in(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
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
