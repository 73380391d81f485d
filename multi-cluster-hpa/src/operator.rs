//! The operator at work: its queue, and the rounds of evaluations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::members::Kubeconfig;
use federation::operator::access_args::AccessRules;
use federation::operator::clock::SharedClock;
use federation::operator::events::Recorder;
use federation::operator::http::Health;
use federation::operator::queue::{Backoff, Priority, WorkQueue};
use kube::Client;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::decision::Defaults;
use crate::members::Members;
use crate::metrics::Metrics;
use crate::source::{Asked, MemberUsage, MetricSource, Question, Shared, SourceError};
use crate::state::{Key, State};
use futures::FutureExt as _;

/// How the operator works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file whose contexts are members.
    pub kubeconfig: Option<Kubeconfig>,
    /// Which access to members counts.
    pub access: AccessRules,
    /// The time between two evaluations of an autoscaler that does not say it.
    pub interval: Duration,
    /// What holds for autoscalers that do not say it.
    pub defaults: Defaults,
    /// The longest that one call may take.
    pub deadline: Duration,
    /// A sample of a pod that has not changed for this long is missing.
    pub longest_age: Duration,
    /// `PromQL` for the traffic of a namespace's pods, by `cluster_name` and `pod`;
    /// `{namespace}` is filled in.
    pub traffic_query: String,
    /// Autoscalers that are written at the same time, and questions that one server is asked at the
    /// same time.
    pub parallel: usize,
}

/// How long evaluations wait for the members at the start.
const SETTLE: Duration = Duration::from_secs(10);
/// Answers that are older serve nobody else.
const FRESH: Duration = Duration::from_secs(15);

/// What the parts of the operator share.
pub(crate) struct Operator {
    pub(crate) hub: Client,
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Recorder,
    pub(crate) members: Members,
    pub(crate) queue: WorkQueue<Key>,
    /// Who may write.
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
    /// Questions that one server is asked at the same time.
    parallel: usize,
    /// Who may ask a server, by its name.
    turns: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl Sources {
    fn turns(&self, server: &str) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = turns.entry(server.to_owned());
        let turns = turns.or_insert_with(|| Arc::new(Semaphore::new(self.parallel)));
        turns.clone()
    }
}

impl MetricSource for Sources {
    fn read(&self, question: &Question) -> Asked {
        let late = format!("no answer within {:?}", self.deadline);
        let (turns, asked, late) = match (question, &self.prometheus) {
            (Question::Usage { cluster, namespace }, _) => {
                let client = self.members.client(cluster);
                let late = SourceError::Member {
                    cluster: cluster.clone(),
                    problem: late,
                };
                let asked = self.usage.read(client, cluster, namespace);
                (self.turns(cluster), asked, late)
            }
            (Question::Query(_), Some(prometheus)) => {
                let asked = prometheus.read(question);
                // No member has this name.
                (self.turns(""), asked, SourceError::Prometheus(late))
            }
            (Question::Query(_), None) => {
                return std::future::ready(Err(SourceError::NoPrometheus)).boxed();
            }
        };
        // Who waits for its turn has no more time than the others.
        let answered = async move {
            let _turn = turns.acquire().await;
            asked.await
        };
        let in_time = tokio::time::timeout(self.deadline, answered);
        async move { in_time.await.unwrap_or(Err(late)) }.boxed()
    }
}

impl Operator {
    pub(crate) fn new(
        hub: Client,
        options: Options,
        clock: SharedClock,
        metrics: Metrics,
        recorder: Recorder,
        members: Members,
        prometheus: Option<Arc<dyn MetricSource>>,
    ) -> Arc<Self> {
        let backoff = Backoff {
            first: Duration::from_millis(500),
            longest: options.interval,
        };
        let sources = Sources {
            members: members.clone(),
            usage: MemberUsage::new(options.deadline, options.longest_age),
            prometheus,
            deadline: options.deadline,
            parallel: options.parallel,
            turns: Mutex::default(),
        };
        Arc::new(Self {
            hub,
            clock,
            metrics,
            recorder,
            members,
            queue: WorkQueue::new(backoff),
            writers: Semaphore::new(options.parallel),
            sources: Shared::new(sources),
            started: Instant::now(),
            state: Mutex::default(),
            options,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Autoscalers are to be looked at now.
    pub(crate) fn look_at(&self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            self.queue.renew(key, Priority::High);
        }
    }

    /// The answer to a question that was asked then, or later.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        since: Instant,
    ) -> Result<Arc<crate::source::Answer>, SourceError> {
        self.sources.read(question, since).await
    }

    /// From when on answers count for an autoscaler: those of this round, but not of more than
    /// [`FRESH`] ago, and none that it has been evaluated with already.
    pub(crate) fn fresh_since(&self, key: &Key, interval: Duration) -> Instant {
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
            self.members.follow(cancel),
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
        while !self.members.are_settled() {
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
    /// equally often are evaluated together, so that they share answers.
    fn round(&self, interval: Duration) -> (Instant, Duration) {
        let elapsed = self.started.elapsed();
        let past = elapsed.as_nanos() % interval.as_nanos().max(1);
        let past = Duration::from_nanos(u64::try_from(past).unwrap_or_default());
        (self.started + elapsed.saturating_sub(past), past)
    }
}
