//! The autoscaler as a process: flags, health, leadership, and a graceful stop.

use anyhow::Context as _;
use federation::operator::network::Network;
use federation::operator::process::Process;
use prometheus_client::registry::Registry;

use crate::{Args, Context, DEFAULT_PORT, Metrics, lead};

/// Serves the hub that the flags name until a signal comes, or until another copy leads.
pub async fn serve(args: Args) -> anyhow::Result<()> {
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
    let ended = process.end().await;
    worked?;
    Ok(ended?)
}
