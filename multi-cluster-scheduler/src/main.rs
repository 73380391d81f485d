//! The scheduler as a process.

use std::process::ExitCode;

use clap::Parser as _;
use multi_cluster_scheduler::{Args, serve};

// One thread: decisions are made in the order of the queue, and the rest is waiting.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Box::pin(serve(Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("multi-cluster-scheduler: {error:#}");
            ExitCode::FAILURE
        }
    }
}
