//! `mck8s up`: a hub with the CRDs, simulated members, and the operators, in one process.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use clap::Parser as _;
use control_plane::{ControlPlane, Host, Options, Tls, Tokens, User};
use federation::operator::clock::{SharedClock, WallClock};
use federation::operator::http::Health;
use federation::operator::leader::Leadership;
use federation::operator::network::Network;
use federation::operator::{signals, telemetry};
use futures::future::try_join_all;
use lab::access;
use lab::simulated::{Clusters, Traffic};
use multi_cluster_scheduler::{Metrics, ProximitySource};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::arguments::Arguments;
use crate::folder::Folder;
use crate::member::{Member, client, plane};
use crate::screen::Screen;
use crate::{board, registry};

/// The name of the hub: its context, and its path prefix.
const HUB: &str = "hub";
/// How long the scheduler may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// Runs until Ctrl-C.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let started = Instant::now();
    let clock: SharedClock = Arc::new(WallClock);
    let screen = Screen::find();
    log(&arguments.log_level, &clock, screen.as_ref())?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let clusters = arguments.clusters()?;
    let folder = Arc::new(Folder::open(&arguments.data_dir)?);
    let listener = listen(arguments.listen).await?;
    let address = listener.local_addr()?;

    let token = access::token(folder.path());
    let token = token.with_context(|| format!("the token in {}", folder.path().display()))?;
    let tokens: Tokens = [(token.clone(), User::admin())].into();
    let regions = regions(&clusters);
    let times = clusters.round_trip_times.clone();
    let (hub, members) = start(clusters, &folder, &tokens, &clock).await?;
    let host = Host::new();
    host.insert(HUB, hub.router());
    for member in &members {
        host.insert(&member.name, member.plane.router());
    }

    let tls = Tls::open(&folder.join("tls"), &names(address, &arguments.tls_san))?;
    let kubeconfig = folder.join("kubeconfig");
    let contexts: Vec<&str> = std::iter::once(HUB)
        .chain(members.iter().map(|member| member.name.as_str()))
        .collect();
    let server = |name| format!("https://{}/clusters/{name}", reached_here(address));
    let servers: Vec<_> = contexts.iter().map(|name| (*name, server(*name))).collect();
    let text = access::kubeconfig(&servers, tls.authority(), &token);
    access::write_secret(&kubeconfig, &text)
        .with_context(|| format!("cannot write {}", kubeconfig.display()))?;
    registry::announce(&client(&hub), &regions).await?;
    let stop = signals::stop_on_signal()?;
    let closed = CancellationToken::new();
    let ended = closed.clone();
    let serving = tokio::spawn(async move {
        control_plane::serve(listener, Some(&tls), host.router(), ended.cancelled_owned()).await
    });
    let traffic = members
        .iter()
        .map(|member| (member.name.clone(), member.metrics.clone()));
    let sources = Sources {
        traffic: Traffic::of(traffic.collect()),
        proximity: Some(times)
            .filter(|times| !times.is_empty())
            .map(ProximitySource::Fixed),
    };
    let health = Health::new(&["hub", "members"]);
    let scheduler = schedule(
        kubeconfig.clone(),
        sources,
        health.clone(),
        clock,
        stop.clone(),
    );
    let mut scheduling = tokio::task::spawn_local(scheduler);
    let showing = async {
        registry::until_ready(&health).await;
        greet(&kubeconfig, &contexts, started);
        say_more(&folder, &contexts, address);
        // On another thread than the operators.
        tokio::spawn(board::show(hub.clone(), screen)).await
    };
    tokio::select! {
        shown = showing => shown??,
        () = stop.cancelled() => {}
        ended = &mut scheduling => ended??,
    }
    stop.cancel();
    // The scheduler ends what it is at before the API servers go.
    if !scheduling.is_finished() {
        tokio::time::timeout(GRACE, scheduling).await.ok();
    }
    closed.cancel();
    serving.await??;
    Ok(())
}

/// Sends the log to standard error, and keeps it off what is drawn on the terminal.
fn log(filter: &str, clock: &SharedClock, screen: Option<&Screen>) -> Result<()> {
    let (format, clock) = (telemetry::LogFormat::Text, Arc::clone(clock));
    match screen {
        Some(screen) => telemetry::init_to(format, filter, clock, screen.clone())?,
        None => telemetry::init(format, filter, clock)?,
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}: choose another address with --listen, as 127.0.0.1:0 for \
             any port that is free"
        )
    })
}

/// Starts the hub and the members side by side: each waits for its disk.
async fn start(
    clusters: Clusters,
    folder: &Arc<Folder>,
    tokens: &Tokens,
    clock: &SharedClock,
) -> Result<(ControlPlane, Vec<Member>)> {
    let hub = tokio::spawn(start_hub(Arc::clone(folder), tokens.clone()));
    let members = clusters.members.into_iter().map(|member| {
        let (folder, tokens) = (Arc::clone(folder), tokens.clone());
        let started = Member::start(
            member,
            folder,
            tokens,
            clusters.loads.clone(),
            Arc::clone(clock),
        );
        let started = tokio::spawn(started);
        async { started.await? }
    });
    let members = try_join_all(members).await?;
    Ok((hub.await??, members))
}

async fn start_hub(folder: Arc<Folder>, tokens: Tokens) -> Result<ControlPlane> {
    let options = Options {
        tokens,
        ..Options::default()
    };
    let hub = plane(&folder, HUB, options).await?;
    let installed = access::install_crds(&client(&hub)).await;
    installed.context("the hub's CRDs")?;
    Ok(hub)
}

/// The region of each member: that of its first nodes.
fn regions(clusters: &Clusters) -> BTreeMap<String, Option<String>> {
    let region = |member: &lab::simulated::Member| {
        let group = member.options.nodes.first();
        (member.name.clone(), group.map(|group| group.region.clone()))
    };
    clusters.members.iter().map(region).collect()
}

/// What the certificate covers: what leads here from this machine, and what people name.
fn names(address: SocketAddr, further: &[String]) -> Vec<String> {
    let here = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let address = (!address.ip().is_unspecified()).then(|| address.ip().to_string());
    let names = here
        .into_iter()
        .chain(address)
        .chain(further.iter().cloned());
    names.collect()
}

/// How this machine reaches what listens there.
fn reached_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What the scheduler asks for beside the members themselves.
struct Sources {
    traffic: Traffic,
    proximity: Option<ProximitySource>,
}

/// The scheduler, as in a process of its own.
async fn schedule(
    kubeconfig: PathBuf,
    sources: Sources,
    health: Health,
    clock: SharedClock,
    stop: CancellationToken,
) -> Result<()> {
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
        health,
        traffic: Some(Arc::new(sources.traffic)),
        proximity: sources.proximity,
    };
    let result = Box::pin(multi_cluster_scheduler::run(context, stop)).await;
    result.map_err(|error| anyhow!("the scheduler: {error}"))
}

fn greet(kubeconfig: &Path, contexts: &[&str], started: Instant) {
    let (file, members) = (kubeconfig.display(), contexts.len() - 1);
    let first = contexts.get(1).unwrap_or(&HUB);
    println!(
        "Up in {:.2} s: a hub and {members} members.\n\
         Kubeconfig: {file} (contexts: {HUB}, then the members; {HUB} is the current one)\n\n\
         Try, in another terminal:\n  \
         export KUBECONFIG={file}\n  \
         kubectl apply -f manifests/examples/02_example_deployment_worst_fit.yaml\n  \
         kubectl get mcd,mcl\n  \
         kubectl describe mcd hello\n  \
         kubectl --context {first} get pods\n\n\
         Ctrl-C ends it; the data stay.\n",
        started.elapsed().as_secs_f64()
    );
}

/// Says what is not as most people have it.
fn say_more(folder: &Folder, contexts: &[&str], address: SocketAddr) {
    let mut kept = folder.clusters();
    kept.retain(|name| !contexts.contains(&name.as_str()));
    if !kept.is_empty() {
        println!(
            "Not started, because nobody asks for them now: {}. Their data stay in {}.\n",
            kept.join(", "),
            folder.join("data").display()
        );
    }
    if !address.ip().is_loopback() {
        println!(
            "Others reach it at port {}. Whoever has the kubeconfig, or its token, may do \
             anything; nobody else may. Elsewhere, write an address of this machine into the \
             kubeconfig's servers; --tls-san makes the certificate cover it.\n",
            address.port()
        );
    }
}
