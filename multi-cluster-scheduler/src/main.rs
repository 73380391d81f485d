//! The scheduler as a process: flags, health, leadership, and a graceful stop.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use federation::operator::network::Network;
use federation::operator::process::Process;
use multi_cluster_scheduler::{Args, Context, DEFAULT_PORT, Metrics, lead};
use prometheus_client::registry::Registry;

// One thread: decisions are made in the order of the queue, and the rest is waiting.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Box::pin(serve_hub(Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("multi-cluster-scheduler: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_hub(args: Args) -> anyhow::Result<()> {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let process = Process::start(
        "multi-cluster-scheduler",
        &args.common,
        DEFAULT_PORT,
        registry,
    )
    .await?;
    let context = Context {
        network: Network::default(),
        hub: process.hub.config.clone(),
        hub_context: process.hub.context.clone(),
        member_contexts: args.member_contexts.clone(),
        identity: process.identity.clone(),
        leadership: process.leadership.clone(),
        options: args.options(),
        clock: process.clock.clone(),
        metrics,
        health: process.health.clone(),
        traffic: args.traffic().context("--prometheus-url")?,
        proximity: args.proximity().context("--serf-auth-file")?,
    };
    let worked = Box::pin(lead(context, process.stop.clone())).await;
    process.end().await?;
    Ok(worked?)
}
