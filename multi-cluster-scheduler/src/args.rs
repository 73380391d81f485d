//! The flags.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use federation::members::Kubeconfig;
use federation::operator::args::{CommonArgs, duration};
use federation::operator::prometheus::PrometheusArgs;
use federation::prometheus::PrometheusError;
use federation::proximity::serf::AuthKey;
use federation::traffic::{Traffic, TrafficQueries, TrafficSource};

use crate::index::FailoverSettings;
use crate::runtime::Options;
use crate::sources::ProximitySource;

/// The port of /healthz, /readyz and /metrics; each operator has its own.
pub const DEFAULT_PORT: u16 = 9440;

/// The longest that one query for traffic may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Places multi-cluster deployments, jobs and services on member clusters.
///
/// It serves the hub, the cluster that the kubeconfig's current context names. Every other context
/// of that file becomes a member cluster (see `kubectl get memberclusters`). Prometheus and serf
/// are optional: without them the policies that need them fall back to `worst_fit` and say so.
#[derive(Debug, Parser)]
#[command(
    name = "multi-cluster-scheduler",
    version,
    max_term_width = 100,
    args_override_self = true
)]
pub struct Args {
    /// What every operator has.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Contexts of the kubeconfig that are members, comma-separated [default: all but the hub's]
    #[arg(
        long,
        env = "MCK8S_MEMBER_CONTEXTS",
        value_name = "CONTEXTS",
        value_delimiter = ','
    )]
    pub member_contexts: Option<Vec<String>>,

    /// How long a member may be silent before its replicas are placed elsewhere
    #[arg(long, env = "MCK8S_CLUSTER_TOLERATION", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub cluster_toleration: Duration,

    /// Silent members whose replicas may be placed elsewhere in a minute; 0 for none
    #[arg(
        long,
        env = "MCK8S_FAILOVER_RATE",
        value_name = "NUMBER",
        default_value = "6"
    )]
    pub failover_rate: u32,

    /// While more than so many per cent of the members are silent, the replicas of none are placed
    /// elsewhere: the fault is rather on the hub's side
    #[arg(long, env = "MCK8S_UNHEALTHY_CLUSTER_THRESHOLD", value_name = "PERCENT", default_value = "55", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub unhealthy_cluster_threshold: u32,

    /// How long a deleted object waits for a member that is silent; afterwards the object goes,
    /// and what is left on that member is collected when it is back
    #[arg(long, env = "MCK8S_DELETION_GRACE", value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub deletion_grace: Duration,

    /// How long a location must have had room before it takes back replicas that run elsewhere
    #[arg(long, env = "MCK8S_RETURN_AFTER", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub return_after: Duration,

    /// How long replicas may be unschedulable on a member before they are placed elsewhere, where
    /// they may be; 0s leaves them
    #[arg(long, env = "MCK8S_UNSCHEDULABLE_AFTER", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub unschedulable_after: Duration,

    /// How long room is held for placed replicas whose pods have not been seen yet
    #[arg(long, env = "MCK8S_RESERVATION", value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub reservation: Duration,

    /// The longest that one call to the hub or to a member may take
    #[arg(long, env = "MCK8S_DEADLINE", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub deadline: Duration,

    /// The time between two looks at a member's health
    #[arg(long, env = "MCK8S_PROBE_INTERVAL", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub probe_interval: Duration,

    /// Objects that are worked on at the same time
    #[arg(
        long,
        env = "MCK8S_CONCURRENT_SYNCS",
        value_name = "NUMBER",
        default_value = "16"
    )]
    pub concurrent_syncs: NonZeroUsize,

    /// Deliveries to one member at the same time
    #[arg(
        long,
        env = "MCK8S_CONCURRENT_MEMBER_SYNCS",
        value_name = "NUMBER",
        default_value = "16"
    )]
    pub concurrent_member_syncs: NonZeroUsize,

    /// Prometheus, for `most_traffic`.
    #[command(flatten)]
    pub prometheus: PrometheusArgs,

    /// `PromQL` for the bytes per second that each cluster receives, by `cluster_name`
    #[arg(long, env = "MCK8S_TRAFFIC_QUERY", value_name = "PROMQL", default_value_t = TrafficQueries::default().creation)]
    pub traffic_query: String,

    /// `PromQL` for the bytes per second that an application's pods receive, by `cluster_name`;
    /// {namespace} and {pods} are filled in
    #[arg(long, env = "MCK8S_TRAFFIC_UPDATE_QUERY", value_name = "PROMQL", default_value_t = TrafficQueries::default().update)]
    pub traffic_update_query: String,

    /// RPC address of a serf agent whose members are the clusters, for round-trip times
    #[arg(
        long,
        env = "MCK8S_SERF",
        value_name = "ADDRESS:PORT",
        conflicts_with = "rtt_matrix"
    )]
    pub serf: Option<SocketAddr>,

    /// File with the auth key of the serf agent
    #[arg(
        long,
        env = "MCK8S_SERF_AUTH_FILE",
        value_name = "FILE",
        requires = "serf"
    )]
    pub serf_auth_file: Option<PathBuf>,

    /// CSV file with round-trip times between clusters in milliseconds (a matrix with names in the
    /// first row and column, or rows "from,to,milliseconds")
    #[arg(long, env = "MCK8S_RTT_MATRIX", value_name = "FILE")]
    pub rtt_matrix: Option<PathBuf>,
}

impl Args {
    /// How the scheduler works.
    pub fn options(&self) -> Options {
        Options {
            kubeconfig: self.common.kubeconfig.clone().map(Kubeconfig::at),
            access: self.common.access.rules(),
            failover: FailoverSettings {
                toleration: self.cluster_toleration,
                per_minute: self.failover_rate,
                threshold: self.unhealthy_cluster_threshold,
            },
            deletion_grace: self.deletion_grace,
            return_after: self.return_after,
            unschedulable_after: self.unschedulable_after,
            reservation: self.reservation,
            deadline: self.deadline,
            probe_interval: self.probe_interval,
            member_parallel: self.concurrent_member_syncs.get(),
            parallel: self.concurrent_syncs.get(),
            report_delay: Duration::from_millis(300),
        }
    }

    /// Where traffic comes from, if anywhere.
    pub fn traffic(&self) -> Result<Option<Arc<dyn Traffic>>, PrometheusError> {
        let Some(server) = self.prometheus.server(QUERY_TIMEOUT)? else {
            return Ok(None);
        };
        let queries = TrafficQueries {
            creation: self.traffic_query.clone(),
            update: self.traffic_update_query.clone(),
            ..TrafficQueries::default()
        };
        Ok(Some(Arc::new(TrafficSource::new(server, queries))))
    }

    /// Where round-trip times come from, if anywhere.
    pub fn proximity(&self) -> std::io::Result<Option<ProximitySource>> {
        if let Some(address) = self.serf {
            let key = self
                .serf_auth_file
                .as_ref()
                .map(std::fs::read_to_string)
                .transpose()?;
            let key = key.map(|key| AuthKey::new(key.trim()));
            return Ok(Some(ProximitySource::Serf {
                address: address.to_string(),
                key,
            }));
        }
        Ok(self.rtt_matrix.clone().map(ProximitySource::Matrix))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_fit_together() {
        super::Args::command().debug_assert();
    }
}
