//! `mck8s up`: a hub with the CRDs, simulated members, and the operators, in one process.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use control_plane::{ControlPlane, Host, Options, Tls, Tokens, User};
use federation::operator::clock::{SharedClock, WallClock};
use federation::operator::{signals, telemetry};
use federation::proximity::{RoundTripTimes, pair};
use futures::future::try_join_all;
use lab::access;
use lab::simulated::{Clusters, HUB, Prometheus, Traffic};
use lab::simulation::{Network, Trace};
use multi_cluster_scheduler::ProximitySource;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::arguments::Arguments;
use crate::folder::Folder;
use crate::greeting::Greeting;
use crate::member::{Member, SEED, Storage, client, plane};
use crate::operators::{Operators, Setting};
use crate::performance::{Theatre, perform};
use crate::screen::Screen;
use crate::{board, prometheus, registry};

/// Runs until Ctrl-C.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let started = Instant::now();
    let clock: SharedClock = Arc::new(WallClock);
    let screen = Screen::find();
    log(&arguments.log_level, &clock, screen.as_ref())?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let scenario = arguments.scenario()?;
    let clusters = match &scenario {
        Some(scenario) => scenario.clusters.clone(),
        None => arguments.clusters()?,
    };
    let folder = Arc::new(Folder::open(&arguments.data_dir)?);
    // A scenario shows the same thing whenever it is started.
    let storage = match &scenario {
        Some(_) => Storage::Memory,
        None => Storage::Folder(folder.clone()),
    };
    let listener = listen(arguments.listen).await?;
    let address = listener.local_addr()?;

    let token = access::token(folder.path());
    let token = token.with_context(|| format!("the token in {}", folder.path().display()))?;
    let tokens: Tokens = [(token.clone(), User::admin())].into();
    let regions = regions(&clusters);
    let times = clusters.round_trip_times.clone();
    let (hub, members) = start(clusters, &storage, &tokens, &clock).await?;
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
    let metrics: Vec<_> = members
        .iter()
        .map(|member| member.metrics.clone())
        .collect();
    let prometheus = Prometheus::of(metrics.clone(), clock.clone());
    let router = host.router_over(prometheus::router(&prometheus, &token));
    let serving = tokio::spawn(async move {
        control_plane::serve(listener, Some(&tls), router, ended.cancelled_owned()).await
    });
    let by_name = metrics
        .into_iter()
        .map(|one| (one.cluster().to_owned(), one));
    let setting = Setting {
        kubeconfig: kubeconfig.clone(),
        clock: clock.clone(),
        traffic: Arc::new(Traffic::of(by_name.collect())),
        proximity: Some(times.clone())
            .filter(|times| !times.is_empty())
            .map(ProximitySource::Fixed),
        prometheus,
    };
    let network = network(&hub, &members, &times);
    let operators = Operators::start(&network, &setting);
    let working = async {
        registry::until_ready(&operators).await;
        let greeting = Greeting {
            took: started.elapsed(),
            kubeconfig: &kubeconfig,
            contexts: &contexts,
            address,
            scenario: scenario.as_ref(),
        };
        greeting.print(&folder);
        let theatre = Theatre {
            hub: client(&hub),
            members: &members,
            network: &network,
            operators: &operators,
        };
        let playing = async {
            if let Some(scenario) = &scenario {
                perform(scenario, &theatre, &clock, screen.as_ref()).await?;
            }
            pending::<Result<()>>().await
        };
        tokio::select! {
            // On another thread than the operators.
            shown = tokio::spawn(board::show(hub.clone(), screen.clone())) => Ok(shown??),
            failed = playing => failed,
        }
    };
    tokio::select! {
        ended = working => ended?,
        () = stop.cancelled() => {}
    }
    // They end what they are at before the API servers go.
    operators.stop().await;
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
    storage: &Storage,
    tokens: &Tokens,
    clock: &SharedClock,
) -> Result<(ControlPlane, Vec<Member>)> {
    let hub = tokio::spawn(start_hub(storage.clone(), tokens.clone()));
    let members = clusters.members.into_iter().map(|member| {
        let (storage, tokens) = (storage.clone(), tokens.clone());
        let started = Member::start(
            member,
            storage,
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

async fn start_hub(storage: Storage, tokens: Tokens) -> Result<ControlPlane> {
    let options = Options {
        tokens,
        ..Options::default()
    };
    let hub = plane(&storage, HUB, options).await?;
    let installed = access::install_crds(&client(&hub)).await;
    installed.context("the hub's CRDs")?;
    Ok(hub)
}

/// The ways of the operators, which take as long as the configuration says.
fn network(hub: &ControlPlane, members: &[Member], times: &RoundTripTimes) -> Network {
    let network = Network::new(SEED, Trace::none());
    network.add(HUB, hub.router(), Duration::ZERO);
    for member in members {
        let time = times.get(&pair(HUB, &member.name)).copied();
        network.add(
            &member.name,
            member.plane.router(),
            time.unwrap_or_default(),
        );
    }
    network
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
