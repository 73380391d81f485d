//! The flags.

use std::sync::Arc;
use std::time::Duration;

use federation::operator::args::duration;
use federation::operator::context::OperatorContext;
use federation::operator::prometheus::PrometheusArgs;
use federation::prometheus::PrometheusError;
use jiff::SignedDuration;
use tracing::warn;

use crate::controller::Options;
use crate::decision::Defaults;
use crate::source::{MetricSource, PrometheusSource};

/// The bytes per second that the pods of a namespace receive.
const POD_TRAFFIC_QUERY: &str = "sum by (cluster_name, pod) \
    (rate(container_network_receive_bytes_total{namespace=\"{namespace}\"}[1m]))";

/// The flags of the autoscaler besides those of every operator.
#[derive(Debug, clap::Args)]
pub struct Args {
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

    /// A pod's usage that has not been measured again for this long is missing
    #[arg(long, env = "MCK8S_MAX_METRIC_AGE", value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub max_metric_age: Duration,

    /// Prometheus, for metrics that are not of resources.
    #[command(flatten)]
    pub prometheus: PrometheusArgs,

    /// `PromQL` for what the pods of a namespace receive, by `cluster_name` and `pod`, for
    /// `distribution: Traffic`; {namespace} is filled in
    #[arg(long, env = "MCK8S_POD_TRAFFIC_QUERY", value_name = "PROMQL", default_value = POD_TRAFFIC_QUERY)]
    pub pod_traffic_query: String,

    /// The former name of --pod-traffic-query; the scheduler's flag of that name is another query.
    #[arg(long, hide = true, value_name = "PROMQL")]
    traffic_query: Option<String>,
}

impl Args {
    /// How the autoscaler works.
    pub(crate) fn options(&self, context: &OperatorContext) -> Options {
        Options {
            interval: self.interval,
            defaults: self.defaults(),
            deadline: context.deadline,
            longest_age: self.max_metric_age,
            pod_traffic_query: self.pod_traffic_query().to_owned(),
            concurrent_syncs: context.concurrent_syncs,
        }
    }

    /// What holds for autoscalers that do not say it.
    fn defaults(&self) -> Defaults {
        let signed = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Defaults {
            tolerance: self.tolerance,
            downscale_stabilization: signed(self.downscale_stabilization),
            cpu_initialization_period: signed(self.cpu_initialization_period),
            initial_readiness_delay: signed(self.initial_readiness_delay),
        }
    }

    fn pod_traffic_query(&self) -> &str {
        let Some(query) = &self.traffic_query else {
            return &self.pod_traffic_query;
        };
        warn!("--traffic-query is deprecated for this operator: write --pod-traffic-query");
        query
    }

    /// What answers queries, if anything does; within a deadline.
    pub(crate) fn prometheus(
        &self,
        deadline: Duration,
    ) -> Result<Option<Arc<dyn MetricSource>>, PrometheusError> {
        let server = self.prometheus.server(deadline)?;
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
    use federation::operator::frame::CommandLine;

    use super::*;
    use crate::MultiClusterHpa;

    fn read(flags: &[&str]) -> CommandLine<Args> {
        let name = ["multi-cluster-hpa"];
        CommandLine::read::<MultiClusterHpa>([&name, flags].concat()).unwrap()
    }

    #[test]
    fn the_flags_fit_together() {
        CommandLine::command_of::<MultiClusterHpa>().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_kubernetes() {
        let flags = read(&[]);
        assert_eq!(flags.own.defaults(), Defaults::default());
        assert_eq!(flags.own.interval, Duration::from_secs(15));
        assert_eq!(flags.common.deadline, Duration::from_secs(5));
        assert_eq!(flags.common.concurrent_syncs.get(), 64);
    }

    #[test]
    fn the_former_name_of_the_traffic_query_is_accepted() {
        assert_eq!(read(&[]).own.pod_traffic_query(), POD_TRAFFIC_QUERY);
        let former = read(&["--traffic-query=up"]);
        assert_eq!(former.own.pod_traffic_query(), "up");
        let current = read(&["--pod-traffic-query=up"]);
        assert_eq!(current.own.pod_traffic_query(), "up");
    }

    #[test]
    fn a_tolerance_is_a_part() {
        assert_eq!(tolerance("0.05"), Ok(0.05));
        for wrong in ["-0.1", "1", "NaN", "10%"] {
            assert!(tolerance(wrong).unwrap_err().contains("0.1"));
        }
    }
}
