//! The provisioner as a process.

use std::process::ExitCode;

use cloud_provisioner_autoscaler::CloudProvisionerAutoscaler;

fn main() -> ExitCode {
    federation::operator::process::main::<CloudProvisionerAutoscaler>()
}
