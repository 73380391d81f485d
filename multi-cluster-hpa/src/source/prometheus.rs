//! Prometheus over HTTP.

use std::sync::Arc;

use federation::prometheus::{Answer as Given, Sample, Server};
use futures::FutureExt as _;
use jiff::Timestamp;

use super::{MetricSource, Number, Query, QueryFuture, QueryResult, SourceError};

/// A Prometheus server that sees all clusters.
///
/// How old a sample may be is Prometheus' to say: a series that is not scraped any more leaves its
/// answers (after five minutes, `--query.lookback-delta`), and then it is missing here.
pub struct PrometheusSource(Server);

impl PrometheusSource {
    /// Nothing is sent yet.
    pub fn new(server: Server) -> Self {
        Self(server)
    }
}

impl MetricSource for PrometheusSource {
    fn read(&self, query: &Query) -> QueryFuture {
        let server = self.0.clone();
        let Query::PromQl(query) = query.clone() else {
            return std::future::ready(Err(SourceError::NoPrometheus)).boxed();
        };
        async move {
            let given = server.ask(&query).await;
            let given = given.map_err(|error| SourceError::Prometheus(error.to_string()))?;
            Ok(Arc::new(answer(given)))
        }
        .boxed()
    }
}

fn answer(given: Given) -> QueryResult {
    match given {
        // A scalar that is no number is a vector without samples.
        Given::Scalar(sample) => {
            number(sample).map_or(QueryResult::Vector(Vec::new()), QueryResult::Scalar)
        }
        Given::Vector(samples) => QueryResult::Vector(
            (samples.into_iter())
                .filter_map(|(labels, sample)| Some((labels, number(sample)?)))
                .collect(),
        ),
    }
}

fn number(sample: Sample) -> Option<Number> {
    sample.value.is_finite().then_some(Number {
        value: sample.value,
        timestamp: Timestamp::from_millisecond((sample.at * 1000.0) as i64).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_no_number_is_missing() {
        let sample = |value| Sample { value, at: 1.5 };
        let labels = |name: &str| BTreeMap::from([("cluster_name".to_owned(), name.to_owned())]);
        let given = Given::Vector(vec![
            (labels("a"), sample(2.0)),
            (labels("b"), sample(f64::NAN)),
            (labels("c"), sample(f64::INFINITY)),
        ]);
        let QueryResult::Vector(answered) = answer(given) else {
            panic!("not a vector");
        };
        assert_eq!(answered.len(), 1);
        assert_eq!(answered[0].1.milli(), 2000);
        assert_eq!(answered[0].1.timestamp.as_millisecond(), 1500);
        assert_eq!(
            answer(Given::Scalar(sample(f64::NAN))),
            QueryResult::Vector(vec![])
        );
    }
}
