//! One cluster of the lab: what it is, and how it is reached.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::binaries::Binaries;
use super::components::{self, Plan};
use super::credentials::Credentials;
use super::error::{Error, Result};
use super::nodes;
use super::options::{Flavour, Member, NodeSize};
use super::ports::Ports;
use super::process::Process;
use super::state::{ClusterState, StateFile};
use super::wait;

/// How often ports are chosen again when somebody else took them in between.
const PORT_ATTEMPTS: usize = 5;

/// One cluster of a [`Lab`](super::Lab): the hub or a member.
#[derive(Debug)]
pub struct Cluster {
    flavour: Flavour,
    pub(super) name: String,
    /// None for the hub.
    member: Option<Member>,
    metrics: bool,
    audit: bool,
    fsync: bool,
    pub(super) directory: PathBuf,
    binaries: Arc<Binaries>,
    credentials: Credentials,
    pub(super) state: Arc<StateFile>,
    ports: Mutex<Ports>,
    /// By the names of the components.
    processes: Mutex<BTreeMap<String, Process>>,
}

/// What of a cluster can be seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// `cluster0` (the hub), `cluster1`, ….
    pub name: String,
    /// The API server's process, when it runs.
    pub pid: Option<u32>,
    /// Whether `/readyz` says so.
    pub ready: bool,
    /// The version that the API server reports.
    pub version: Option<String>,
    /// All nodes, and those that take pods.
    pub nodes: Option<(usize, usize)>,
}

impl Cluster {
    /// The name, which is also its context in the kubeconfig.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the hub.
    pub fn is_hub(&self) -> bool {
        self.member.is_none()
    }

    /// The API server's URL. It stays when the cluster is stopped and started.
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports().api)
    }

    /// What service accounts have asked the API server for, an event of `audit.k8s.io/v1` a line; none
    /// when the lab runs without.
    pub fn audit_log(&self) -> Option<PathBuf> {
        self.audit.then(|| components::audit_log(&self.directory))
    }

    /// KWOK's metrics of one node, in the form of a kubelet's
    /// `/metrics/resource`; none when the lab runs without metrics.
    pub fn metrics_url(&self, node: &str) -> Option<String> {
        let port = self.ports().kwok;
        self.metrics
            .then(|| format!("http://127.0.0.1:{port}/metrics/nodes/{node}/metrics/resource"))
    }

    /// An administrator's client.
    pub async fn client(&self) -> Result<Client> {
        let config = self.config().await?;
        Client::try_from(config).map_err(Error::kube(&self.name))
    }

    /// An administrator's client configuration, to change before use.
    pub async fn config(&self) -> Result<Config> {
        let path = components::kubeconfig(&self.directory);
        let kubeconfig = Kubeconfig::read_from(path).map_err(Box::new)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(Box::new)?;
        Ok(config)
    }

    /// Adds a node and waits until it takes pods. Region and zone are the
    /// member's.
    pub async fn add_node(&self, name: &str, size: &NodeSize) -> Result<()> {
        let (region, zone) = self
            .member
            .as_ref()
            .map_or(("", ""), |member| (&member.region, &member.zone));
        let client = self.client().await?;
        nodes::create_one(&client, nodes::node(name, size, region, zone))
            .await
            .map_err(Error::kube(&self.name))?;
        self.wait_for_nodes(&client).await
    }

    /// Whether it runs, is ready, and what it says about itself. Asks only
    /// once and not for long, so a dead cluster does not hold a table up.
    pub async fn status(&self) -> ClusterStatus {
        let pid = self
            .processes()
            .get_mut(self.flavour.api_server())
            .and_then(|server| server.is_alive().then(|| server.id().pid));
        let mut status = ClusterStatus {
            name: self.name.clone(),
            pid,
            ready: false,
            version: None,
            nodes: None,
        };
        let Ok(client) = self.impatient_client().await else {
            return status;
        };
        status.ready = wait::is_ready(&client).await.is_ok();
        if status.ready {
            status.version = client
                .apiserver_version()
                .await
                .ok()
                .map(|version| version.git_version);
            status.nodes = nodes::count(&client).await.ok();
        }
        status
    }
}

impl Cluster {
    /// A cluster that runs nothing yet.
    pub(crate) fn new(
        flavour: Flavour,
        name: &str,
        record: &ClusterState,
        directory: &Path,
        binaries: Arc<Binaries>,
        credentials: Credentials,
        state: Arc<StateFile>,
    ) -> Self {
        let processes = record
            .processes
            .iter()
            .map(|(component, &id)| (component.clone(), Process::attached(id)))
            .collect();
        Self {
            flavour,
            name: name.to_owned(),
            member: record.member.clone(),
            metrics: record.metrics,
            audit: record.audit,
            fsync: record.fsync,
            directory: directory.to_owned(),
            binaries,
            credentials,
            state,
            ports: Mutex::new(record.ports),
            processes: Mutex::new(processes),
        }
    }

    /// The first start: with fresh data, on free ports, until its nodes take
    /// pods.
    pub(crate) async fn bring_up(&self) -> Result<()> {
        fs::create_dir_all(&self.directory).map_err(Error::io("create", &self.directory))?;
        if self.flavour == Flavour::Kubernetes {
            self.configure_kwok()?;
        }
        if self.audit {
            let policy = components::audit_policy(&self.directory);
            fs::write(&policy, components::AUDIT_POLICY).map_err(Error::io("write", &policy))?;
        }
        let mut attempt = 1;
        loop {
            self.write_kubeconfig()?;
            match self.start().await {
                Ok(()) => return self.create_nodes().await,
                Err(Error::Exited { tail, .. })
                    if tail.to_lowercase().contains("address already in use")
                        && attempt < PORT_ATTEMPTS =>
                {
                    attempt += 1;
                    self.stop().await?;
                    self.clear_data()?;
                    self.choose_ports()?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn configure_kwok(&self) -> Result<()> {
        let configuration = components::kwok_configuration(&self.directory);
        fs::write(
            &configuration,
            components::kwok_configuration_text(self.metrics),
        )
        .map_err(Error::io("write", &configuration))
    }

    /// Waits until nothing in the cluster is left to be made ready.
    pub(super) async fn create_nodes(&self) -> Result<()> {
        let Some(member) = &self.member else {
            return Ok(());
        };
        let client = self.client().await?;
        nodes::create(&client, &self.name, member)
            .await
            .map_err(Error::kube(&self.name))?;
        self.wait_for_nodes(&client).await?;
        if self.metrics {
            self.register_metrics_api().await?;
        }
        Ok(())
    }

    async fn wait_for_nodes(&self, client: &Client) -> Result<()> {
        wait::until(&self.name, "nodes that take pods", || async {
            self.check_alive()?;
            match nodes::count(client).await {
                Ok((all, ready)) if all == ready => Ok(Ok(())),
                Ok((all, ready)) => Ok(Err(format!("{ready} of {all} nodes ready"))),
                Err(error) => Ok(Err(error.to_string())),
            }
        })
        .await
    }

    pub(super) fn plan(&self) -> Plan<'_> {
        Plan {
            flavour: &self.flavour,
            name: &self.name,
            is_hub: self.is_hub(),
            binaries: &self.binaries,
            credentials: &self.credentials,
            ports: self.ports(),
            directory: &self.directory,
            metrics: self.metrics,
            audit: self
                .audit
                .then(|| components::audit_policy(&self.directory)),
            fsync: self.fsync,
        }
    }

    /// For polling: a refused, slow or busy server is asked again by the
    /// caller, not by the client.
    pub(super) async fn impatient_client(&self) -> Result<Client> {
        let mut config = self.config().await?;
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(2));
        config.read_timeout = Some(Duration::from_secs(2));
        config.reset_reader_on_write = true;
        Client::try_from(config).map_err(Error::kube(&self.name))
    }

    fn choose_ports(&self) -> Result<()> {
        let ports = Ports::free();
        *self.ports.lock().unwrap_or_else(PoisonError::into_inner) = ports;
        self.state
            .update_cluster(&self.name, |cluster| cluster.ports = ports)
    }

    /// For the cluster's own processes, whose only context is this cluster.
    fn write_kubeconfig(&self) -> Result<()> {
        let path = components::kubeconfig(&self.directory);
        self.credentials
            .write_kubeconfig(&path, &[(&self.name, self.server())])
    }

    pub(super) fn clear_data(&self) -> Result<()> {
        let data = components::database(&self.directory);
        if data.exists() {
            fs::remove_dir_all(&data).map_err(Error::io("remove", &data))?;
        }
        Ok(())
    }

    pub(super) fn flavour(&self) -> &Flavour {
        &self.flavour
    }

    pub(super) fn ports(&self) -> Ports {
        *self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn processes(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
