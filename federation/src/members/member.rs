//! One member at work: its watches, its health, and its deliveries, in tasks of its own, so that
//! nothing that happens to it can delay another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use placement::ClusterName;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::backend::MemberBackend;
use super::bundle::{Bundle, ManagedKind, uid_bits};
use super::contest::Contest;
use super::delivery::{Pusher, lock};
use super::diagnosis::{Diagnosis, DiagnosisKind};
use super::failure::Outcome;
use super::health::Requests;
use super::inventory::{Inventory, Observed, Record, Watched};
use super::namespaces::{NamespaceKept, Namespaces};
use super::outbox::Outbox;
use super::readable::{Item as Readable, Read};
use super::watching::{map_event, refusal, watch_member};
use super::writer::Writer;
use crate::capacity::{CapacityEvent, CapacityFeed, PodTroubles, WatchFeed};
use crate::operator::queue::{Backoff, Priority, WorkQueue};

mod drift;
mod probing;
mod pushing;
mod refusals;
mod session;

use refusals::Refusals;
pub use session::MemberSessions;

/// Something happened at a member.
#[derive(Debug)]
pub struct MemberEvent {
    /// The member.
    pub cluster: ClusterName,
    /// What happened.
    pub change: Change,
}

/// What can happen at a member.
#[derive(Debug)]
pub enum Change {
    /// Its nodes or pods changed.
    Capacity(CapacityEvent),
    /// It answers and is the cluster of this uid: at first, and when another one answers.
    Identified(String),
    /// It answers, and does not say which cluster it is; why.
    Unidentified(String),
    /// It is healthy; its version, if it says so.
    Reachable(Option<String>),
    /// It does not answer, or is not healthy; why.
    Unreachable(String),
    /// A watch is forbidden; why.
    Refused(String),
    /// It has an object of this kind that cannot be read.
    Unreadable(&'static str),
    /// Everything that it holds is known now, anew.
    Synced,
    /// An object of this owner changed.
    Observed(u128),
    /// Another writer undid what we applied of this owner.
    Undone(u128),
    /// A delivery ended.
    Delivered {
        /// For this owner.
        owner: u128,
        /// The generation of its spec.
        generation: i64,
        /// The one after its end, that leaves nothing of it.
        last: bool,
        /// What came of it.
        outcome: Outcome,
    },
    /// A namespace that was to go stays.
    NamespaceKept(NamespaceKept),
}

/// How a member is dealt with.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// The hub's uid, on every object.
    pub hub: String,
    /// The longest that one call may take.
    pub deadline: Duration,
    /// The time between two looks at its health.
    pub probe_interval: Duration,
    /// Deliveries at the same time.
    pub parallel: usize,
}

/// A member at work. Dropped, it stops.
pub struct Member {
    inner: Arc<Inner>,
    _stop: DropGuard,
}

struct Inner {
    name: ClusterName,
    client: Client,
    options: MemberOptions,
    events: Outbox,
    inventory: Mutex<Inventory>,
    pusher: Pusher,
    bundles: Mutex<BTreeMap<u128, Bundle>>,
    refusals: Refusals,
    troubles: Mutex<PodTroubles>,
    queue: WorkQueue<u128>,
    /// It answers, and what it holds is known.
    open: watch::Sender<bool>,
    /// The uid of the cluster that is served; none is until its identity is known to be unique.
    admitted: watch::Sender<Option<String>>,
    requests: Mutex<Requests>,
}

impl Member {
    /// Starts the member's tasks; what happens is sent to `events`.
    pub fn start(
        name: ClusterName,
        client: Client,
        options: MemberOptions,
        events: Outbox,
    ) -> Self {
        let stop = CancellationToken::new();
        let (hub, deadline) = (options.hub.clone(), options.deadline);
        let namespaces = Namespaces::new(client.clone(), hub.clone(), deadline);
        let writer = Writer::new(client.clone(), hub.clone(), deadline, namespaces.clone());
        let inner = Arc::new(Inner {
            pusher: Pusher::new(writer, namespaces, hub),
            name,
            client,
            options,
            events,
            inventory: Mutex::default(),
            bundles: Mutex::default(),
            refusals: Refusals::default(),
            troubles: Mutex::default(),
            queue: WorkQueue::new(Backoff {
                first: Duration::from_millis(500),
                longest: Duration::from_secs(30),
            }),
            open: watch::Sender::new(false),
            admitted: watch::Sender::new(None),
            requests: Mutex::default(),
        });
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(inner.clone().attend(stop.clone())),
        );
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(inner.clone().push_all()),
        );
        Self {
            inner,
            _stop: stop.drop_guard(),
        }
    }

    /// The member's name.
    pub fn name(&self) -> &ClusterName {
        &self.inner.name
    }
}

impl MemberBackend for Member {
    fn is_open(&self) -> bool {
        *self.inner.open.borrow()
    }

    fn admit(&self, uid: Option<&str>) -> bool {
        let inner = &self.inner;
        let before = inner.admitted.borrow().clone();
        if before.as_deref() == uid {
            return false;
        }
        if before.is_some() {
            inner.bundles().clear();
            inner.open.send_replace(false);
        }
        inner.admitted.send_replace(uid.map(str::to_owned));
        true
    }

    fn is_delivering_until(&self, limit: Instant) -> bool {
        self.inner.queue.is_busy_until(limit)
    }

    fn observed(&self, owner: u128, kind: ManagedKind) -> Option<Observed> {
        lock(&self.inner.inventory)
            .of(owner)
            .find(|(key, _)| key.kind == kind)
            .map(|(_, record)| record.observed)
    }

    fn diagnosis(&self, owner: u128, kind: ManagedKind) -> Option<Diagnosis> {
        let said = lock(&self.inner.inventory)
            .of(owner)
            .find(|(key, _)| key.kind == kind)
            .and_then(|(_, record)| record.diagnosis.clone());
        let pods = self.inner.troubles().summary(owner);
        let is_cause_known = said.as_ref().is_some_and(Diagnosis::names_a_cause);
        match (said, pods) {
            (said, Some(message)) if !is_cause_known => Some(Diagnosis {
                kind: said.map_or(DiagnosisKind::PodsNotRunning, |said| said.kind),
                message,
            }),
            (said, _) => said,
        }
    }

    fn unschedulable(&self, longer_than: Duration) -> BTreeMap<u128, u32> {
        let now = Instant::now();
        self.inner.troubles().unschedulable(longer_than, now)
    }

    fn contest(&self, owner: u128) -> Option<Contest> {
        let keys = self.inner.keys(owner);
        self.inner.pusher.contest(keys.into_iter())
    }

    fn holds(&self, owner: u128) -> bool {
        let bundles = self.inner.bundles();
        let coming = bundles
            .get(&owner)
            .is_some_and(|bundle| !bundle.items.is_empty());
        drop(bundles);
        let hub = Some(self.inner.options.hub.as_str());
        let ours = |(_, record): (_, &Record)| record.hub.as_deref() == hub;
        coming || lock(&self.inner.inventory).of(owner).any(ours)
    }

    fn forget(&self, owner: u128) {
        self.inner.bundles().remove(&owner);
        self.inner.refusals.forget(owner);
    }

    fn owners(&self) -> Vec<u128> {
        lock(&self.inner.inventory).owners(&self.inner.options.hub)
    }

    fn deliver(&self, bundle: Bundle) {
        let owner = uid_bits(&bundle.owner.uid);
        let before = self.inner.bundles().insert(owner, bundle.clone());
        if before.as_ref() == Some(&bundle) {
            if !self.inner.refusals.must_wait(owner) {
                self.inner.queue.add(owner, Priority::High);
            }
        } else {
            self.inner.refusals.forget(owner);
            self.inner.queue.renew(owner, Priority::High);
        }
    }
}

impl Inner {
    fn watch(self: Arc<Self>, cancel: &CancellationToken) {
        let feed = WatchFeed::new(
            self.client.clone(),
            self.name.to_string(),
            self.events.clone(),
        );
        let sink = self.clone();
        tokio::spawn(feed.run(
            Box::new(move |event| match event {
                CapacityEvent::Refused(problem) => sink.send(Change::Refused(problem)),
                CapacityEvent::Unreadable(kind) => sink.send(Change::Unreadable(kind)),
                CapacityEvent::OwnPod(pod, owner, trouble) => {
                    if sink.troubles().note(pod, owner.0, trouble) {
                        sink.send(Change::Observed(owner.0));
                    }
                }
                event => {
                    sink.requests().succeeded();
                    if let CapacityEvent::PodsListed(pods) = &event {
                        let changed = sink.troubles().retain(pods);
                        changed
                            .into_iter()
                            .for_each(|owner| sink.send(Change::Observed(owner)));
                    }
                    sink.send(Change::Capacity(event));
                }
            }),
            cancel.clone(),
        ));
        for kind in ManagedKind::ALL {
            tokio::spawn(self.clone().watch_kind(kind, cancel.clone()));
        }
    }

    async fn watch_kind(self: Arc<Self>, kind: ManagedKind, cancel: CancellationToken) {
        let (name, resource) = (self.name.as_str(), kind.resource());
        let failed = |error: &watcher::Error| {
            self.requests().watch_failed(kind, error);
            if let Some(problem) = refusal(error) {
                self.send(Change::Refused(problem));
            }
        };
        if matches!(kind, ManagedKind::Deployment | ManagedKind::Job) {
            let api: Api<Readable<Watched>> = Api::all_with(self.client.clone(), &resource);
            let observe = |event| self.observe(kind, self.readable(kind, event, |one| one));
            watch_member(name, api, observe, failed, &self.events, &cancel).await;
        } else {
            let api: Api<Readable<PartialObjectMeta<DynamicObject>>> =
                Api::all_with(self.client.clone(), &resource);
            let observe = |event| {
                let of = |partial: PartialObjectMeta<DynamicObject>| Watched::of(partial.metadata);
                self.observe(kind, self.readable(kind, event, of));
            };
            watch_member(name, api, observe, failed, &self.events, &cancel).await;
        }
    }

    /// Of an object that cannot be read, what can be.
    fn readable<K: DeserializeOwned>(
        &self,
        kind: ManagedKind,
        event: Event<Read<K>>,
        watched: impl Fn(K) -> Watched,
    ) -> Event<Watched> {
        map_event(event, |object| match object {
            Ok(object) => watched(object),
            Err(unreadable) => {
                self.send(Change::Unreadable(kind.name()));
                match unreadable.mended() {
                    Some(object) => watched(object),
                    None => Watched::without_status(unreadable.metadata),
                }
            }
        })
    }

    fn send(&self, change: Change) {
        self.events.send(MemberEvent {
            cluster: self.name.clone(),
            change,
        });
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn troubles(&self) -> MutexGuard<'_, PodTroubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bundles(&self) -> MutexGuard<'_, BTreeMap<u128, Bundle>> {
        self.bundles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
