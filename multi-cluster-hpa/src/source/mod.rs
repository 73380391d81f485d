//! Where metrics come from.
//!
//! One query is for all autoscalers that need its result ([`Shared`]): the usage of a namespace's
//! pods on one member, or a query to Prometheus, which answers for all clusters at once.

mod prometheus;
pub mod promql;
mod shared;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

pub use prometheus::PrometheusSource;
pub use shared::Shared;
pub(crate) use usage::MemberUsage;

/// A source of metrics.
pub trait MetricSource: Send + Sync {
    /// Queries once. The result does not come later than the source's deadline.
    fn read(&self, query: &Query) -> QueryFuture;
}

/// A query that is under way.
pub type QueryFuture = BoxFuture<'static, Result<Arc<QueryResult>, SourceError>>;

/// What can be queried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// What the pods of a namespace use on one member.
    Usage {
        /// Name of the `MemberCluster`.
        cluster: String,
        /// The namespace.
        namespace: String,
    },
    /// What an expression in `PromQL` gives, for all clusters.
    PromQl(String),
}

/// What a query gives. A sample that is too old or not a number is left out.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryResult {
    /// Usage by pod.
    Usage(BTreeMap<String, PodUsage>),
    /// One number.
    Scalar(Number),
    /// Numbers by their labels.
    Vector(Vec<(BTreeMap<String, String>, Number)>),
}

/// What a pod uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodUsage {
    /// When it was measured: the end of the window.
    pub timestamp: Timestamp,
    /// The time that it covers.
    pub window: SignedDuration,
    /// By container and resource, in thousandths of a core or a byte.
    pub containers: BTreeMap<String, BTreeMap<String, i64>>,
}

/// A number at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// Finite.
    pub value: f64,
    /// When it was measured or calculated.
    pub timestamp: Timestamp,
}

impl Number {
    /// The number in thousandths, rounded as Kubernetes' adapters do it: up.
    pub fn milli(self) -> i64 {
        (self.value * 1000.0).ceil() as i64
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The operator knows no Prometheus.
    #[error("the operator was started without a Prometheus: give it --prometheus-url")]
    NoPrometheus,
    /// Prometheus did not answer the query.
    #[error("{0}")]
    Prometheus(String),
    /// The member cannot be queried.
    #[error("{cluster}: {problem}")]
    Member {
        /// Its name.
        cluster: String,
        /// Why.
        problem: String,
    },
}

impl SourceError {
    /// What went wrong, as a label of a metric.
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::NoPrometheus => "no_prometheus",
            Self::Prometheus(_) => "prometheus",
            Self::Member { .. } => "member",
        }
    }
}
