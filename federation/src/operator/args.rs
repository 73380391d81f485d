//! The flags that every operator has.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use jiff::SignedDuration;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::access_args::AccessArgs;
use super::leader::ElectionOptions;
use super::redacted::redacted_message;
use super::telemetry::LogFormat;

/// The namespace on the hub where leases are kept, unless told otherwise.
pub const DEFAULT_LEASE_NAMESPACE: &str = "mck8s-system";

/// Flags of every operator. Each has an environment variable `MCK8S_` + its name.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// File with the access to the hub and, as further contexts, to the members.
    ///
    /// Without it, an operator that runs in a pod uses the pod's service account; anywhere else
    /// it is an error. ~/.kube/config and KUBECONFIG are never read.
    #[arg(long, env = "MCK8S_KUBECONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,

    /// Which context of the kubeconfig is the hub [default: its current context]
    #[arg(
        long,
        env = "MCK8S_HUB_CONTEXT",
        value_name = "CONTEXT",
        requires = "kubeconfig"
    )]
    pub hub_context: Option<String>,

    /// Access to members that comes from data on the hub.
    #[command(flatten)]
    pub access: AccessArgs,

    /// The longest that one call to the hub, to a member or to another server may take
    #[arg(long, env = "MCK8S_DEADLINE", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub deadline: Duration,

    /// Objects that are reconciled at the same time
    #[arg(
        long,
        env = "MCK8S_CONCURRENT_SYNCS",
        value_name = "NUMBER",
        default_value = "16"
    )]
    pub concurrent_syncs: NonZeroUsize,

    /// Elect one leader among the running copies of this operator; only the leader acts.
    ///
    /// Turn it off only where there is surely one copy.
    #[arg(long, env = "MCK8S_LEADER_ELECT", value_name = "BOOL", default_value_t = true,
          action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub leader_elect: bool,

    /// Namespace on the hub that holds the leases; it is created if it is missing
    #[arg(long, env = "MCK8S_LEASE_NAMESPACE", value_name = "NAMESPACE", default_value = DEFAULT_LEASE_NAMESPACE)]
    pub lease_namespace: String,

    /// How long the others wait for a leader that is silent before one of them takes over
    #[arg(long, env = "MCK8S_LEASE_DURATION", value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,

    /// How often the leader renews its lease; at most a third of the lease's duration
    #[arg(long, env = "MCK8S_LEASE_RENEW", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub lease_renew: Duration,

    /// Name of this copy in the lease; two running copies must never share one
    /// [default: host name, process id and a random part]
    #[arg(long, env = "MCK8S_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,

    /// Address to serve /healthz, /readyz and /metrics on [default: all IPv4 addresses, a port of each operator's own]
    #[arg(long, env = "MCK8S_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Form of the log lines
    #[arg(
        long,
        env = "MCK8S_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    pub log_format: LogFormat,

    /// How much to log: error, warn, info, debug or trace, or by module as in "info,federation=debug"
    #[arg(
        long,
        env = "MCK8S_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log_level: String,

    /// OTLP receiver for traces over HTTP, e.g. <http://collector:4318> [default: none are sent]
    #[arg(long, env = "MCK8S_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

/// Why there is no access to the hub, or no valid lease.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// No kubeconfig was given, and this is not a pod.
    #[error(
        "don't know where the hub is: give --kubeconfig=FILE (or MCK8S_KUBECONFIG); only inside a pod it can be left out"
    )]
    NoHub,
    /// The pod's service account can't be used.
    #[error(
        "can't use this pod's service account for the hub: {0}; is automountServiceAccountToken off?"
    )]
    InCluster(#[source] kube::config::InClusterError),
    /// The kubeconfig can't be used.
    #[error("can't use --kubeconfig={}{}: {}", file.display(), context.as_ref().map(|name| format!(" with --hub-context={name}")).unwrap_or_default(), redacted_message(source))]
    Kubeconfig {
        /// The file as given.
        file: PathBuf,
        /// The context as given.
        context: Option<String>,
        /// What is wrong with it.
        source: kube::config::KubeconfigError,
    },
    /// A lease that would lapse between two renewals.
    #[error(
        "--lease-renew={renew:?} is too long for --lease-duration={duration:?}: renew at least three times per lease, and give the lease whole seconds"
    )]
    LeaseTimes {
        /// The time between renewals as given.
        renew: Duration,
        /// The lease's duration as given.
        duration: Duration,
    },
}

/// The access to the hub.
#[derive(Clone, Debug)]
pub struct HubAccess {
    /// Client configuration.
    pub config: kube::Config,
    /// The kubeconfig's context that it is from. It stays the hub's when another one becomes the
    /// current.
    pub context: Option<String>,
}

impl CommonArgs {
    /// The access to the hub: the given kubeconfig, or a pod's service account.
    ///
    /// Nothing from a user's ambient configuration is ever touched.
    pub async fn hub(&self) -> Result<HubAccess, ArgsError> {
        let Some(file) = &self.kubeconfig else {
            // What Kubernetes sets in every container, and client-go goes by as well.
            if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
                return Err(ArgsError::NoHub);
            }
            let config = kube::Config::incluster().map_err(ArgsError::InCluster)?;
            return Ok(HubAccess {
                config,
                context: None,
            });
        };
        let failed = |source| ArgsError::Kubeconfig {
            file: file.clone(),
            context: self.hub_context.clone(),
            source,
        };
        let kubeconfig = Kubeconfig::read_from(file).map_err(failed)?;
        let context = (self.hub_context.clone()).or_else(|| kubeconfig.current_context.clone());
        let options = KubeConfigOptions {
            context: context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(failed)?;
        Ok(HubAccess { config, context })
    }

    /// The election for the lease of this name, or `None` with `--leader-elect=false`.
    pub fn election(&self, lease: &str) -> Result<Option<ElectionOptions>, ArgsError> {
        if !self.leader_elect {
            return Ok(None);
        }
        let fits =
            self.lease_renew * 3 <= self.lease_duration && self.lease_duration.subsec_nanos() == 0;
        if !fits {
            return Err(ArgsError::LeaseTimes {
                renew: self.lease_renew,
                duration: self.lease_duration,
            });
        }
        Ok(Some(ElectionOptions {
            namespace: self.lease_namespace.clone(),
            lease: lease.to_owned(),
            identity: self.identity.clone().unwrap_or_else(unique_identity),
            duration: self.lease_duration,
            renew: self.lease_renew,
        }))
    }

    /// The address to serve on: the flag's, or the operator's own port on all IPv4 addresses.
    pub fn listen_or(&self, default_port: u16) -> SocketAddr {
        self.listen
            .unwrap_or_else(|| (std::net::Ipv4Addr::UNSPECIFIED, default_port).into())
    }
}

/// Host name, process id and a random part, as client-go's operators name themselves.
fn unique_identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned());
    // `RandomState` is seeded from the system; enough to tell two processes apart.
    let random = RandomState::new().hash_one(&host) as u32;
    format!("{host}_{}_{random:08x}", std::process::id())
}

/// A positive duration such as `15s` or `1m 30s`, in the "friendly" format of jiff.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text
        .parse::<SignedDuration>()
        .map_err(|error| error.to_string())?;
    Duration::try_from(parsed)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write a time above zero, for example 15s or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Operator {
        #[command(flatten)]
        common: CommonArgs,
    }

    fn parse(flags: &[&str]) -> CommonArgs {
        Operator::try_parse_from([&["operator"], flags].concat())
            .unwrap()
            .common
    }

    #[test]
    fn the_defaults_elect_a_leader() {
        let args = parse(&[]);
        let election = args.election("scheduler").unwrap().unwrap();
        assert_eq!(election.namespace, "mck8s-system");
        assert_eq!(election.duration, Duration::from_secs(15));
        assert_eq!(
            election.identity.split('_').count(),
            3,
            "{}",
            election.identity
        );
        assert_ne!(unique_identity(), unique_identity());
        assert_eq!(args.listen_or(8080).port(), 8080);
    }

    #[test]
    fn the_election_is_a_flag_with_a_value() {
        assert!(
            parse(&["--leader-elect=false"])
                .election("x")
                .unwrap()
                .is_none()
        );
        assert!(parse(&["--leader-elect"]).election("x").unwrap().is_some());
    }

    #[test]
    fn a_lease_that_would_lapse_between_renewals_is_rejected() {
        let args = parse(&["--lease-duration=10s", "--lease-renew=4s"]);
        let error = args.election("x").unwrap_err().to_string();
        assert!(error.contains("--lease-renew=4s"), "{error}");
        assert!(Operator::try_parse_from(["operator", "--lease-renew=0s"]).is_err());
    }

    #[tokio::test]
    async fn without_a_kubeconfig_outside_a_pod_it_asks_for_one() {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            return;
        }
        let error = parse(&[]).hub().await.unwrap_err();
        assert!(error.to_string().contains("--kubeconfig"), "{error}");
    }

    #[tokio::test]
    async fn errors_name_the_file_and_the_context() {
        let file = std::env::temp_dir().join(format!("{}.kubeconfig", unique_identity()));
        std::fs::write(
            &file,
            "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\n",
        )
        .unwrap();
        let mut args = parse(&["--kubeconfig=/nowhere/config"]);
        let error = args.hub().await.unwrap_err().to_string();
        assert!(error.contains("--kubeconfig=/nowhere/config"), "{error}");

        args.kubeconfig = Some(file.clone());
        args.hub_context = Some("fog".to_owned());
        let error = args.hub().await.unwrap_err().to_string();
        assert!(error.contains("--hub-context=fog"), "{error}");
        std::fs::remove_file(file).unwrap();
    }
}
