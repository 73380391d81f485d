//! The scheduler as a process.

use std::process::ExitCode;

use clap::Parser as _;
use federation::operator::process::run;
use multi_cluster_scheduler::{Args, serve};

fn main() -> ExitCode {
    run("multi-cluster-scheduler", Box::pin(serve(Args::parse())))
}
