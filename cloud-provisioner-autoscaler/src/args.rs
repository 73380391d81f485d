//! The flags.

use std::time::Duration;

use federation::operator::access_args::AccessNamespaces;
use federation::operator::args::{DEFAULT_LEASE_NAMESPACE, duration};
use federation::operator::context::OperatorContext;

use crate::controller::Options;

/// The flags of the provisioner besides those of every operator.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The namespace on the hub of the Cluster API objects and of the Secrets with the access to clouds
    #[arg(
        long,
        env = "MCK8S_CLOUD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "mck8s-cloud"
    )]
    pub cloud_namespace: String,

    /// How often the clusters of a `CloudProvisioner` are looked at while nothing changes
    #[arg(long, env = "MCK8S_SCAN_INTERVAL", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub scan_interval: Duration,

    /// How long a flavor that was not ready in time is not tried again
    #[arg(long, env = "MCK8S_FLAVOR_BACKOFF", value_name = "TIME", default_value = "30m", value_parser = duration)]
    pub flavor_backoff: Duration,
}

impl Args {
    /// How the provisioner works.
    pub(crate) fn options(self, context: &OperatorContext) -> Options {
        // Where the scheduler reads access, too.
        let access = match &context.access.namespaces {
            AccessNamespaces::Only(names) => names.first().cloned(),
            AccessNamespaces::All => None,
        };
        Options {
            cloud_namespace: self.cloud_namespace,
            access_namespace: access.unwrap_or_else(|| DEFAULT_LEASE_NAMESPACE.to_owned()),
            scan_interval: self.scan_interval,
            flavor_backoff: self.flavor_backoff,
            deadline: context.deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use federation::operator::frame::CommandLine;

    use crate::CloudProvisionerAutoscaler;

    #[test]
    fn the_flags_fit_together() {
        CommandLine::command_of::<CloudProvisionerAutoscaler>().debug_assert();
    }
}
