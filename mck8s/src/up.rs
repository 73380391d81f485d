//! `mck8s up`: a hub with the CRDs, simulated members, and the operators, in one process.

use std::future::pending;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use federation::operator::clock::{SharedClock, WallClock};
use federation::operator::{signals, telemetry};
use lab::simulated::{Prometheus, Scenario};
use tokio_util::sync::CancellationToken;

use crate::api_listener::ApiListener;
use crate::arguments::Arguments;
use crate::banner::Banner;
use crate::folder::Folder;
use crate::log_file::LogFile;
use crate::member::Storage;
use crate::operators::{OperatorConfig, Operators};
use crate::scenario_run::{LiveEnvironment, run_scenario};
use crate::screen::Screen;
use crate::world::World;
use crate::{board, operators, prometheus, registry, stdout};

/// Runs until Ctrl-C.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let started = Instant::now();
    let clock: SharedClock = Arc::new(WallClock);
    let screen = Screen::find();
    log(&arguments, &clock, screen.as_ref())?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    operators::check_environment()?;
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
    let api_listener = ApiListener::open(&arguments, &folder).await?;
    let world = World::start(clusters, &storage, &api_listener.access(), &clock).await?;
    let names = world.names();
    api_listener.write_kubeconfig(&names)?;

    let stop = signals::stop_on_signal()?;
    let prometheus = Prometheus::of(world.metrics(), clock.clone());
    let config = OperatorConfig::of(&world, &api_listener.kubeconfig, &clock, &prometheus);
    let root = prometheus::router(&prometheus, &api_listener.token);
    let router = world.host().router_over(root);
    let (address, kubeconfig) = (api_listener.address, api_listener.kubeconfig);
    let closed = CancellationToken::new();
    let ended = closed.clone();
    let serving = tokio::spawn(async move {
        let tls = Some(&api_listener.tls);
        control_plane::serve(api_listener.listener, tls, router, ended.cancelled_owned()).await
    });
    let network = world.network();
    let operators = Operators::start(&network, &config);
    let working = async {
        registry::until_ready(&operators).await?;
        let banner = Banner {
            took: started.elapsed(),
            kubeconfig: &kubeconfig,
            contexts: &names,
            address,
            scenario: scenario.as_ref(),
        };
        stdout::print(&banner.text(&folder))?;
        let environment = LiveEnvironment {
            world: &world,
            network: &network,
            operators: &operators,
        };
        show(&environment, scenario.as_ref(), &clock, screen.as_ref()).await
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

/// Sends the log to its file, or to standard error, and keeps it off what is drawn on the terminal.
fn log(arguments: &Arguments, clock: &SharedClock, screen: Option<&Screen>) -> Result<()> {
    let (format, clock) = (telemetry::LogFormat::Text, Arc::clone(clock));
    let filter = &arguments.log_level;
    match (&arguments.log_file, screen) {
        (Some(path), _) => {
            let file = LogFile::open(path);
            let file = file.with_context(|| format!("cannot write {}", path.display()))?;
            telemetry::init_to(format, filter, clock, file)?;
        }
        (None, Some(screen)) => telemetry::init_to(format, filter, clock, screen.clone())?,
        (None, None) => telemetry::init(format, filter, clock)?,
    }
    Ok(())
}

/// Shows what there is, for ever, and plays the scenario if there is one. Ends with what went wrong.
async fn show(
    environment: &LiveEnvironment<'_>,
    scenario: Option<&Scenario>,
    clock: &SharedClock,
    screen: Option<&Screen>,
) -> Result<()> {
    let playing = async {
        if let Some(scenario) = scenario {
            run_scenario(scenario, environment, clock, screen).await?;
        }
        pending::<Result<()>>().await
    };
    // On another thread than the operators.
    let showing = tokio::spawn(board::show(environment.world.hub.clone(), screen.cloned()));
    tokio::select! {
        shown = showing => Ok(shown??),
        failed = playing => failed,
    }
}
