//! The autoscaler as a process: flags, health, leadership, and a graceful stop.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use federation::operator::args::HubAccess;
use federation::operator::clock::{SharedClock, WallClock};
use federation::operator::http::{Health, bind, serve};
use federation::operator::leader::{Election, Leadership};
use federation::operator::network::Network;
use federation::operator::{signals, telemetry};
use multi_cluster_hpa::{Args, Context, DEFAULT_PORT, Metrics, lead};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

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
    let clock: SharedClock = Arc::new(WallClock);
    telemetry::init(
        args.common.log_format,
        &args.common.log_level,
        clock.clone(),
    )?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();

    let stop = signals::stop_on_signal()?;
    let HubAccess { config: hub, .. } = args.common.hub().await?;
    let health = Health::new(&["hub", "members"]);
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let listener = bind(args.common.listen_or(DEFAULT_PORT)).await?;
    let server = tokio::spawn(serve(
        listener,
        health.clone(),
        Arc::new(registry),
        stop.clone(),
    ));

    let election = args.common.election("multi-cluster-hpa")?;
    let identity = election
        .as_ref()
        .map_or("multi-cluster-hpa", |options| &options.identity)
        .to_owned();
    // The lease is given back when the work has ended, however it ended, and not before.
    let term = CancellationToken::new();
    let (leadership, election) = match election {
        Some(options) => {
            let client = kube::Client::try_from(hub.clone())?;
            let (election, leadership) = Election::new(client, options, clock.clone());
            (leadership, Some(tokio::spawn(election.run(term.clone()))))
        }
        None => (Leadership::always(), None),
    };
    let context = Context {
        network: Network::default(),
        hub,
        identity,
        leadership,
        options: args.options(),
        clock,
        metrics,
        health,
        prometheus: args.prometheus().context("--prometheus-url")?,
    };
    let worked = Box::pin(lead(context, stop.clone())).await;
    stop.cancel();
    term.cancel();
    if let Some(election) = election {
        election.await?;
    }
    server.await??;
    Ok(worked?)
}
