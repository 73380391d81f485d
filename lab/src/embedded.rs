//! One cluster as a process of its own: the embedded control plane, with its objects on disk, and
//! for a member the simulated cluster that plays against it.
//!
//! It has no way to end but to be killed: what it has acknowledged is on disk.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Keys, Options, Sources, Tls, User};
use federation::operator::clock::{SharedClock, WallClock};
use federation::operator::telemetry;
use kube::Client;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::access;
use crate::simulated::{self, Delay};

/// The first argument of a process that shall be a cluster.
pub(crate) const COMMAND: &str = "serve-cluster";

/// Which cluster it shall be.
#[derive(Parser)]
struct Arguments {
    /// Where its objects are kept
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Where ca.crt, tls.crt, tls.key and the administrator's token are
    #[arg(long, value_name = "FOLDER")]
    credentials: PathBuf,
    /// Where it listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// It is a member of this name: its nodes, controllers and pods are played
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
}

/// If this process was started to be a cluster of a lab, it is that until it is killed, and what is
/// given says why it could not. To be called before a program reads its arguments.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek()? != COMMAND {
        return None;
    }
    let arguments = Arguments::parse_from(arguments);
    let runtime = Runtime::new().map_err(Into::into);
    let served = runtime.and_then(|runtime| runtime.block_on(serve(arguments)));
    served.err().map(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

async fn serve(arguments: Arguments) -> Result<Infallible, Box<dyn Error>> {
    let clock: SharedClock = Arc::new(WallClock);
    telemetry::init(telemetry::LogFormat::Text, "warn", clock.clone())?;
    let listener = TcpListener::bind(arguments.listen).await?;
    let no_names: [&str; 0] = [];
    let tls = Tls::open(&arguments.credentials, &no_names)?;
    let token = access::token(&arguments.credentials)?;
    let options = Options {
        tokens: [(token, User::admin())].into(),
        authority: Some(tls.authority().to_owned()),
        keys: Some(Keys::open(
            &arguments.data_dir.join("keys"),
            &Sources::default(),
        )?),
        ..Options::default()
    };
    let store = Store::open(&arguments.data_dir, StoreOptions::default())?;
    let plane = ControlPlane::start(store, options).await?;
    let _cluster = match &arguments.member {
        Some(name) => {
            let client = Client::new(plane.router_for(User::admin()), "default");
            Some(simulated::Cluster::start(name, client, at_once(), 0, clock).await?)
        }
        None => None,
    };
    control_plane::serve(listener, Some(&tls), plane.router(), std::future::pending()).await?;
    Err("it stopped serving".into())
}

/// As KWOK plays a member: its nodes are made by the lab, and everything happens at once.
fn at_once() -> simulated::Options {
    let no_time = Delay::Fixed(Duration::ZERO);
    simulated::Options {
        nodes: Vec::new(),
        startup: no_time,
        run: no_time,
        shutdown: no_time,
        ..simulated::Options::default()
    }
}
