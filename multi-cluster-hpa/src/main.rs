//! The autoscaler as a process: flags, health, leadership, and a graceful stop.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use federation::operator::network::Network;
use federation::operator::process::Process;
use multi_cluster_hpa::{Args, Context, DEFAULT_PORT, Metrics, lead};
use prometheus_client::registry::Registry;

// One thread: a decision takes microseconds, and the rest is waiting.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Box::pin(serve_hub(Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("multi-cluster-hpa: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_hub(args: Args) -> anyhow::Result<()> {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let process = Process::start("multi-cluster-hpa", &args.common, DEFAULT_PORT, registry).await?;
    let context = Context {
        network: Network::default(),
        hub: process.hub.config.clone(),
        identity: process.identity.clone(),
        leadership: process.leadership.clone(),
        options: args.options(),
        clock: process.clock.clone(),
        metrics,
        health: process.health.clone(),
        prometheus: args.prometheus().context("--prometheus-url")?,
    };
    let worked = Box::pin(lead(context, process.stop.clone())).await;
    process.end().await?;
    Ok(worked?)
}
