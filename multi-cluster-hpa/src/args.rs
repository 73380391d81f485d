//! The flags.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use federation::members::Kubeconfig;
use federation::operator::args::{CommonArgs, duration};
use federation::operator::prometheus::PrometheusArgs;
use federation::prometheus::PrometheusError;
use jiff::SignedDuration;

use crate::decision::Defaults;
use crate::operator::Options;
use crate::source::{MetricSource, PrometheusSource};

/// The port of /healthz, /readyz and /metrics; each operator has its own.
pub const DEFAULT_PORT: u16 = 9441;

/// The bytes per second that the pods of a namespace receive.
const TRAFFIC_QUERY: &str = "sum by (cluster_name, pod) \
    (rate(container_network_receive_bytes_total{namespace=\"{namespace}\"}[1m]))";

/// Scales multi-cluster deployments from metrics.
///
/// It serves the hub, the cluster that the kubeconfig's current context names, and reads the pods
/// and `metrics.k8s.io` of the member clusters (see `kubectl get memberclusters`, which the
/// scheduler keeps). Metrics of other types need a Prometheus that sees all clusters.
#[derive(Debug, Parser)]
#[command(
    name = "multi-cluster-hpa",
    version,
    max_term_width = 100,
    args_override_self = true
)]
pub struct Args {
    /// What every operator has.
    #[command(flatten)]
    pub common: CommonArgs,

    /// The time between two evaluations of an autoscaler that has no evaluationIntervalSeconds
    #[arg(long, env = "MCK8S_INTERVAL", value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub interval: Duration,

    /// How long a scale-down waits for a higher proposal, where `behavior` does not say it
    #[arg(long, env = "MCK8S_DOWNSCALE_STABILIZATION", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub downscale_stabilization: Duration,

    /// How far a metric may be off its target without a change, as a part of the target, where
    /// `behavior` does not say it
    #[arg(long, env = "MCK8S_TOLERANCE", value_name = "PART", default_value = "0.1", value_parser = tolerance)]
    pub tolerance: f64,

    /// How long after a pod's start its CPU counts only while it is ready
    #[arg(long, env = "MCK8S_CPU_INITIALIZATION_PERIOD", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub cpu_initialization_period: Duration,

    /// A pod that became unready this soon after its start has never been ready
    #[arg(long, env = "MCK8S_INITIAL_READINESS_DELAY", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub initial_readiness_delay: Duration,

    /// A pod's usage that has not been measured anew for this long is missing
    #[arg(long, env = "MCK8S_MAX_METRIC_AGE", value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub max_metric_age: Duration,

    /// The longest that one call to the hub, to a member or to Prometheus may take
    #[arg(long, env = "MCK8S_DEADLINE", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub deadline: Duration,

    /// Autoscalers that are written at the same time, and questions to one server at the same time
    #[arg(
        long,
        env = "MCK8S_CONCURRENT_SYNCS",
        value_name = "NUMBER",
        default_value = "64"
    )]
    pub concurrent_syncs: NonZeroUsize,

    /// Prometheus, for metrics that are not of resources.
    #[command(flatten)]
    pub prometheus: PrometheusArgs,

    /// `PromQL` for what the pods of a namespace receive, by `cluster_name` and `pod`, for
    /// `distribution: Traffic`; {namespace} is filled in
    #[arg(long, env = "MCK8S_POD_TRAFFIC_QUERY", value_name = "PROMQL", default_value = TRAFFIC_QUERY)]
    pub traffic_query: String,
}

impl Args {
    /// How the operator works.
    pub fn options(&self) -> Options {
        let signed = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Options {
            kubeconfig: self.common.kubeconfig.clone().map(Kubeconfig::at),
            access: self.common.access.rules(),
            interval: self.interval,
            defaults: Defaults {
                tolerance: self.tolerance,
                downscale_stabilization: signed(self.downscale_stabilization),
                cpu_initialization_period: signed(self.cpu_initialization_period),
                initial_readiness_delay: signed(self.initial_readiness_delay),
            },
            deadline: self.deadline,
            longest_age: self.max_metric_age,
            traffic_query: self.traffic_query.clone(),
            parallel: self.concurrent_syncs.get(),
        }
    }

    /// What answers queries, if anything does.
    pub fn prometheus(&self) -> Result<Option<Arc<dyn MetricSource>>, PrometheusError> {
        let server = self.prometheus.server(self.deadline)?;
        Ok(server.map(|server| Arc::new(PrometheusSource::new(server)) as Arc<dyn MetricSource>))
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    let part = text.parse::<f64>().ok();
    let part = part.filter(|part| (0.0..1.0).contains(part));
    part.ok_or_else(|| "write a part from 0 up to 1, for example 0.1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_kubernetes() {
        let options = Args::parse_from(["multi-cluster-hpa"]).options();
        assert_eq!(options.defaults, Defaults::default());
        assert_eq!(options.interval, Duration::from_secs(15));
    }

    #[test]
    fn a_tolerance_is_a_part() {
        assert_eq!(tolerance("0.05"), Ok(0.05));
        for wrong in ["-0.1", "1", "NaN", "10%"] {
            assert!(tolerance(wrong).unwrap_err().contains("0.1"));
        }
    }
}
