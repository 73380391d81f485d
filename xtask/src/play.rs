//! `cargo xtask play FILE`: plays a scenario in virtual time, and prints what happens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use lab::scenario::play;
use lab::simulated::Scenario;
use lab::simulation::{SimulatedEnvironment, World, run as simulate};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::repository;

/// How often it is looked whether something has changed.
const LOOK: Duration = Duration::from_secs(1);
/// The kinds that are shown, and what is shown of their status.
const KINDS: [(&str, Shown); 3] = [
    ("MultiClusterDeployment", placements),
    ("MultiClusterJob", placements),
    ("MultiClusterHorizontalPodAutoscaler", scaling),
];

/// A status as a line.
type Shown = fn(&Value) -> String;

/// Play a scenario in virtual time, and print what happens.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A scenario (see docs/simulation.md), such as manifests/scenarios/flash-crowd.yaml
    file: PathBuf,
    /// What is drawn depends on it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print all requests afterwards
    #[arg(long)]
    trace: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if cfg!(debug_assertions) {
        return repository::run_again_optimised();
    }
    let scenario = Scenario::read(&arguments.file)?;
    simulate(run_scenario(&scenario, arguments.seed, arguments.trace))?
}

async fn run_scenario(scenario: &Scenario, seed: u64, trace: bool) -> Result<()> {
    let failed = |error: lab::simulation::Error| anyhow!(error);
    let world = World::of(seed, scenario.clusters.clone()).await;
    let world = world.map_err(failed)?;
    let environment = SimulatedEnvironment::open(&world).map_err(failed)?;
    let hub = world.hub_client();
    println!("{}", scenario.description);
    let say = |at, what: &str| println!("{} == {what}", time(at));
    tokio::select! {
        biased;
        played = play(scenario, &environment, say) => played?,
        failed = report(&hub) => failed?,
    }
    if trace {
        print!("{}", world.trace.text());
    }
    Ok(())
}

/// Prints where everything runs and what autoscalers want, whenever it has changed, for ever.
async fn report(hub: &Client) -> kube::Result<()> {
    let start = Instant::now();
    let mut before: BTreeMap<String, String> = BTreeMap::new();
    loop {
        sleep(LOOK).await;
        for (kind, shown) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("fogguru.eu", "v1", kind));
            let api: Api<DynamicObject> = Api::all_with(hub.clone(), &resource);
            for object in api.list(&ListParams::default()).await? {
                let (key, name) = (format!("{kind} {}", object.name_any()), object.name_any());
                let line = shown(&object.data["status"]);
                if before.get(&key) != Some(&line) {
                    println!("{}    {name}: {line}", time(start.elapsed()));
                    before.insert(key, line);
                }
            }
        }
    }
}

/// Ready and wanted replicas by cluster, and what has no place.
fn placements(status: &Value) -> String {
    let shares = status["placements"].as_array().into_iter().flatten();
    let mut parts: Vec<String> = shares
        .map(|one| {
            let cluster = one["cluster"].as_str().unwrap_or_default();
            let leaving = match one["leaving"].as_u64().unwrap_or(0) {
                0 => String::new(),
                leaving => format!(" ({leaving} leaving)"),
            };
            format!("{cluster} {}/{}{leaving}", one["ready"], one["replicas"])
        })
        .collect();
    match status["unplacedReplicas"].as_u64().unwrap_or(0) {
        0 => {}
        unplaced => parts.push(format!("{unplaced} without a place")),
    }
    if parts.is_empty() {
        return "nowhere".to_owned();
    }
    parts.join(", ")
}

/// What an autoscaler wants, and wants on each cluster. The metrics are left out: they always change.
fn scaling(status: &Value) -> String {
    let clusters = status["clusters"].as_array().into_iter().flatten();
    let wanted: Vec<String> = clusters
        .map(|one| {
            let cluster = one["cluster"].as_str().unwrap_or_default();
            format!("{cluster} {}", one["desired"])
        })
        .collect();
    match status["desiredReplicas"].as_u64() {
        Some(replicas) => format!("wants {replicas} replicas ({})", wanted.join(", ")),
        None => "wants nothing yet".to_owned(),
    }
}

/// A time from the start, as 1:02:03.
fn time(at: Duration) -> String {
    let seconds = at.as_secs();
    format!(
        "{:>2}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}
