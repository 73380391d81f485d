//! What autoscalers cost: processor time of the operator, and queries to Prometheus.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::federation::{Federation, MEMBERS};
use super::reaction::INTERVAL;
use crate::bench::Figure;
use crate::bench::procfs::{processor_time, resident};

/// The share of one core that all autoscalers together may take.
const SHARE: f64 = 0.1;

/// What a span of time cost.
pub(super) struct Cost {
    autoscalers: usize,
    seconds: f64,
    /// Of one core.
    share: f64,
    /// A second.
    evaluations: f64,
    /// A second, to API servers.
    requests: f64,
    /// Bytes of memory at the end.
    resident: u64,
}

/// A span of time that is being measured.
pub(super) struct Meter {
    begun: Instant,
    processor: Duration,
    evaluations: f64,
    requests: f64,
}

impl Meter {
    /// Begins now.
    pub(super) async fn start(federation: &Federation) -> Result<Self> {
        let operator = &federation.autoscaler;
        Ok(Self {
            evaluations: operator.sum(EVALUATIONS).await?,
            requests: operator.requests().await?,
            processor: processor_time(&[operator.pid()])?,
            begun: Instant::now(),
        })
    }

    /// What it cost until now.
    pub(super) async fn stop(self, federation: &Federation) -> Result<Cost> {
        let operator = &federation.autoscaler;
        let seconds = self.begun.elapsed().as_secs_f64();
        let processor = processor_time(&[operator.pid()])?.saturating_sub(self.processor);
        Ok(Cost {
            autoscalers: federation.size,
            seconds,
            share: processor.as_secs_f64() / seconds,
            evaluations: (operator.sum(EVALUATIONS).await? - self.evaluations) / seconds,
            requests: (operator.requests().await? - self.requests) / seconds,
            resident: resident(operator.pid())?,
        })
    }
}

const EVALUATIONS: &str = "mck8s_hpa_evaluations_total";

impl Cost {
    /// In words; `what` says what happened meanwhile. A target that was met by evaluating less than
    /// is asked for is not met.
    pub(super) fn figure(&self, what: &str) -> Figure {
        let asked = self.autoscalers as f64 / INTERVAL.as_secs_f64();
        // One round may be partly outside.
        let round = self.autoscalers as f64 / self.seconds;
        Figure {
            name: format!(
                "processor time of the operator, {} autoscalers over {MEMBERS} clusters, {what}",
                self.autoscalers
            ),
            measured: format!(
                "{:.1} % of one core; {:.1} evaluations/s, {:.1} API requests/s, {} MB resident",
                100.0 * self.share,
                self.evaluations,
                self.requests,
                self.resident / 1_000_000,
            ),
            target: format!("< {:.0} % with {asked:.1} evaluations/s", 100.0 * SHARE),
            met: self.share < SHARE && self.evaluations + round > asked,
        }
    }
}

/// Queries that Prometheus is asked in each of so many rounds of evaluations, of as many autoscalers
/// as there are now. New ones are evaluated as soon as they are seen, so that does not count.
pub(super) async fn queries(federation: &Federation, rounds: u32) -> f64 {
    tokio::time::sleep(INTERVAL).await;
    let before = federation.prometheus.asked();
    tokio::time::sleep(INTERVAL * rounds).await;
    let asked = federation.prometheus.asked() - before;
    asked as f64 / f64::from(rounds)
}
