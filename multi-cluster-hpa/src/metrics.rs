//! What the operator counts. Besides the autoscalers' names, labels are closed sets.

use federation::operator::fence::ApiRequests;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::state::Key;

/// The operator's metrics.
#[derive(Clone)]
pub struct Metrics {
    desired: Family<Autoscaler, Gauge>,
    current: Family<Autoscaler, Gauge>,
    age: Family<Autoscaler, Gauge<f64, std::sync::atomic::AtomicU64>>,
    evaluations: Family<Evaluation, Counter>,
    decision: Histogram,
    errors: Family<Reason, Counter>,
    questions: Family<Reason, Counter>,
    pub(crate) requests: ApiRequests,
    pub(crate) events_dropped: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Autoscaler {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Evaluation {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            desired: Family::default(),
            current: Family::default(),
            age: Family::default(),
            evaluations: Family::default(),
            decision: Histogram::new(exponential_buckets(10e-6, 2.0, 16)),
            errors: Family::default(),
            questions: Family::default(),
            requests: ApiRequests::default(),
            events_dropped: Counter::default(),
        };
        metrics.requests.register(registry);
        let registry = registry.sub_registry_with_prefix("mck8s_hpa");
        registry.register(
            "desired_replicas",
            "Replicas that an autoscaler wants, over all clusters",
            metrics.desired.clone(),
        );
        registry.register(
            "current_replicas",
            "Replicas that its target wanted at the last evaluation, over all clusters",
            metrics.current.clone(),
        );
        registry.register(
            "metric_age_seconds",
            "Age of the oldest number that the last evaluation went by",
            metrics.age.clone(),
        );
        registry.register(
            "evaluations",
            "Evaluations, by what came of them",
            metrics.evaluations.clone(),
        );
        registry.register(
            "decision_seconds",
            "Time to decide, without any call",
            metrics.decision.clone(),
        );
        registry.register(
            "errors",
            "Evaluations that went wrong, by reason",
            metrics.errors.clone(),
        );
        registry.register(
            "unanswered_questions",
            "Questions to sources of metrics that were not answered, by source",
            metrics.questions.clone(),
        );
        registry.register(
            "events_dropped",
            "Events that were not written",
            metrics.events_dropped.clone(),
        );
        metrics
    }

    pub(crate) fn replicas(&self, key: &Key, current: u32, desired: u32) {
        self.current
            .get_or_create(&labels(key))
            .set(i64::from(current));
        self.desired
            .get_or_create(&labels(key))
            .set(i64::from(desired));
    }

    /// In seconds; none where no number counted.
    pub(crate) fn age(&self, key: &Key, age: Option<f64>) {
        match age {
            Some(age) => drop(self.age.get_or_create(&labels(key)).set(age)),
            None => drop(self.age.remove(&labels(key))),
        }
    }

    /// The autoscaler is no more.
    pub(crate) fn forget(&self, key: &Key) {
        self.current.remove(&labels(key));
        self.desired.remove(&labels(key));
        self.age.remove(&labels(key));
    }

    pub(crate) fn evaluated(&self, result: &'static str) {
        self.evaluations.get_or_create(&Evaluation { result }).inc();
    }

    pub(crate) fn decided(&self, time: std::time::Duration) {
        self.decision.observe(time.as_secs_f64());
    }

    pub(crate) fn failed(&self, reason: &'static str) {
        self.errors.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn unanswered(&self, source: &'static str) {
        self.questions
            .get_or_create(&Reason { reason: source })
            .inc();
    }
}

fn labels(key: &Key) -> Autoscaler {
    Autoscaler {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}
