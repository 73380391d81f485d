//! The processes of a cluster: started, looked after, ended.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::cluster::Cluster;
use super::components::{self, Component};
use super::error::{Error, Result};
use super::process::{self, Process};
use super::wait;

/// How long a process gets to end by itself. The servers would take longer
/// only to let their watches run out, which is not worth waiting for.
const GRACE: Duration = Duration::from_secs(1);

impl Cluster {
    /// Stops everything: connections are refused. Data and ports stay.
    pub async fn stop(&self) -> Result<()> {
        let processes = std::mem::take(&mut *self.processes());
        end(processes.into_values().collect()).await;
        self.state
            .update_cluster(&self.name, |cluster| cluster.processes.clear())
    }

    /// Starts what [`stop`](Self::stop) stopped, and waits until the API
    /// server is ready. Does nothing for what runs already.
    pub async fn start(&self) -> Result<()> {
        self.start_servers().await?;
        for component in self.plan().clients() {
            self.start_process(component)?;
        }
        Ok(())
    }

    /// Stops what is a client of the API (controllers, pod scheduler, KWOK), so that etcd and the
    /// API server are alone. [`start`](Self::start) brings it back.
    pub async fn stop_controllers(&self) -> Result<()> {
        let servers = self.server_names();
        let clients: BTreeMap<String, Process> = {
            let mut processes = self.processes();
            let all = std::mem::take(&mut *processes).into_iter();
            let (serving, clients) = all.partition(|(name, _)| servers.contains(&name.as_str()));
            *processes = serving;
            clients
        };
        end(clients.into_values().collect()).await;
        self.state.update_cluster(&self.name, |cluster| {
            let processes = &mut cluster.processes;
            processes.retain(|name, _| servers.contains(&name.as_str()));
        })
    }

    /// Stops etcd alone: the API server goes on and has nothing to answer from. The embedded one
    /// keeps its data itself. [`start`](Self::start) brings it back.
    pub async fn stop_storage(&self) -> Result<()> {
        let api_server = self.flavour().api_server();
        let names = self.server_names().into_iter();
        let storage: Vec<_> = names.filter(|name| *name != api_server).collect();
        let stopped: Vec<_> = {
            let mut processes = self.processes();
            let stopped = storage.iter().filter_map(|name| processes.remove(*name));
            stopped.collect()
        };
        end(stopped).await;
        self.state.update_cluster(&self.name, |cluster| {
            let processes = &mut cluster.processes;
            processes.retain(|name, _| !storage.contains(&name.as_str()));
        })
    }

    /// The processes that serve the API: etcd and kube-apiserver, or the embedded one.
    pub fn server_pids(&self) -> Vec<u32> {
        let servers = self.server_names();
        let processes = self.processes();
        let servers = processes
            .iter()
            .filter(|(name, _)| servers.contains(&name.as_str()));
        servers.map(|(_, process)| process.id().pid).collect()
    }

    fn server_names(&self) -> Vec<&'static str> {
        self.plan()
            .servers()
            .iter()
            .map(|server| server.name)
            .collect()
    }

    /// [`stop`](Self::stop) and [`start`](Self::start).
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start().await
    }
}

impl Cluster {
    pub(super) async fn start_servers(&self) -> Result<()> {
        for component in self.plan().servers() {
            self.start_process(component)?;
        }
        let client = self.impatient_client().await?;
        wait::until(&self.name, "a ready API server", || async {
            self.check_alive()?;
            Ok(wait::is_ready(&client).await)
        })
        .await
    }

    /// Takes the processes out, to be ended by the caller.
    pub(crate) fn take_processes(&self) -> Vec<Process> {
        std::mem::take(&mut *self.processes())
            .into_values()
            .collect()
    }

    /// A process that ended will not become ready: say so now, with what it
    /// said last.
    pub(super) fn check_alive(&self) -> Result<()> {
        for (component, process) in &mut *self.processes() {
            if !process.is_alive() {
                let log = components::log(&self.directory, component);
                let text = fs::read(&log).unwrap_or_default();
                return Err(Error::Exited {
                    cluster: self.name.clone(),
                    component: component.clone(),
                    tail: tail(&String::from_utf8_lossy(&text)),
                    log,
                });
            }
        }
        Ok(())
    }

    fn start_process(&self, component: Component) -> Result<()> {
        let Component { name, mut command } = component;
        let mut processes = self.processes();
        if processes.get_mut(name).is_some_and(Process::is_alive) {
            return Ok(());
        }
        let process = Process::start(&mut command, &components::log(&self.directory, name))?;
        let id = process.id();
        processes.insert(name.to_owned(), process);
        self.state.update_cluster(&self.name, |cluster| {
            cluster.processes.insert(name.to_owned(), id);
        })
    }
}

/// Ends processes without blocking the runtime.
pub(super) async fn end(processes: Vec<Process>) {
    let ended = tokio::task::spawn_blocking(move || process::terminate(processes, GRACE));
    if let Err(error) = ended.await {
        tracing::warn!(%error, "ending processes was interrupted");
    }
}

/// The last lines of a log.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
