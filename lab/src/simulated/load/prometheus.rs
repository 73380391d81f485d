//! A Prometheus that knows simulated clusters: for whoever scrapes it, asks it over HTTP, or asks it
//! in the same process.

mod api;

use std::sync::Arc;

use axum::Router;
use federation::operator::clock::SharedClock;
use futures::FutureExt as _;
use futures::future::ready;
use jiff::Timestamp;
use multi_cluster_hpa::source::{
    MetricSource, Number, Query, QueryFuture, QueryResult, SourceError,
};

use super::Metrics;
use super::family::Readings;
use crate::simulated::promql::{QueryError, Value, evaluate};

/// What a Prometheus knows of simulated clusters. Clones are the same one.
///
/// It has no history: what it is asked, it answers from what is known now.
#[derive(Clone)]
pub struct Prometheus(Arc<Inner>);

struct Inner {
    clusters: Vec<Metrics>,
    clock: SharedClock,
}

impl Prometheus {
    /// One for these clusters; `clock` says what time of day it is.
    pub fn of(clusters: Vec<Metrics>, clock: SharedClock) -> Self {
        Self(Arc::new(Inner { clusters, clock }))
    }

    /// `GET /metrics` and `GET /metrics/CLUSTER` for scrapes, and `/api/v1/query` for queries.
    pub fn router(&self) -> Router {
        api::router(self.clone())
    }

    /// What a query in `PromQL` gives now. What is supported of it is in `docs/simulation.md`.
    pub fn query(&self, query: &str) -> Result<Value, QueryError> {
        evaluate(query, &self.readings()[..])
    }

    fn readings(&self) -> Vec<Readings> {
        self.0.clusters.iter().map(Metrics::readings).collect()
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The answer as the autoscaler reads it: without what is no number.
    fn answer(&self, query: &str) -> Result<QueryResult, QueryError> {
        let timestamp = self.now();
        let number = |value: f64| value.is_finite().then_some(Number { value, timestamp });
        Ok(match self.query(query)? {
            Value::Scalar(value) => {
                number(value).map_or(QueryResult::Vector(Vec::new()), QueryResult::Scalar)
            }
            Value::Vector(samples) => QueryResult::Vector(
                (samples.into_iter())
                    .filter_map(|(labels, value)| Some((labels, number(value)?)))
                    .collect(),
            ),
        })
    }
}

impl MetricSource for Prometheus {
    fn read(&self, question: &Query) -> QueryFuture {
        let answer = match question {
            Query::PromQl(query) => (self.answer(query))
                .map(Arc::new)
                .map_err(|error| SourceError::Prometheus(error.to_string())),
            Query::Usage { .. } => Err(SourceError::NoPrometheus),
        };
        ready(answer).boxed()
    }
}
