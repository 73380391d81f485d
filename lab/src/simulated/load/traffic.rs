//! The traffic of simulated clusters, for operators in the same process.

use std::collections::BTreeMap;

use federation::traffic::{ByCluster, TrafficError};
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use super::Metrics;

/// What the clusters receive, by their names.
pub struct Traffic(BTreeMap<String, Metrics>);

impl Traffic {
    /// The traffic of these clusters.
    pub fn of(clusters: BTreeMap<String, Metrics>) -> Self {
        Self(clusters)
    }

    fn by_cluster(&self, bytes: impl Fn(&Metrics) -> f64) -> ByCluster {
        let clusters = self.0.iter();
        clusters
            .map(|(name, metrics)| (name.clone(), bytes(metrics)))
            .collect()
    }
}

impl federation::traffic::Traffic for Traffic {
    fn on_creation(&self) -> BoxFuture<'_, Result<ByCluster, TrafficError>> {
        ready(Ok(self.by_cluster(Metrics::received_by_nodes))).boxed()
    }

    fn on_update<'a>(
        &'a self,
        namespace: &'a str,
        pod_prefix: &'a str,
    ) -> BoxFuture<'a, Result<ByCluster, TrafficError>> {
        let bytes = |metrics: &Metrics| metrics.received_by_pods(namespace, pod_prefix);
        ready(Ok(self.by_cluster(bytes))).boxed()
    }
}
