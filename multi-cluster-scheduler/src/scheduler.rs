//! The scheduler at work: its queues, and the tick that lets time pass.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::members::{Connections, Member, MemberEvent, MemberOptions, MemberSessions};
use federation::operator::clock::SharedClock;
use federation::operator::context::OperatorContext;
use federation::operator::http::Health;
use federation::operator::queue::{Backoff, WorkQueue};
use federation::traffic::Traffic;
use kube::Client;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::announce::Announcer;
use crate::burst;
use crate::failover;
use crate::metrics::Metrics;
use crate::state::{Registered, State, Tracked};
use crate::workload::{Key, Kind};

/// How the scheduler works.
#[derive(Clone, Debug)]
pub struct Options {
    /// When the replicas of a silent member are placed elsewhere.
    pub failover: failover::Settings,
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
    /// The time between two looks at a member's health.
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
/// How long what is under way may take when the scheduler is told to stop.
const LAST_DELIVERIES: Duration = Duration::from_secs(5);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What the parts of the scheduler share.
pub struct Scheduler {
    pub(crate) hub: Client,
    pub(crate) hub_uid: String,
    pub(crate) connections: Connections<Member>,
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Announcer,
    pub(crate) traffic: Option<Arc<dyn Traffic>>,
    pub(crate) queue: WorkQueue<Key>,
    pub(crate) reports: WorkQueue<Key>,
    pub(crate) member_status_turn: tokio::sync::Mutex<()>,
    /// A member came, went, opened or closed: its status is to be written.
    pub(crate) standing_changed: Notify,
    state: Mutex<State>,
}

impl Scheduler {
    /// A scheduler, and where its members' events arrive.
    pub(crate) fn new(
        context: &OperatorContext,
        options: Options,
        metrics: Metrics,
        traffic: Option<Arc<dyn Traffic>>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<MemberEvent>) {
        let (events, received) = mpsc::unbounded_channel();
        let backoff = Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(30),
        };
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
        let scheduler = Self {
            hub: context.hub.clone(),
            hub_uid: context.hub_uid.clone(),
            connections: Connections::new(context, sessions),
            options,
            clock: context.clock.clone(),
            metrics,
            recorder: Announcer(context.recorder.clone()),
            traffic,
            queue: WorkQueue::new(backoff),
            reports: WorkQueue::new(backoff),
            member_status_turn: tokio::sync::Mutex::default(),
            standing_changed: Notify::new(),
            state: Mutex::default(),
        };
        (Arc::new(scheduler), received)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until cancelled.
    pub(crate) async fn work(
        self: &Arc<Self>,
        events: mpsc::UnboundedReceiver<MemberEvent>,
        health: &Health,
        cancel: &CancellationToken,
    ) {
        let listed = watch::Sender::new(BTreeSet::new());
        futures::join!(
            self.follow_members(&listed, cancel),
            self.follow_workloads(Kind::Deployment, &listed, cancel),
            self.follow_workloads(Kind::Job, &listed, cancel),
            self.follow_workloads(Kind::Service, &listed, cancel),
            self.follow_dependencies(cancel),
            self.take_events(events, cancel),
            self.connect_members(cancel),
            self.tick(cancel),
            self.follow_member_statuses(cancel),
            async {
                cancel.run_until_cancelled(self.settle(&listed)).await;
                health.set("members", true);
                futures::join!(self.reconcile_all(cancel), self.report_all(cancel));
            },
        );
    }

    /// Waits until the hub's objects are listed and each member is known or known to be away, so
    /// that the first decisions do not see half of the clusters.
    async fn settle(&self, listed: &watch::Sender<BTreeSet<&'static str>>) {
        let mut lists = listed.subscribe();
        drop(
            lists
                .wait_for(|lists| lists.len() == 1 + Kind::ALL.len())
                .await,
        );
        let limit = Instant::now() + SETTLE;
        loop {
            {
                let state = self.state();
                // Where there is no member yet, one may be about to be found.
                let settled = |one: &Registered| {
                    one.is_open()
                        || one.is_refused()
                        || one.reachable == Some(false)
                        || one.refused.is_some()
                };
                if !state.members.is_empty()
                    && state.sources_tried
                    && state.members.values().all(settled)
                {
                    break;
                }
            }
            if Instant::now() >= limit {
                warn!("some members are not known yet; deciding with the others");
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let state = self.state();
        info!(
            members = state.members.len(),
            objects = state.workloads.len(),
            "ready"
        );
    }

    async fn take_events(
        &self,
        mut events: mpsc::UnboundedReceiver<MemberEvent>,
        cancel: &CancellationToken,
    ) {
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
                self.member_event(event);
            }
            self.retry_where_room_grew();
        }
    }

    async fn tick(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            let now = Instant::now();
            {
                let mut guard = self.state();
                let state = &mut *guard;
                self.fail_over(state, now);
                let names: Vec<_> = state.members.keys().cloned().collect();
                for name in &names {
                    self.cluster_changed(state, name);
                }
                let (due, later): (BTreeSet<_>, _) = std::mem::take(&mut state.lapses)
                    .into_iter()
                    .partition(|(due, _, _)| *due <= now);
                state.lapses = later;
                let renewed: BTreeSet<_> = (state.lapses.iter())
                    .map(|(_, owner, cluster)| (*owner, cluster.clone()))
                    .collect();
                for (_, owner, cluster) in due {
                    if !renewed.contains(&(owner, cluster.clone())) {
                        state.snapshot.release(&cluster, placement::OwnerKey(owner));
                    }
                }
            }
            self.retry_where_room_grew();
            self.place_unschedulable_elsewhere();
            self.return_what_is_away();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Decides which of the silent members are lost.
    fn fail_over(&self, state: &mut State, now: Instant) {
        let members = state.members.iter().filter(|(_, one)| !one.is_refused());
        let judged =
            members.filter(|(_, one)| one.silent_since.is_some() || one.reachable == Some(true));
        let judged = judged.map(|(name, one)| (name.clone(), one.silent_since));
        let newly = (state.failover).pass(&judged.collect(), self.options.failover, now);
        self.metrics
            .failed_over(newly, state.failover.is_suspended());
        if newly > 0 {
            self.standing_changed.notify_one();
        }
    }

    async fn reconcile_all(self: &Arc<Self>, cancel: &CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.options.parallel));
        let under_way = TaskTracker::new();
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let Some(Some(job)) = cancel.run_until_cancelled(self.queue.next()).await else {
                break;
            };
            let this = self.clone();
            under_way.spawn(async move {
                let result = this.reconcile(job.key(), slot).await;
                match &result {
                    Ok(_) => this.note_rejection(job.key(), None),
                    Err(error) if error.rejection().is_some() => {
                        this.note_rejection(job.key(), error.rejection());
                    }
                    // What the hub would say is not known.
                    Err(_) => {}
                }
                match result {
                    Ok(None) => job.succeed(),
                    Ok(Some(again)) => job.succeed_until(again),
                    Err(error) => {
                        this.metrics.failed(error.step());
                        warn!(key = %job.key(), %error, "will be tried again");
                        job.fail();
                    }
                }
                let waiting = this.state().waiting.len();
                this.metrics.queued(this.queue.depth(), waiting);
            });
        }
        // What is under way ends before we do, if it can: also what is on record and not yet handed
        // to the members, and what they are being brought.
        under_way.close();
        let limit = Instant::now() + LAST_DELIVERIES;
        if timeout_at(limit, under_way.wait()).await.is_err() {
            warn!("not all that is under way has ended; it goes on after the next start");
        }
        self.wait_until(limit, LAST_DELIVERIES / 100, |this| {
            !this.is_delivering_until(limit)
        })
        .await;
    }

    /// What the hub refuses is said on the object.
    fn note_rejection(&self, key: &Key, rejection: Option<&str>) {
        let mut state = self.state();
        if let Some(tracked) = state.workloads.get_mut(key)
            && tracked.refused.as_deref() != rejection
        {
            tracked.refused = rejection.map(str::to_owned);
            self.reports
                .add_after(key.clone(), self.options.report_delay);
        }
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

    /// A member that answers is being brought something, or is again by `limit`.
    fn is_delivering_until(&self, limit: Instant) -> bool {
        let state = self.state();
        let mut members = state.members.values().filter(|one| one.is_open());
        members.any(|one| {
            (one.member.as_ref()).is_some_and(|member| member.is_delivering_until(limit))
        })
    }

    /// Lets the hub's writes of a burst go before the members'.
    pub(crate) async fn hub_first(&self) {
        let until = Instant::now() + HUB_FIRST;
        self.wait_until(until, HUB_FIRST / 200, |this| {
            !this.state().burst.is_on(Instant::now())
        })
        .await;
    }

    /// Many objects have changed lately and are not yet on their members.
    fn is_placing_many(&self) -> bool {
        let now = Instant::now();
        let fresh = |since: Instant| now.duration_since(since) < PLACEMENTS_FIRST;
        let placing = |one: &&Tracked| one.changed_at.is_some_and(fresh);
        let state = self.state();
        state
            .workloads
            .values()
            .filter(placing)
            .take(burst::MANY)
            .count()
            == burst::MANY
    }

    /// Looks every so often, not longer than until then.
    async fn wait_until(&self, limit: Instant, every: Duration, done: impl Fn(&Self) -> bool) {
        while Instant::now() < limit && !done(self) {
            tokio::time::sleep(every).await;
        }
    }
}
