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
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

use super::access::told;
use super::bundle::{Bundle, ManagedKind, ObjectKey, uid_bits};
use super::contest::Contest;
use super::delivery::{Delivery, Pusher, lock};
use super::diagnosis::{Diagnosis, DiagnosisKind};
use super::failure::{FailureKind, Outcome};
use super::inventory::{Inventory, Observed, Record, Watched};
use super::watching::{Deadlined as _, refusal, watch_with};
use crate::capacity::{CapacityEvent, CapacityFeed, PodTroubles, WatchFeed};
use crate::operator::queue::{Backoff, Job, Priority, WorkQueue};

mod drift;
mod refusals;

use refusals::Refusals;

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
    /// It answers; its version.
    Reachable(String),
    /// It does not answer; why.
    Unreachable(String),
    /// It does not let itself be watched; why.
    Refused(String),
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
        /// The one after its end, that leaves nothing of it.
        last: bool,
        /// What came of it.
        outcome: Outcome,
    },
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
    events: mpsc::UnboundedSender<MemberEvent>,
    inventory: Mutex<Inventory>,
    pusher: Pusher,
    bundles: Mutex<BTreeMap<u128, Bundle>>,
    refusals: Refusals,
    troubles: Mutex<PodTroubles>,
    queue: WorkQueue<u128>,
    /// It answers, and what it holds is known.
    open: watch::Sender<bool>,
}

/// A member that was away this long is listed anew: its watches may be dead without saying so.
const STALE_AFTER: Duration = Duration::from_secs(30);

impl Member {
    /// Starts the member's tasks; what happens is sent to `events`.
    pub fn start(
        name: ClusterName,
        client: Client,
        options: MemberOptions,
        events: mpsc::UnboundedSender<MemberEvent>,
    ) -> Self {
        let stop = CancellationToken::new();
        let inner = Arc::new(Inner {
            pusher: Pusher::new(client.clone(), options.hub.clone(), options.deadline),
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

    /// It answers, and what it holds is known.
    pub fn is_open(&self) -> bool {
        *self.inner.open.borrow()
    }

    /// The state of the owner's main object, if the member has it.
    pub fn observed(&self, owner: u128, kind: ManagedKind) -> Option<Observed> {
        lock(&self.inner.inventory)
            .of(owner)
            .find(|(key, _)| key.kind == kind)
            .map(|(_, record)| record.observed)
    }

    /// What the member says is wrong with the owner's main object, or with its pods.
    pub fn diagnosis(&self, owner: u128, kind: ManagedKind) -> Option<Diagnosis> {
        let said = lock(&self.inner.inventory)
            .of(owner)
            .find(|(key, _)| key.kind == kind)
            .and_then(|(_, record)| record.diagnosis.clone());
        let pods = self.inner.troubles().summary(owner);
        let pods_are_made = said.as_ref().is_none_or(|said| {
            said.kind == DiagnosisKind::DeadlineExceeded && said.message.contains("timed out")
        });
        match (said, pods) {
            // That it is late is worth less than why its pods do not run.
            (said, Some(message)) if pods_are_made => Some(Diagnosis {
                kind: said.map_or(DiagnosisKind::PodsNotRunning, |said| said.kind),
                message,
            }),
            (said, _) => said,
        }
    }

    /// How many pods the member has not been able to schedule for that long, by owner.
    pub fn unschedulable(&self, longer_than: Duration) -> BTreeMap<u128, u32> {
        let now = Instant::now();
        self.inner.troubles().unschedulable(longer_than, now)
    }

    /// The first of the owner's objects that another writer undoes again and again.
    pub fn contest(&self, owner: u128) -> Option<Contest> {
        let keys = self.inner.keys(owner);
        self.inner.pusher.contest(keys.into_iter())
    }

    /// Whether the member holds anything of the owner, or is being brought something.
    pub fn holds(&self, owner: u128) -> bool {
        let bundles = self.inner.bundles();
        let coming = bundles
            .get(&owner)
            .is_some_and(|bundle| !bundle.items.is_empty());
        drop(bundles);
        let hub = Some(self.inner.options.hub.as_str());
        let ours = |(_, record): (_, &Record)| record.hub.as_deref() == hub;
        coming || lock(&self.inner.inventory).of(owner).any(ours)
    }

    /// What the member holds of the owner is left as it is from now on.
    pub fn forget(&self, owner: u128) {
        self.inner.bundles().remove(&owner);
        self.inner.refusals.forget(owner);
    }

    /// Every owner of this hub that the member holds something of.
    pub fn owners(&self) -> Vec<u128> {
        lock(&self.inner.inventory).owners(&self.inner.options.hub)
    }
}

impl Delivery for Member {
    fn deliver(&self, bundle: Bundle) {
        let owner = uid_bits(&bundle.owner.uid);
        let mut bundles = self.inner.bundles();
        let is_known = bundles.get(&owner) == Some(&bundle);
        bundles.insert(owner, bundle);
        drop(bundles);
        if !is_known {
            self.inner.refusals.forget(owner);
        }
        if self.inner.refusals.must_wait(owner) {
            return;
        }
        self.inner.queue.add(owner, Priority::High);
    }
}

impl Inner {
    /// Watches and probes, for ever.
    async fn attend(self: Arc<Self>, stop: CancellationToken) {
        let mut watches = stop.child_token();
        self.clone().watch(&watches);
        let mut last_answer = Instant::now();
        let mut was_reachable = None;
        loop {
            match self.probe().await {
                Ok(version) => {
                    if last_answer.elapsed() > STALE_AFTER {
                        info!(cluster = %self.name, "answers again after a long time: listing it anew");
                        watches.cancel();
                        watches = stop.child_token();
                        // It may have lost or changed what it had acknowledged.
                        let mut inventory = lock(&self.inventory);
                        self.pusher.forget(&inventory);
                        inventory.forget_completeness();
                        drop(inventory);
                        self.clone().watch(&watches);
                    }
                    last_answer = Instant::now();
                    if was_reachable != Some(true) {
                        was_reachable = Some(true);
                        self.send(Change::Reachable(version));
                    }
                }
                Err(error) => {
                    if was_reachable != Some(false) {
                        was_reachable = Some(false);
                        let problem = told(&error);
                        warn!(cluster = %self.name, problem, "does not answer");
                        self.send(Change::Unreachable(problem));
                    }
                }
            }
            self.reconsider_open(was_reachable == Some(true));
            let pause = if was_reachable == Some(true) {
                self.options.probe_interval
            } else {
                Duration::from_secs(1).min(self.options.probe_interval)
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn probe(&self) -> kube::Result<String> {
        let deadline = self.options.deadline.min(Duration::from_secs(5));
        let version = self.client.apiserver_version().within(deadline).await?;
        Ok(version.git_version)
    }

    fn watch(self: Arc<Self>, cancel: &CancellationToken) {
        let feed = WatchFeed::new(self.client.clone());
        let sink = self.clone();
        tokio::spawn(feed.run(
            Box::new(move |event| match event {
                CapacityEvent::Refused(problem) => sink.send(Change::Refused(problem)),
                CapacityEvent::OwnPod(pod, owner, trouble) => {
                    if sink.troubles().note(pod, owner.0, trouble) {
                        sink.send(Change::Observed(owner.0));
                    }
                }
                event => {
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
        let resource = kind.resource();
        let failed = |error: &watcher::Error| {
            if let Some(problem) = refusal(error) {
                self.send(Change::Refused(problem));
            }
        };
        if matches!(kind, ManagedKind::Deployment | ManagedKind::Job) {
            let api: Api<Watched> = Api::all_with(self.client.clone(), &resource);
            watch_with(api, |event| self.observe(kind, event), failed, &cancel).await;
        } else {
            let api: Api<PartialObjectMeta<DynamicObject>> =
                Api::all_with(self.client.clone(), &resource);
            watch_with(
                api,
                |event| {
                    self.observe(
                        kind,
                        map_event(event, |partial| Watched::of(partial.metadata)),
                    );
                },
                failed,
                &cancel,
            )
            .await;
        }
    }

    fn reconsider_open(&self, reachable: bool) {
        let open = reachable && lock(&self.inventory).is_complete();
        if self
            .open
            .send_if_modified(|now| std::mem::replace(now, open) != open)
            && open
        {
            // It may have lost what was acknowledged, and failed deliveries need not wait.
            let owners: Vec<u128> = self.bundles().keys().copied().collect();
            for owner in owners {
                self.queue.add(owner, Priority::Low);
            }
        }
    }

    /// Delivers what is queued, a few at a time, while the member is open.
    async fn push_all(self: Arc<Self>) {
        let slots = Arc::new(Semaphore::new(self.options.parallel));
        let mut open = self.open.subscribe();
        loop {
            if open.wait_for(|open| *open).await.is_err() {
                return;
            }
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let Some(job) = self.queue.next().await else {
                return;
            };
            let inner = self.clone();
            tokio::spawn(async move {
                let owner = *job.key();
                let (last, outcome) = inner.push(owner).await;
                inner.finish(job, &outcome);
                inner.send(Change::Delivered {
                    owner,
                    last,
                    outcome,
                });
                drop(slot);
            });
        }
    }

    /// Ends a delivery: when the next one of this owner is due.
    fn finish(&self, job: Job<u128>, outcome: &Outcome) {
        let owner = *job.key();
        let Err(failure) = outcome else {
            self.refusals.forget(owner);
            let now = Instant::now();
            match self.pusher.next(self.keys(owner).into_iter()) {
                Some(due) => job.succeed_until(due.saturating_duration_since(now)),
                None => job.succeed(),
            }
            return;
        };
        debug!(cluster = %self.name, %failure, "delivery failed");
        if failure.kind.is_permanent() {
            job.succeed_until(self.refusals.refused(owner));
        } else {
            self.refusals.forget(owner);
            job.fail();
        }
    }

    /// The objects that the owner shall have here.
    fn keys(&self, owner: u128) -> Vec<ObjectKey> {
        let bundles = self.bundles();
        let items = bundles
            .get(&owner)
            .into_iter()
            .flat_map(|bundle| &bundle.items);
        items.map(|item| item.key.clone()).collect()
    }

    /// One delivery of what the owner shall have here now; whether it is its last.
    async fn push(&self, owner: u128) -> (bool, Outcome) {
        let Some(bundle) = self.bundles().get(&owner).cloned() else {
            return (false, Ok(()));
        };
        let outcome = self.pusher.push(&bundle, &self.inventory).await;
        if outcome.is_ok() && bundle.items.is_empty() {
            // Unless another one was handed over meanwhile.
            let mut bundles = self.bundles();
            if bundles.get(&owner).is_some_and(|now| now.items.is_empty()) {
                bundles.remove(&owner);
            }
        }
        if let Err(failure) = &outcome
            && failure.kind == FailureKind::Unreachable
        {
            debug!(cluster = %self.name, "a delivery got no answer");
        }
        (bundle.owner_gone, outcome)
    }

    fn send(&self, change: Change) {
        // Nobody listens any more only when the operator stops.
        drop(self.events.send(MemberEvent {
            cluster: self.name.clone(),
            change,
        }));
    }

    fn troubles(&self) -> MutexGuard<'_, PodTroubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bundles(&self) -> MutexGuard<'_, BTreeMap<u128, Bundle>> {
        self.bundles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn map_event<A, B>(event: Event<A>, map: impl Fn(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(map(object)),
        Event::Delete(object) => Event::Delete(map(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(map(object)),
        Event::InitDone => Event::InitDone,
    }
}
