//! What the autoscaler counts. Besides the autoscalers' names, labels are closed sets.

use federation::operator::key::NamespacedName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The autoscaler's metrics.
#[derive(Clone)]
pub(crate) struct Metrics {
    desired: Family<Autoscaler, Gauge>,
    current: Family<Autoscaler, Gauge>,
    age: Family<Autoscaler, Gauge<f64, std::sync::atomic::AtomicU64>>,
    evaluations: Family<Evaluation, Counter>,
    decision: Histogram,
    errors: Family<Reason, Counter>,
    queries: Family<Reason, Counter>,
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
    /// Registers them in the operator's own registry.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            desired: Family::default(),
            current: Family::default(),
            age: Family::default(),
            evaluations: Family::default(),
            decision: Histogram::new(exponential_buckets(10e-6, 2.0, 16)),
            errors: Family::default(),
            queries: Family::default(),
        };
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
            "Queries to sources of metrics that were not answered, by source",
            metrics.queries.clone(),
        );
        metrics
    }

    pub(crate) fn replicas(&self, key: &NamespacedName, current: u32, desired: u32) {
        self.current
            .get_or_create(&labels(key))
            .set(i64::from(current));
        self.desired
            .get_or_create(&labels(key))
            .set(i64::from(desired));
    }

    /// In seconds; none where no number counted.
    pub(crate) fn age(&self, key: &NamespacedName, age: Option<f64>) {
        match age {
            Some(age) => drop(self.age.get_or_create(&labels(key)).set(age)),
            None => drop(self.age.remove(&labels(key))),
        }
    }

    /// The autoscaler is no more.
    pub(crate) fn forget(&self, key: &NamespacedName) {
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
        self.queries.get_or_create(&Reason { reason: source }).inc();
    }
}

fn labels(key: &NamespacedName) -> Autoscaler {
    Autoscaler {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}
