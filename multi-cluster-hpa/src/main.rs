//! The autoscaler as a process.

use std::process::ExitCode;

use multi_cluster_hpa::MultiClusterHpa;

fn main() -> ExitCode {
    federation::operator::process::main::<MultiClusterHpa>()
}
