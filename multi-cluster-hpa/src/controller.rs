//! The autoscaler at work: its queue, and the rounds of evaluations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::operator::clock::SharedClock;
use federation::operator::context::OperatorContext;
use federation::operator::events::Recorder;
use federation::operator::http::Health;
use federation::operator::key::NamespacedName;
use federation::operator::queue::{Backoff, Priority, WorkQueue};
use futures::FutureExt as _;
use kube::Client;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::decision::Defaults;
use crate::members::{Members, are_settled};
use crate::metrics::Metrics;
use crate::source::{
    MemberUsage, MetricSource, Query, QueryFuture, QueryResult, Shared, SourceError,
};
use crate::state::State;

/// How the autoscaler works.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The time between two evaluations of an autoscaler that does not say it.
    pub(crate) interval: Duration,
    /// What holds for autoscalers that do not say it.
    pub(crate) defaults: Defaults,
    /// The longest that one call may take.
    pub(crate) deadline: Duration,
    /// A sample of a pod that has not changed for this long is missing.
    pub(crate) longest_age: Duration,
    /// `PromQL` for the traffic of a namespace's pods, by `cluster_name` and `pod`;
    /// `{namespace}` is filled in.
    pub(crate) pod_traffic_query: String,
    /// Autoscalers that are written at the same time, and queries of one server at the same time.
    pub(crate) concurrent_syncs: usize,
}

/// How long evaluations wait for the members at the start.
const SETTLE: Duration = Duration::from_secs(10);
/// Results that are older are not shared.
const FRESH: Duration = Duration::from_secs(15);

/// What the parts of the autoscaler share.
pub(crate) struct Controller {
    pub(crate) hub: Client,
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Recorder,
    pub(crate) members: Members,
    pub(crate) queue: WorkQueue<NamespacedName>,
    /// Limits the writes at the same time.
    pub(crate) writers: Semaphore,
    sources: Shared<Sources>,
    /// Rounds are counted from here.
    started: Instant,
    state: Mutex<State>,
}

/// All sources of metrics.
struct Sources {
    members: Members,
    usage: MemberUsage,
    prometheus: Option<Arc<dyn MetricSource>>,
    deadline: Duration,
    /// Queries of one server at the same time.
    concurrent_syncs: usize,
    /// Limits them, by the server's name.
    turns: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl Sources {
    fn turns(&self, server: &str) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = turns.entry(server.to_owned());
        let turns = turns.or_insert_with(|| Arc::new(Semaphore::new(self.concurrent_syncs)));
        turns.clone()
    }
}

impl MetricSource for Sources {
    fn read(&self, query: &Query) -> QueryFuture {
        let late = format!("no answer within {:?}", self.deadline);
        let (turns, result, late) = match (query, &self.prometheus) {
            (Query::Usage { cluster, namespace }, _) => {
                let client = self.members.client(cluster);
                let late = SourceError::Member {
                    cluster: cluster.clone(),
                    problem: late,
                };
                let result = self.usage.read(client, cluster, namespace);
                (self.turns(cluster), result, late)
            }
            (Query::PromQl(_), Some(prometheus)) => {
                let result = prometheus.read(query);
                // No member has this name.
                (self.turns(""), result, SourceError::Prometheus(late))
            }
            (Query::PromQl(_), None) => {
                return std::future::ready(Err(SourceError::NoPrometheus)).boxed();
            }
        };
        // What waits for its turn has no more time than the others.
        let in_turn = async move {
            let _turn = turns.acquire().await;
            result.await
        };
        let in_time = tokio::time::timeout(self.deadline, in_turn);
        async move { in_time.await.unwrap_or(Err(late)) }.boxed()
    }
}

impl Controller {
    pub(crate) fn new(
        context: &OperatorContext,
        options: Options,
        metrics: Metrics,
        prometheus: Option<Arc<dyn MetricSource>>,
    ) -> Arc<Self> {
        let backoff = Backoff {
            first: Duration::from_millis(500),
            longest: options.interval,
        };
        let members = Members::new(context, ());
        let sources = Sources {
            members: members.clone(),
            usage: MemberUsage::new(options.deadline, options.longest_age),
            prometheus,
            deadline: options.deadline,
            concurrent_syncs: options.concurrent_syncs,
            turns: Mutex::default(),
        };
        Arc::new(Self {
            hub: context.hub.clone(),
            clock: context.clock.clone(),
            metrics,
            recorder: context.recorder.clone(),
            members,
            queue: WorkQueue::new(backoff),
            writers: Semaphore::new(options.concurrent_syncs),
            sources: Shared::new(sources),
            started: Instant::now(),
            state: Mutex::default(),
            options,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Autoscalers are to be evaluated now.
    pub(crate) fn reconcile(&self, keys: impl IntoIterator<Item = NamespacedName>) {
        for key in keys {
            self.queue.renew(key, Priority::High);
        }
    }

    /// The result of a query that was made then, or later.
    pub(crate) async fn query(
        &self,
        query: &Query,
        since: Instant,
    ) -> Result<Arc<QueryResult>, SourceError> {
        self.sources.read(query, since).await
    }

    /// From when on results count for an autoscaler: those of this round, but not of more than
    /// [`FRESH`] ago, and none that it has been evaluated with already.
    pub(crate) fn fresh_since(&self, key: &NamespacedName, interval: Duration) -> Instant {
        let (round, past) = self.round(interval);
        let evaluated = self.state().evaluated(key);
        let recent = round + past.saturating_sub(FRESH);
        let next = evaluated.map(|then| then + Duration::from_nanos(1));
        recent.max(next.unwrap_or(recent))
    }

    /// Works until cancelled.
    pub(crate) async fn work(self: &Arc<Self>, health: &Health, cancel: &CancellationToken) {
        let listed = watch::Sender::new(0);
        futures::join!(
            self.follow_members(&listed, cancel),
            self.follow_autoscalers(&listed, cancel),
            self.follow_targets(&listed, cancel),
            self.members.run(|_, _| {}, cancel),
            async {
                cancel.run_until_cancelled(self.settle(&listed)).await;
                health.set("members", true);
                self.evaluate_all(cancel).await;
            },
        );
    }

    /// Waits until the hub's objects are listed and each member's pods are known, or known not to
    /// be, so that the first evaluations do not see half of the pods.
    async fn settle(&self, listed: &watch::Sender<usize>) {
        let mut lists = listed.subscribe();
        drop(lists.wait_for(|lists| *lists >= 3).await);
        let limit = Instant::now() + SETTLE;
        while !are_settled(&self.members) {
            if Instant::now() >= limit {
                warn!("some members are not known yet; beginning with the others");
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let autoscalers = self.state().autoscalers.len();
        info!(autoscalers, "ready");
    }

    async fn evaluate_all(self: &Arc<Self>, cancel: &CancellationToken) {
        let evaluations = TaskTracker::new();
        loop {
            let Some(Some(job)) = cancel.run_until_cancelled(self.queue.next()).await else {
                break;
            };
            let this = self.clone();
            evaluations.spawn(async move {
                match this.evaluate(job.key()).await {
                    Ok(Some(interval)) => job.succeed_until(this.until_next_round(interval)),
                    Ok(None) => job.succeed(),
                    Err(error) => {
                        warn!(autoscaler = %job.key(), %error, "not evaluated to the end");
                        this.metrics.failed(error.reason());
                        job.fail();
                    }
                }
            });
        }
        // What is under way ends before we do.
        evaluations.close();
        evaluations.wait().await;
    }

    fn until_next_round(&self, interval: Duration) -> Duration {
        let (_, past) = self.round(interval);
        interval.saturating_sub(past)
    }

    /// When this round of evaluations has begun, and how long ago that is. Those that are evaluated
    /// equally often are evaluated together, so that they share results.
    fn round(&self, interval: Duration) -> (Instant, Duration) {
        let elapsed = self.started.elapsed();
        let past = elapsed.as_nanos() % interval.as_nanos().max(1);
        let past = Duration::from_nanos(u64::try_from(past).unwrap_or_default());
        (self.started + elapsed.saturating_sub(past), past)
    }
}
