//! What the scheduler counts. Labels are closed sets: policies, results, kinds of failure, members.

use std::time::Duration;

use federation::members::FailureKind;
use federation::operator::fence::ApiRequests;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::decide::Assignment;

/// The scheduler's metrics.
#[derive(Clone)]
pub struct Metrics {
    placements: Family<PlacementLabels, Counter>,
    decision: Histogram,
    end_to_end: Histogram,
    pending: Gauge,
    waiting: Gauge,
    deliveries: Family<DeliveryLabels, Counter>,
    put_back: Family<MemberLabels, Counter>,
    errors: Family<StepLabels, Counter>,
    unreadable: Family<KindLabels, Counter>,
    members: Family<MemberLabels, Gauge>,
    failovers: Counter,
    failover_suspended: Gauge,
    pub(crate) requests: ApiRequests,
    pub(crate) events_dropped: Counter,
    pub(crate) throttled: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlacementLabels {
    policy: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemberLabels {
    cluster: String,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            placements: Family::default(),
            decision: Histogram::new(exponential_buckets(10e-6, 2.0, 16)),
            end_to_end: Histogram::new(exponential_buckets(1e-3, 2.0, 16)),
            pending: Gauge::default(),
            waiting: Gauge::default(),
            deliveries: Family::default(),
            put_back: Family::default(),
            errors: Family::default(),
            unreadable: Family::default(),
            members: Family::default(),
            failovers: Counter::default(),
            failover_suspended: Gauge::default(),
            requests: ApiRequests::default(),
            events_dropped: Counter::default(),
            throttled: Counter::default(),
        };
        metrics.requests.register(registry);
        let registry = registry.sub_registry_with_prefix("mck8s_scheduler");
        registry.register(
            "placements",
            "Decisions that changed an assignment, by policy and result",
            metrics.placements.clone(),
        );
        registry.register(
            "decision_seconds",
            "Time to decide, without any call",
            metrics.decision.clone(),
        );
        registry.register(
            "placement_seconds",
            "Time from seeing a change to its last delivery",
            metrics.end_to_end.clone(),
        );
        registry.register(
            "pending_objects",
            "Objects in the work queue",
            metrics.pending.clone(),
        );
        registry.register(
            "waiting_objects",
            "Objects with replicas that fit nowhere",
            metrics.waiting.clone(),
        );
        registry.register(
            "deliveries",
            "Deliveries to members, by result",
            metrics.deliveries.clone(),
        );
        registry.register(
            "put_back",
            "Objects on members that other clients changed or deleted and that were put back",
            metrics.put_back.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Reconciles that failed, by step",
            metrics.errors.clone(),
        );
        registry.register(
            "unreadable_objects",
            "Objects in lists and watches that could not be read, by kind",
            metrics.unreadable.clone(),
        );
        registry.register(
            "member_watches_throttled",
            "Watches on members that were paused because too many of their events were waiting",
            metrics.throttled.clone(),
        );
        registry.register(
            "events_dropped",
            "Events that were not written",
            metrics.events_dropped.clone(),
        );
        registry.register(
            "member_ready",
            "Whether a member answers and is known (1) or not (0)",
            metrics.members.clone(),
        );
        registry.register(
            "failovers",
            "Members whose replicas were placed elsewhere, because they did not answer",
            metrics.failovers.clone(),
        );
        registry.register(
            "failover_suspended",
            "Whether silent members are not failed over (1), because too many are silent",
            metrics.failover_suspended.clone(),
        );
        metrics
    }

    pub(crate) fn failed_over(&self, members: usize, is_suspended: bool) {
        self.failovers
            .inc_by(u64::try_from(members).unwrap_or(u64::MAX));
        self.failover_suspended.set(i64::from(is_suspended));
    }

    pub(crate) fn decided(&self, time: Duration) {
        self.decision.observe(time.as_secs_f64());
    }

    pub(crate) fn placed(&self, policy: &str, assignment: &Assignment) {
        let result = match (assignment.unplaced, assignment.placed()) {
            (0, _) => "placed",
            (_, 0) => "unplaced",
            _ => "partial",
        };
        self.placements
            .get_or_create(&PlacementLabels {
                policy: policy.to_owned(),
                result,
            })
            .inc();
    }

    pub(crate) fn took(&self, time: Duration) {
        self.end_to_end.observe(time.as_secs_f64());
    }

    pub(crate) fn queued(&self, pending: usize, waiting: usize) {
        self.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(crate) fn delivered(&self, failure: Option<FailureKind>) {
        let result = failure.map_or("ok", FailureKind::label);
        self.deliveries
            .get_or_create(&DeliveryLabels { result })
            .inc();
    }

    pub(crate) fn unreadable(&self, kind: &'static str) {
        self.unreadable.get_or_create(&KindLabels { kind }).inc();
    }

    pub(crate) fn put_back(&self, cluster: &str) {
        let labels = MemberLabels {
            cluster: cluster.to_owned(),
        };
        self.put_back.get_or_create(&labels).inc();
    }

    pub(crate) fn failed(&self, step: &'static str) {
        self.errors.get_or_create(&StepLabels { step }).inc();
    }

    /// `None` for one that is no member any more.
    pub(crate) fn member(&self, cluster: &str, ready: Option<bool>) {
        let labels = MemberLabels {
            cluster: cluster.to_owned(),
        };
        if let Some(ready) = ready {
            self.members.get_or_create(&labels).set(i64::from(ready));
        } else {
            self.members.remove(&labels);
            self.put_back.remove(&labels);
        }
    }
}
