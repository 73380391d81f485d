//! The scheduler as a process.

use std::process::ExitCode;

use multi_cluster_scheduler::MultiClusterScheduler;

fn main() -> ExitCode {
    federation::operator::process::main::<MultiClusterScheduler>()
}
