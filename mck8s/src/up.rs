//! `mck8s up`: a hub with the CRDs, simulated members, and the operators, in one process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use clap::Parser as _;
use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Host, Options, Tls, User};
use federation::operator::clock::{SharedClock, WallClock};
use federation::operator::http::Health;
use federation::operator::leader::Leadership;
use federation::operator::network::Network;
use federation::operator::{signals, telemetry};
use kube::Client;
use lab::access;
use lab::simulated::{Cluster, Clusters};
use multi_cluster_scheduler::Metrics;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::board;

/// The name of the hub: its context, and its path prefix.
const HUB: &str = "hub";

/// How it is shaped.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where data, certificates and the kubeconfig are kept
    #[arg(long, default_value = ".mck8s", value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Simulated members
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Nodes of each member
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// Cores of each node
    #[arg(long, default_value = "4")]
    cpu: String,
    /// Memory of each node
    #[arg(long, default_value = "16Gi")]
    memory: String,
    /// YAML file with clusters of different sizes, regions, delays and failures
    #[arg(long, value_name = "FILE", conflicts_with_all = ["members", "nodes", "cpu", "memory"])]
    config: Option<PathBuf>,
    /// Address that the API is served on; only this machine reaches it unless you say otherwise
    #[arg(long, default_value = "127.0.0.1:7443", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// What is logged
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    log_level: String,
}

/// Runs until Ctrl-C.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let started = Instant::now();
    let clock: SharedClock = Arc::new(WallClock);
    telemetry::init(
        telemetry::LogFormat::Text,
        &arguments.log_level,
        clock.clone(),
    )?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let clusters = arguments.clusters()?;
    let folder = &arguments.data_dir;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let token = access::token(folder);
    let token = token.with_context(|| format!("the token in {}", folder.display()))?;
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: choose another with --listen",
            arguments.listen
        )
    })?;
    let address = listener.local_addr()?;
    let host = Host::new();

    let hub = plane(folder, HUB, &token).await?;
    host.insert(HUB, hub.router());
    let installed = access::install_crds(&client(&hub)).await;
    installed.context("the hub's CRDs")?;
    let mut members = Vec::new();
    for member in clusters.members {
        let name = member.name;
        let plane = plane(folder, &name, &token).await?;
        host.insert(&name, plane.router());
        let cluster = Cluster::start(&name, client(&plane), member.options, 0, clock.clone());
        let cluster = cluster.await.with_context(|| format!("member {name}"))?;
        members.push((name, plane, cluster));
    }

    let ip = address.ip().to_string();
    let tls = Tls::open(&folder.join("tls"), &["localhost", &ip])?;
    let kubeconfig = folder.join("kubeconfig");
    let names: Vec<&str> = std::iter::once(HUB)
        .chain(members.iter().map(|(name, ..)| name.as_str()))
        .collect();
    let servers = names.iter();
    let servers = servers.map(|name| (*name, format!("https://{address}/clusters/{name}")));
    let servers: Vec<_> = servers.collect();
    let text = access::kubeconfig(&servers, tls.authority(), &token);
    access::write_secret(&kubeconfig, &text)
        .with_context(|| format!("cannot write {}", kubeconfig.display()))?;
    let stop = signals::stop_on_signal()?;
    let ended = stop.clone();
    let serving = tokio::spawn(async move {
        control_plane::serve(listener, Some(&tls), host.router(), ended.cancelled_owned()).await
    });
    let scheduling = tokio::task::spawn_local(schedule(kubeconfig.clone(), clock, stop.clone()));
    greet(&kubeconfig, names.len() - 1, started);
    let hub_client = client(&hub);
    tokio::select! {
        () = board::show(&hub_client) => {}
        () = stop.cancelled() => {}
        ended = scheduling => ended??,
    }
    stop.cancel();
    serving.await??;
    Ok(())
}

impl Arguments {
    fn clusters(&self) -> Result<Clusters> {
        if let Some(file) = &self.config {
            return Ok(Clusters::read(file)?);
        }
        let text = format!(
            "clusters: {}\ndefaults: {{nodes: {}, cpu: {:?}, memory: {:?}}}",
            self.members, self.nodes, self.cpu, self.memory
        );
        Ok(Clusters::parse(&text, Path::new("the flags"))?)
    }
}

/// A control plane that keeps its data in the folder.
async fn plane(folder: &Path, name: &str, token: &str) -> Result<ControlPlane> {
    let folder = folder.join("data").join(name);
    let store = Store::open(&folder, StoreOptions::default())
        .with_context(|| format!("the data of {name} in {}", folder.display()))?;
    let options = Options {
        tokens: [(token.to_owned(), User::admin())].into(),
        ..Options::default()
    };
    Ok(ControlPlane::start(store, options).await?)
}

/// A client within the process.
fn client(plane: &ControlPlane) -> Client {
    Client::new(plane.router_for(User::admin()), "default")
}

/// The scheduler, as in a process of its own.
async fn schedule(kubeconfig: PathBuf, clock: SharedClock, stop: CancellationToken) -> Result<()> {
    let flag = format!("--kubeconfig={}", kubeconfig.display());
    let args = multi_cluster_scheduler::Args::try_parse_from(["scheduler", &flag])?;
    let hub = args.common.hub().await?;
    let context = multi_cluster_scheduler::Context {
        network: Network::default(),
        hub: hub.config,
        hub_context: hub.context,
        member_contexts: None,
        identity: "mck8s-up".to_owned(),
        leadership: Leadership::always(),
        options: args.options(),
        clock,
        metrics: Metrics::new(&mut Registry::default()),
        health: Health::new(&["hub", "members"]),
        traffic: None,
        proximity: None,
    };
    let result = Box::pin(multi_cluster_scheduler::run(context, stop)).await;
    result.map_err(|error| anyhow!("the scheduler: {error}"))
}

fn greet(kubeconfig: &Path, members: usize, started: Instant) {
    let file = kubeconfig.display();
    println!(
        "Up in {:.2} s: a hub and {members} members.\n\
         Kubeconfig: {file} (contexts: {HUB}, then the members; {HUB} is the current one)\n\n\
         Try, in another terminal:\n  \
         export KUBECONFIG={file}\n  \
         kubectl apply -f manifests/examples/02_example_deployment_worst_fit.yaml\n  \
         kubectl get mcd,mcl\n  \
         kubectl describe mcd hello\n  \
         kubectl --context cluster1 get pods\n\n\
         Ctrl-C ends it; the data stay.\n",
        started.elapsed().as_secs_f64()
    );
}
