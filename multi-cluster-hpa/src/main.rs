//! The autoscaler as a process.

use std::process::ExitCode;

use clap::Parser as _;
use federation::operator::process::run;
use multi_cluster_hpa::{Args, serve};

fn main() -> ExitCode {
    run("multi-cluster-hpa", Box::pin(serve(Args::parse())))
}
