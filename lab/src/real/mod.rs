//! Clusters as plain processes.
//!
//! A [`Lab`] is a hub (`cluster0`) and members (`cluster1`, …) of one
//! [`Flavour`]: real control planes (etcd, API server, controllers, for a
//! member a scheduler and KWOK, which plays the nodes), or the embedded one
//! with simulated members, a process for each cluster. What is done to them
//! and to their processes is the same. No container runtime is needed.
//! Everything listens on 127.0.0.1, and one kubeconfig has a context per
//! cluster. Linux only: processes are told apart by `/proc`.
//!
//! ```no_run
//! # async fn example() -> lab::real::Result<()> {
//! use lab::real::{Lab, Options};
//!
//! let lab = Lab::up(Options::uniform("target/lab/example", 2, 3)).await?;
//! let hub = lab.client("cluster0").await?;
//! lab.cluster("cluster1")?.stop().await?; // refused connections
//! lab.cluster("cluster1")?.start().await?;
//! lab.down().await
//! # }
//! ```

mod binaries;
mod cluster;
mod cluster_api;
mod components;
mod credentials;
mod error;
mod faults;
mod front_proxy;
mod kubectl;
mod metrics_api;
mod nodes;
mod options;
mod ports;
mod process;
pub mod proxy;
mod running;
mod state;
mod wait;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use kube::Client;

pub use binaries::{Binaries, Program};
pub use cluster::{Cluster, ClusterStatus};
pub use cluster_api::ClusterApi;
pub use error::{Error, Result};
pub use kubectl::Output;
pub use options::{Flavour, Member, NodeSize, Options};
pub use ports::free_port;

use credentials::Credentials;
use ports::Ports;
use process::{Process, ProcessId};
use state::{ClusterState, State, StateFile};

/// How long processes get to end by themselves when the lab goes down. Their
/// data are thrown away, so there is nothing to wait for.
const GRACE: Duration = Duration::from_millis(500);

/// The hub's name.
pub const HUB: &str = "cluster0";

/// A hub and its members, running.
///
/// The lab that [`Lab::up`] gives goes down when it is dropped, also by a
/// test that panics; [`Lab::keep`] lets it run on. After a SIGKILL of its
/// owner, the next `up` or `take_down` in the directory clears up.
#[derive(Debug)]
pub struct Lab {
    directory: PathBuf,
    clusters: BTreeMap<String, Arc<Cluster>>,
    binaries: Arc<Binaries>,
    credentials: Credentials,
    state: Arc<StateFile>,
    owned: bool,
}

impl Lab {
    /// Starts a lab, and waits until every API server is ready and every node
    /// takes pods.
    ///
    /// Builds missing programs first (see [`Binaries`]). Fails with
    /// [`Error::AlreadyRunning`] when the directory's lab is in use.
    pub async fn up(options: Options) -> Result<Self> {
        let programs = options.flavour.programs();
        let binaries = tokio::task::spawn_blocking(|| Binaries::ensure_only(programs))
            .await
            .map_err(|error| Error::Binaries(error.to_string()))??;
        install_crypto();
        let directory = absolute(&options.directory)?;
        let lab = {
            let _lock = state::lock(&directory)?;
            clear(&directory)?;
            Self::prepare(directory, &options, Arc::new(binaries))?
        };
        // A failure drops the lab, and with it what has started so far.
        try_join_all(lab.clusters.values().map(|cluster| cluster.bring_up())).await?;
        lab.write_kubeconfig(&lab.kubeconfig(), &BTreeMap::new())?;
        Ok(lab)
    }

    /// A lab that another process started, to use it: dropping this handle
    /// leaves the lab running.
    pub fn attach(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = absolute(directory.as_ref())?;
        let state = match StateFile::open(&directory)? {
            Some(state) if state.read().is_held() => state,
            _ => return Err(Error::NotRunning { directory }),
        };
        let binaries = Binaries::ensure_only(state.read().flavour.programs())?;
        install_crypto();
        Ok(Self::assemble(
            directory,
            Arc::new(binaries),
            Arc::new(state),
            false,
        ))
    }

    /// Takes down whatever lab runs in `directory`, and says how many
    /// processes that were.
    pub fn take_down(directory: impl AsRef<Path>) -> Result<usize> {
        let directory = directory.as_ref();
        if !directory.exists() {
            return Ok(0);
        }
        let directory = absolute(directory)?;
        let _lock = state::lock(&directory)?;
        let Some(state) = StateFile::open(&directory)? else {
            return Ok(0);
        };
        let alive = state.read().alive();
        process::terminate(
            alive.iter().copied().map(Process::attached).collect(),
            GRACE,
        );
        remove_data(&directory)?;
        state.remove()?;
        Ok(alive.len())
    }

    /// Takes the lab down and removes its data; the logs stay.
    pub async fn down(mut self) -> Result<()> {
        self.owned = false;
        let processes = self.take_processes();
        tokio::task::spawn_blocking(move || process::terminate(processes, GRACE))
            .await
            .map_err(|error| Error::io("end the processes of", &self.directory)(error.into()))?;
        remove_data(&self.directory)?;
        self.state.remove()
    }

    /// Leaves the lab running when this process ends; [`Lab::take_down`] ends
    /// it.
    pub fn keep(mut self) -> Result<()> {
        self.state.update(|state| state.owner = None)?;
        self.owned = false;
        Ok(())
    }

    /// Where the lab keeps its files, absolute.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kubeconfig with one context per cluster; the hub is the current
    /// one.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// Writes another kubeconfig next to the lab's own, in which the clusters
    /// of `servers` are reached through other URLs, those of fault proxies,
    /// and gives its path.
    pub fn kubeconfig_through(
        &self,
        name: &str,
        servers: &BTreeMap<String, String>,
    ) -> Result<PathBuf> {
        let path = self.directory.join(name);
        self.write_kubeconfig(&path, servers)?;
        Ok(path)
    }

    /// A cluster by name.
    pub fn cluster(&self, name: &str) -> Result<Arc<Cluster>> {
        self.clusters
            .get(name)
            .cloned()
            .ok_or_else(|| Error::UnknownCluster {
                name: name.to_owned(),
                known: self.names().collect::<Vec<_>>().join(", "),
            })
    }

    /// All clusters: the hub, `cluster1`, `cluster2`, ….
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        let mut clusters: Vec<_> = self.clusters.values().collect();
        // By number: `cluster10` comes after `cluster9`.
        clusters.sort_by_key(|cluster| (cluster.name().len(), cluster.name().to_owned()));
        clusters.into_iter()
    }

    /// All names, in the same order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.clusters().map(|cluster| cluster.name())
    }

    /// An administrator's client of a cluster.
    pub async fn client(&self, cluster: &str) -> Result<Client> {
        self.cluster(cluster)?.client().await
    }

    /// How each cluster is; asks all at once.
    pub async fn status(&self) -> Vec<ClusterStatus> {
        join_all(self.clusters().map(|cluster| cluster.status())).await
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        process::terminate(self.take_processes(), GRACE);
        let cleared = remove_data(&self.directory).and_then(|()| self.state.remove());
        if let Err(error) = cleared {
            tracing::warn!(%error, "the lab's files stay");
        }
    }
}

impl Lab {
    /// Everything that is there before the first process starts.
    fn prepare(directory: PathBuf, options: &Options, binaries: Arc<Binaries>) -> Result<Self> {
        let hub = (HUB.to_owned(), None);
        let members = options.members.iter().zip(1..);
        let members =
            members.map(|(member, index)| (format!("cluster{index}"), Some(member.clone())));
        let clusters = std::iter::once(hub)
            .chain(members)
            .map(|(name, member)| {
                let has_kwok = options.flavour == Flavour::Kubernetes && member.is_some();
                let cluster = ClusterState {
                    member,
                    metrics: options.metrics && has_kwok,
                    audit: options.audit && options.flavour == Flavour::Kubernetes,
                    fsync: options.fsync,
                    ports: Ports::free(),
                    processes: BTreeMap::new(),
                };
                (name, cluster)
            })
            .collect();
        let state = State {
            owner: ProcessId::own(),
            flavour: options.flavour.clone(),
            clusters,
        };
        Credentials::create(&credentials(&directory))?;
        let state = StateFile::create(&directory, state)?;
        Ok(Self::assemble(directory, binaries, Arc::new(state), true))
    }

    fn assemble(
        directory: PathBuf,
        binaries: Arc<Binaries>,
        state: Arc<StateFile>,
        owned: bool,
    ) -> Self {
        let credentials = Credentials::at(&credentials(&directory));
        let record = state.read();
        let clusters = record
            .clusters
            .iter()
            .map(|(name, cluster)| {
                let cluster = Cluster::new(
                    record.flavour.clone(),
                    name,
                    cluster,
                    &data(&directory).join(name),
                    Arc::clone(&binaries),
                    credentials.clone(),
                    Arc::clone(&state),
                );
                (name.clone(), Arc::new(cluster))
            })
            .collect();
        Self {
            directory,
            clusters,
            binaries,
            credentials,
            state,
            owned,
        }
    }

    fn take_processes(&self) -> Vec<Process> {
        self.clusters
            .values()
            .flat_map(|cluster| cluster.take_processes())
            .collect()
    }

    fn write_kubeconfig(&self, path: &Path, servers: &BTreeMap<String, String>) -> Result<()> {
        let clusters: Vec<_> = self
            .clusters()
            .map(|cluster| {
                let server = servers.get(cluster.name()).cloned();
                (cluster.name(), server.unwrap_or_else(|| cluster.server()))
            })
            .collect();
        self.credentials.write_kubeconfig(path, &clusters)
    }
}

/// Ends what a killed owner left behind, and removes an earlier lab's files.
fn clear(directory: &Path) -> Result<()> {
    if let Some(state) = StateFile::open(directory)? {
        let state = state.read();
        if state.is_held() {
            return Err(Error::AlreadyRunning {
                directory: directory.to_owned(),
            });
        }
        let leftovers = state.alive().into_iter().map(Process::attached).collect();
        process::terminate(leftovers, GRACE);
    }
    remove(&data(directory))?;
    remove(&credentials(directory))
}

/// Removes the databases and the credentials, and leaves the logs.
fn remove_data(directory: &Path) -> Result<()> {
    remove(&credentials(directory))?;
    let kubeconfig = directory.join("kubeconfig");
    if kubeconfig.exists() {
        fs::remove_file(&kubeconfig).map_err(Error::io("remove", &kubeconfig))?;
    }
    let data = data(directory);
    let Ok(clusters) = fs::read_dir(&data) else {
        return Ok(());
    };
    for cluster in clusters.flatten() {
        remove(&components::database(&cluster.path()))?;
    }
    Ok(())
}

fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(Error::io("remove", directory))?;
    }
    Ok(())
}

/// One folder per cluster: its database and its logs.
fn data(directory: &Path) -> PathBuf {
    directory.join("clusters")
}

fn credentials(directory: &Path) -> PathBuf {
    directory.join("pki")
}

fn absolute(directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    fs::canonicalize(directory).map_err(Error::io("find", directory))
}

/// rustls wants one provider per process; whoever comes second finds it
/// installed.
fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
