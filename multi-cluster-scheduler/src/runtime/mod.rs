//! The scheduler at work: watches, queues and writes. What follows from what, the index knows.

mod announce;
mod finalize;
pub(crate) mod hub;
mod hub_tasks;
mod hub_watches;
mod member_statuses;
mod moves;
mod reconcile;
mod status;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::members::{Connections, Inbox, Member, MemberOptions, MemberSessions, outbox};
use federation::operator::clock::SharedClock;
use federation::operator::context::OperatorContext;
use federation::operator::http::Health;
use federation::operator::queue::{Backoff, Priority, RetryRate, WorkQueue};
use federation::traffic::Traffic;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::burst;
use crate::index::{
    Effect, Event, FailoverSettings, HubTask, Index, Measure, MemberRecord, Settings,
};
use crate::metrics::Metrics;
use crate::workload::{Key, Kind};
use announce::Announcer;
pub(crate) use hub::{Hub, HubError};
use hub_watches::Lists;
use member_statuses::Turns;

/// How the scheduler works.
#[derive(Clone, Debug)]
pub struct Options {
    /// When the replicas of a silent member are placed elsewhere.
    pub failover: FailoverSettings,
    /// How long a deleted object waits for a member that is away.
    pub deletion_grace: Duration,
    /// How long a location must have had room before it takes back what runs elsewhere.
    pub return_after: Duration,
    /// How long pods may be unschedulable on a member before they are placed elsewhere; zero for
    /// ever.
    pub unschedulable_after: Duration,
    /// How long room is held for replicas whose pods are not seen.
    pub reservation: Duration,
    /// The longest that one call may take.
    pub deadline: Duration,
    /// The time between two checks of a member's health.
    pub probe_interval: Duration,
    /// Deliveries to one member at the same time.
    pub member_parallel: usize,
    /// Objects worked at the same time.
    pub parallel: usize,
    /// How long changes are gathered before a status is written.
    pub report_delay: Duration,
}

/// How long decisions wait for the members at the start.
const SETTLE: Duration = Duration::from_secs(10);
/// How long deliveries to members give way to the hub's writes of a burst.
const HUB_FIRST: Duration = Duration::from_secs(1);
/// How long statuses give way to the placements of a burst.
const PLACEMENTS_FIRST: Duration = Duration::from_secs(3);
/// How long what is in progress may take when the scheduler is stopped.
const LAST_DELIVERIES: Duration = Duration::from_secs(5);
/// Members, moves and leftovers are listed beside the objects that are served.
const LISTS: usize = 3;
/// How often deadlines are checked.
const TICK: Duration = Duration::from_secs(1);

/// The scheduler at work.
pub struct Scheduler {
    pub(crate) hub: Hub,
    pub(crate) hub_uid: String,
    pub(crate) connections: Connections<Member>,
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Announcer,
    pub(crate) traffic: Option<Arc<dyn Traffic>>,
    /// Round-trip times and traffic were fetched, or cannot be.
    pub(crate) sources_tried: AtomicBool,
    queue: WorkQueue<Key>,
    reports: WorkQueue<Key>,
    hub_tasks: WorkQueue<HubTask>,
    member_status_turns: Turns,
    /// The status of a member is to be written.
    member_status_changed: Notify,
    index: Mutex<Index>,
}

impl Scheduler {
    /// A scheduler, and where its members' events arrive.
    pub(crate) fn new(
        context: &OperatorContext,
        options: Options,
        metrics: Metrics,
        traffic: Option<Arc<dyn Traffic>>,
    ) -> (Arc<Self>, Inbox) {
        let (events, received) = outbox(metrics.throttled.clone());
        let backoff = Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(30),
        };
        // All of them write to the hub; each member has a rate of its own.
        let rate = RetryRate::default();
        let member_options = MemberOptions {
            hub: context.hub_uid.clone(),
            deadline: options.deadline,
            probe_interval: options.probe_interval,
            parallel: options.member_parallel,
        };
        let sessions = MemberSessions {
            options: member_options,
            events,
        };
        let index = Index::new(Settings {
            hub_uid: context.hub_uid.clone(),
            failover: options.failover,
            return_after: options.return_after,
            unschedulable_after: options.unschedulable_after,
            reservation: options.reservation,
            deletion_grace: options.deletion_grace,
            report_delay: options.report_delay,
        });
        let scheduler = Self {
            hub: Hub::new(context.hub.clone(), options.deadline),
            hub_uid: context.hub_uid.clone(),
            connections: Connections::new(context, sessions),
            options,
            clock: context.clock.clone(),
            metrics,
            recorder: Announcer(context.recorder.clone()),
            traffic,
            sources_tried: AtomicBool::new(false),
            queue: WorkQueue::with_rate(backoff, rate.clone()),
            reports: WorkQueue::with_rate(backoff, rate.clone()),
            hub_tasks: WorkQueue::with_rate(backoff, rate),
            member_status_turns: Turns::default(),
            member_status_changed: Notify::new(),
            index: Mutex::new(index),
        };
        (Arc::new(scheduler), received)
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the index what happened, and does what follows.
    pub(crate) fn handle(&self, event: Event) {
        let mut index = self.index();
        let effects = index.on(event, Instant::now());
        self.perform(&index, effects);
    }

    /// Does what follows from an event, before the index sees the next one.
    pub(crate) fn perform(&self, index: &Index, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reconcile(key, priority) => self.queue.add(key, priority),
                Effect::Renew(key) => {
                    self.reports.forget(&key);
                    self.queue.renew(key, Priority::High);
                }
                Effect::Report(key, delay) => self.reports.add_after(key, delay),
                Effect::Deliver(cluster, bundle) => {
                    let record = index.members().get(&cluster);
                    if let Some(backend) = record.and_then(MemberRecord::backend) {
                        backend.deliver(bundle);
                    }
                }
                Effect::Connect(member) => self.connections.apply(member),
                Effect::Disconnect(name) => self.connections.remove(name.as_str()),
                Effect::OnHub(task) => self.hub_tasks.add(task, Priority::Low),
                Effect::WriteMemberStatuses => self.member_status_changed.notify_one(),
                Effect::Warn {
                    about,
                    reason,
                    message,
                } => self.recorder.member(&about, reason, &message),
                Effect::Measure(measure) => self.measure(&measure),
            }
        }
    }

    fn measure(&self, measure: &Measure) {
        let metrics = &self.metrics;
        match measure {
            Measure::Member(name, ready) => metrics.member(name.as_str(), *ready),
            Measure::Unreadable(kind) => metrics.unreadable(kind),
            Measure::PutBack(name) => metrics.put_back(name.as_str()),
            Measure::Delivered(failure) => metrics.delivered(*failure),
            Measure::EndToEnd(time) => metrics.took(*time),
            Measure::FailedOver(members, suspended) => metrics.failed_over(*members, *suspended),
        }
    }

    /// Works until cancelled.
    pub(crate) async fn work(
        self: &Arc<Self>,
        events: Inbox,
        health: &Health,
        cancel: &CancellationToken,
    ) {
        let listed = watch::Sender::new(BTreeSet::new());
        futures::join!(
            self.follow_members(&listed, cancel),
            self.follow_workloads(Kind::Deployment, &listed, cancel),
            self.follow_workloads(Kind::Job, &listed, cancel),
            self.follow_workloads(Kind::Service, &listed, cancel),
            self.follow_moves(&listed, cancel),
            self.follow_leftovers(&listed, cancel),
            self.follow_dependencies(cancel),
            self.follow_namespaces(cancel),
            self.take_events(events, cancel),
            self.connect_members(cancel),
            self.tick(cancel),
            self.follow_member_statuses(cancel),
            async {
                cancel.run_until_cancelled(self.settle(&listed)).await;
                self.handle(Event::Settled);
                health.set("members", true);
                futures::join!(
                    self.reconcile_all(cancel),
                    self.report_all(cancel),
                    self.carry_out_hub_tasks(cancel),
                    self.return_displaced(cancel),
                );
            },
        );
    }

    /// Waits until the hub's objects are listed and each member is known or known to be away, so
    /// that the first decisions do not see half of the clusters.
    async fn settle(&self, listed: &Lists) {
        let mut lists = listed.subscribe();
        drop(
            lists
                .wait_for(|lists| lists.len() == LISTS + Kind::ALL.len())
                .await,
        );
        let limit = Instant::now() + SETTLE;
        let is_settled = |this: &Self| {
            let index = this.index();
            let (members, tried) = (index.members(), this.sources_tried.load(Relaxed));
            // Where there is no member yet, one may be about to be found.
            !members.is_empty() && tried && members.all().all(|(_, one)| one.is_settled())
        };
        self.wait_until(limit, SETTLE / 500, is_settled).await;
        if !is_settled(self) {
            warn!("some members are not known yet; deciding with the others");
        }
        let index = self.index();
        let (members, objects) = (index.members().len(), index.workloads().len());
        info!(members, objects, "ready");
    }

    async fn take_events(&self, mut events: Inbox, cancel: &CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let received = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                received = events.recv_many(&mut batch, 1024) => received,
            };
            if received == 0 {
                return;
            }
            for event in batch.drain(..) {
                self.handle(Event::Member(event));
            }
            self.handle(Event::RoomChanged);
        }
    }

    async fn tick(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            self.handle(Event::Tick);
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    async fn reconcile_all(self: &Arc<Self>, cancel: &CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.options.parallel));
        let in_progress = TaskTracker::new();
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let Some(Some(job)) = cancel.run_until_cancelled(self.queue.next()).await else {
                break;
            };
            let this = self.clone();
            in_progress.spawn(async move {
                let key = job.key().clone();
                let result = this.reconcile(&key, slot).await;
                match &result {
                    Ok(_) => this.handle(Event::Rejected(key.clone(), None)),
                    Err(error) if let Some(message) = error.rejection() => {
                        let message = Some(message.to_owned());
                        this.handle(Event::Rejected(key.clone(), message));
                    }
                    // What the hub would say is not known.
                    Err(_) => {}
                }
                match result {
                    Ok(None) => job.succeed(),
                    Ok(Some(again)) => job.succeed_until(again),
                    Err(error) => {
                        this.metrics.failed(error.step());
                        warn!(%key, %error, "will be retried");
                        job.fail();
                    }
                }
                let waiting = this.index().waiting();
                this.metrics.queued(this.queue.depth(), waiting);
            });
        }
        // What is in progress ends before we do, if it can: also what is on record and not yet handed
        // to the members, and what they are being brought.
        in_progress.close();
        let limit = Instant::now() + LAST_DELIVERIES;
        if timeout_at(limit, in_progress.wait()).await.is_err() {
            warn!("not all that is in progress has ended; it goes on after the next start");
        }
        self.wait_until(limit, LAST_DELIVERIES / 100, |this| {
            !this.is_delivering_until(limit)
        })
        .await;
    }

    async fn report_all(self: &Arc<Self>, cancel: &CancellationToken) {
        let slots = Arc::new(Semaphore::new(4));
        // In one burst they wait once, however long it is.
        let mut patience = None;
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            if self.is_placing_many() {
                let until = *patience.get_or_insert_with(|| Instant::now() + PLACEMENTS_FIRST);
                let placed =
                    self.wait_until(until, PLACEMENTS_FIRST / 30, |this| !this.is_placing_many());
                cancel.run_until_cancelled(placed).await;
            } else {
                patience = None;
            }
            let Some(Some(job)) = cancel.run_until_cancelled(self.reports.next()).await else {
                return;
            };
            let this = self.clone();
            tokio::spawn(async move {
                match this.report(job.key()).await {
                    Ok(()) => job.succeed(),
                    Err(_) => drop(job.fail()),
                }
                drop(slot);
            });
        }
    }

    /// A delivery to a member that answers is in progress, or is again by `limit`.
    fn is_delivering_until(&self, limit: Instant) -> bool {
        let index = self.index();
        let mut open = index.members().all().filter(|(_, one)| one.is_open());
        open.any(|(_, one)| {
            let backend = one.backend();
            backend.is_some_and(|backend| backend.is_delivering_until(limit))
        })
    }

    /// Lets the hub's writes of a burst go before the members'.
    async fn hub_first(&self) {
        let until = Instant::now() + HUB_FIRST;
        self.wait_until(until, HUB_FIRST / 200, |this| {
            !this.index().is_in_burst(Instant::now())
        })
        .await;
    }

    /// Many objects have changed lately and are not yet on their members.
    fn is_placing_many(&self) -> bool {
        let now = Instant::now();
        let is_fresh = |since: Instant| now.duration_since(since) < PLACEMENTS_FIRST;
        let index = self.index();
        let objects = index.workloads().iter();
        let placing = objects.filter(|(_, one)| one.changed_at().is_some_and(is_fresh));
        placing.take(burst::MANY).count() == burst::MANY
    }

    /// Checks every so often, until `limit` at the latest.
    async fn wait_until(&self, limit: Instant, every: Duration, done: impl Fn(&Self) -> bool) {
        while Instant::now() < limit && !done(self) {
            tokio::time::sleep(every).await;
        }
    }
}
