//! `cargo xtask lab`: clusters on this machine.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use lab::access;
use lab::real::{ClusterStatus, Flavour, HUB, Lab, NodeSize, Options};

use crate::repository::{root, shown};

/// Start and stop Kubernetes clusters on this machine: a hub and members,
/// with KWOK in the place of nodes.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Start a hub (cluster0) and members (cluster1, …); they run until `lab down`
    Up(Up),
    /// Stop the clusters and remove their data
    Down(Directory),
    /// Show how each cluster is
    Status(Directory),
}

#[derive(clap::Args)]
pub(crate) struct Up {
    /// How many member clusters
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// How many nodes each member has
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// Cores of a node, as a Kubernetes quantity
    #[arg(long, default_value = "4")]
    cpu: String,
    /// Memory of a node, as a Kubernetes quantity
    #[arg(long, default_value = "16Gi")]
    memory: String,
    /// How many pods a node takes
    #[arg(long, default_value_t = 110)]
    pods: u32,
    /// Serve simulated usage of the pods: as metrics.k8s.io, and for a Prometheus to scrape. A pod
    /// uses what its annotation kwok.x-k8s.io/usage-cpu says
    #[arg(long)]
    metrics: bool,
    /// Embedded control planes with simulated members, a process each,
    /// instead of Kubernetes' own programs
    #[arg(long, conflicts_with = "metrics")]
    embedded: bool,
    #[command(flatten)]
    directory: Directory,
}

#[derive(clap::Args)]
pub(crate) struct Directory {
    /// Where the lab keeps its data, logs and kubeconfig [default: .lab in the repository]
    #[arg(long = "dir", value_name = "DIR")]
    path: Option<PathBuf>,
}

impl Directory {
    fn path(&self) -> PathBuf {
        self.path.clone().unwrap_or_else(|| root().join(".lab"))
    }
}

pub(crate) fn run(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    match command {
        Command::Up(arguments) => runtime.block_on(async {
            tokio::select! {
                done = up(arguments) => done,
                // What has started goes down with the dropped future.
                _ = tokio::signal::ctrl_c() => bail!("interrupted; the lab is down again"),
            }
        }),
        Command::Down(directory) => down(&directory),
        Command::Status(directory) => runtime.block_on(status(&directory)),
    }
}

async fn up(arguments: Up) -> Result<()> {
    let size = NodeSize {
        cpu: arguments.cpu,
        memory: arguments.memory,
        pods: arguments.pods,
    };
    let mut options = Options::uniform(
        arguments.directory.path(),
        arguments.members,
        arguments.nodes,
    )
    .with_node_size(&size);
    options.metrics = arguments.metrics;
    if arguments.embedded {
        let program = std::env::current_exe()?;
        options = options.with_flavour(Flavour::Embedded { program });
    }

    let started = Instant::now();
    let lab = Lab::up(options).await?;
    // The hub without the API types is of little use.
    let installed = access::install_crds(&lab.client(HUB).await?).await;
    installed.context("the hub's CRDs")?;
    println!("{}", table(&lab.status().await));
    println!("\nUp in {:.1} s.", started.elapsed().as_secs_f32());
    println!("{}", next_steps(&lab.kubeconfig()));
    lab.keep()?;
    Ok(())
}

fn down(directory: &Directory) -> Result<()> {
    let path = directory.path();
    match Lab::take_down(&path)? {
        0 => println!("No lab is running in {}.", shown(&path)),
        ended => println!("Stopped {ended} processes. Logs: {}/clusters", shown(&path)),
    }
    Ok(())
}

async fn status(directory: &Directory) -> Result<()> {
    let lab = Lab::attach(directory.path())?;
    println!("{}", table(&lab.status().await));
    println!("\nKubeconfig: {}", shown(&lab.kubeconfig()));
    Ok(())
}

fn next_steps(kubeconfig: &Path) -> String {
    let path = shown(kubeconfig);
    let directory = kubeconfig.parent().unwrap_or(kubeconfig);
    let down = if directory == root().join(".lab") {
        String::new()
    } else {
        format!(" --dir {}", shown(directory))
    };
    let example = "manifests/examples/02_example_deployment_worst_fit.yaml";
    format!(
        "Kubeconfig: {path} (contexts: the hub {HUB}, then the members; the hub is the current one)\n\n\
         Next:\n  \
         cargo run -p multi-cluster-scheduler -- --kubeconfig {path}\n  \
         kubectl --kubeconfig {path} apply -f {example}\n  \
         kubectl --kubeconfig {path} --context cluster1 get pods\n  \
         cargo xtask lab down{down}"
    )
}

fn table(clusters: &[ClusterStatus]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["CLUSTER", "PID", "READY", "VERSION", "NODES"]);
    for cluster in clusters {
        let name = match cluster.name.as_str() {
            HUB => format!("{HUB} (hub)"),
            member => member.to_owned(),
        };
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            name,
            text(cluster.pid.map(|pid| pid.to_string())),
            if cluster.ready { "yes" } else { "no" }.to_owned(),
            text(cluster.version.clone()),
            text(cluster.nodes.map(|(all, ready)| format!("{ready}/{all}"))),
        ]);
    }
    table
}
