//! How much network traffic each cluster receives, from Prometheus.
//!
//! The policy `most_traffic` of the original goes by two numbers: on creation by what the
//! cluster's nodes receive, on update by what the application's own pods receive. It asks once per
//! cluster; here one query sums by cluster and answers for all of them.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::prometheus::{Answer, PrometheusError, Server, regex_escaped, string_escaped};

/// The `PromQL` that is asked, and how its answer names the clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficQueries {
    /// Bytes per second that a cluster's nodes receive.
    pub creation: String,
    /// Bytes per second that an application's pods receive. `{namespace}` stands for the
    /// namespace, `{pods}` for a regular expression of the pods' names; both are escaped for a
    /// string in double quotes.
    pub update: String,
    /// The label whose value is the cluster's name.
    pub cluster_label: String,
}

impl Default for TrafficQueries {
    /// The original's queries.
    fn default() -> Self {
        Self {
            creation:
                "sum by (cluster_name) (instance:node_network_receive_bytes_excluding_lo:rate1m)"
                    .to_owned(),
            update: "sum by (cluster_name) (irate(container_network_receive_bytes_total\
                     {namespace=\"{namespace}\",pod=~\"{pods}\"}[60s]))"
                .to_owned(),
            cluster_label: "cluster_name".to_owned(),
        }
    }
}

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// There is no answer.
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
    /// The query's answer is not a list of samples.
    #[error(
        "{query:?} does not give one sample by cluster; write a query of the form sum by (cluster_name) (…)"
    )]
    Shape {
        /// The query as sent.
        query: String,
    },
}

/// Bytes per second by the cluster's name. A cluster that nothing is known of is not there.
pub type ByCluster = BTreeMap<String, f64>;

/// Who knows the traffic of all clusters.
pub trait Traffic: Send + Sync {
    /// Bytes per second that each cluster's nodes receive.
    fn on_creation(&self) -> BoxFuture<'_, Result<ByCluster, TrafficError>>;

    /// Bytes per second that the pods of this namespace receive whose names begin with
    /// `pod_prefix`.
    fn on_update<'a>(
        &'a self,
        namespace: &'a str,
        pod_prefix: &'a str,
    ) -> BoxFuture<'a, Result<ByCluster, TrafficError>>;
}

/// A Prometheus server that knows the traffic of all clusters.
pub struct TrafficSource {
    server: Server,
    queries: TrafficQueries,
}

impl TrafficSource {
    /// Nothing is sent yet.
    pub fn new(server: Server, queries: TrafficQueries) -> Self {
        Self { server, queries }
    }

    async fn ask(&self, query: &str) -> Result<ByCluster, TrafficError> {
        let Answer::Vector(samples) = self.server.ask(query).await? else {
            return Err(TrafficError::Shape {
                query: query.to_owned(),
            });
        };
        let by_cluster = samples.into_iter().filter_map(|(mut labels, sample)| {
            let cluster = labels.remove(&self.queries.cluster_label)?;
            // A division by zero in a recording rule says nothing about the traffic.
            sample.value.is_finite().then_some((cluster, sample.value))
        });
        Ok(by_cluster.collect())
    }
}

impl Traffic for TrafficSource {
    fn on_creation(&self) -> BoxFuture<'_, Result<ByCluster, TrafficError>> {
        self.ask(&self.queries.creation).boxed()
    }

    fn on_update<'a>(
        &'a self,
        namespace: &'a str,
        pod_prefix: &'a str,
    ) -> BoxFuture<'a, Result<ByCluster, TrafficError>> {
        let query = filled(&self.queries.update, namespace, pod_prefix);
        async move { self.ask(&query).await }.boxed()
    }
}

/// The template with both placeholders filled.
fn filled(template: &str, namespace: &str, pod_prefix: &str) -> String {
    let pods = format!("{}.*", regex_escaped(pod_prefix));
    template
        .replace("{namespace}", &string_escaped(namespace))
        .replace("{pods}", &string_escaped(&pods))
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
