//! What the provisioner counts. Besides names of provisioners and flavors, labels are closed sets.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use federation::api::CloudCluster;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The provisioner's metrics.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    nodes: Family<Pool, Gauge>,
    ready: Family<Pool, Gauge>,
    cost: Family<Provisioner, Gauge<f64, AtomicU64>>,
    unplaced: Gauge,
    actions: Family<Action, Counter>,
    errors: Family<Reason, Counter>,
    /// What is shown of each provisioner.
    shown: Arc<Mutex<BTreeMap<String, Vec<Pool>>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Provisioner {
    provisioner: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pool {
    provisioner: String,
    flavor: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Action {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Metrics {
    /// Registers them in the operator's own registry.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "nodes",
            "Workers that there are to be",
            metrics.nodes.clone(),
        );
        registry.register(
            "nodes_ready",
            "Workers that are ready",
            metrics.ready.clone(),
        );
        registry.register(
            "cost_per_hour",
            "What all machines cost in an hour, in the unit of the prices",
            metrics.cost.clone(),
        );
        registry.register(
            "unplaced_replicas",
            "Replicas that fit nowhere and may burst",
            metrics.unplaced.clone(),
        );
        registry.register("actions", "What was done", metrics.actions.clone());
        registry.register("errors", "What failed, by step", metrics.errors.clone());
        metrics
    }

    /// The clusters of a provisioner, and what they cost.
    pub(crate) fn clusters(&self, provisioner: &str, clusters: &[CloudCluster], cost: Option<i64>) {
        self.forget(provisioner);
        let mut shown = Vec::new();
        for pool in clusters.iter().flat_map(|cluster| &cluster.pools) {
            let labels = Pool {
                provisioner: provisioner.to_owned(),
                flavor: pool.flavor.clone(),
            };
            let (nodes, ready) = (i64::from(pool.nodes), i64::from(pool.ready));
            self.nodes.get_or_create(&labels).inc_by(nodes);
            self.ready.get_or_create(&labels).inc_by(ready);
            shown.push(labels);
        }
        self.shown().insert(provisioner.to_owned(), shown);
        if let Some(cost) = cost {
            let labels = of(provisioner);
            self.cost.get_or_create(&labels).set(cost as f64 / 1000.0);
        }
    }

    /// Nothing is known of a provisioner.
    pub(crate) fn forget(&self, provisioner: &str) {
        let shown = self.shown().remove(provisioner);
        for labels in shown.into_iter().flatten() {
            self.nodes.remove(&labels);
            self.ready.remove(&labels);
        }
        self.cost.remove(&of(provisioner));
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Pool>>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unplaced(&self, replicas: u32) {
        self.unplaced.set(i64::from(replicas));
    }

    pub(crate) fn acted(&self, action: &'static str) {
        self.actions.get_or_create(&Action { action }).inc();
    }

    pub(crate) fn failed(&self, reason: &'static str) {
        self.errors.get_or_create(&Reason { reason }).inc();
    }
}

fn of(provisioner: &str) -> Provisioner {
    Provisioner {
        provisioner: provisioner.to_owned(),
    }
}
