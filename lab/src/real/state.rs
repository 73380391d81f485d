//! The lab's record of itself, `lab.json`: what another process needs to use
//! a running lab or to take it down, also after its owner was killed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::options::{Flavour, Member};
use super::ports::Ports;
use super::process::ProcessId;

/// The record's content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The process that takes the lab down when it ends; none for a lab that
    /// was left running on purpose.
    pub(crate) owner: Option<ProcessId>,
    pub(crate) flavour: Flavour,
    /// By name: `cluster0` is the hub.
    pub(crate) clusters: BTreeMap<String, ClusterState>,
}

/// One cluster of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClusterState {
    /// What the member looks like; none for the hub.
    pub(crate) member: Option<Member>,
    /// KWOK's metrics are served.
    pub(crate) metrics: bool,
    /// What service accounts ask for is recorded.
    pub(crate) audit: bool,
    /// etcd waits for the disk.
    #[serde(default)]
    pub(crate) fsync: bool,
    pub(crate) ports: Ports,
    /// By the names of the components.
    pub(crate) processes: BTreeMap<String, ProcessId>,
}

impl State {
    /// All processes that still run.
    pub(crate) fn alive(&self) -> Vec<ProcessId> {
        self.clusters
            .values()
            .flat_map(|cluster| cluster.processes.values().copied())
            .filter(|process| process.is_alive())
            .collect()
    }

    /// Whether somebody still answers for this lab: it was kept, or its owner
    /// lives. Otherwise its processes are leftovers.
    pub(crate) fn is_held(&self) -> bool {
        match self.owner {
            Some(owner) => owner.is_alive(),
            None => !self.alive().is_empty(),
        }
    }
}

/// The record on disk. Every change is written before anything else happens,
/// so that no process of the lab is ever unknown to the next one.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    state: Mutex<State>,
}

impl StateFile {
    /// A new record.
    pub(crate) fn create(directory: &Path, state: State) -> Result<Self> {
        let file = Self {
            path: path(directory),
            state: Mutex::new(state),
        };
        file.update(|_| ())?;
        Ok(file)
    }

    /// The record of a lab in `directory`, if there is one.
    pub(crate) fn open(directory: &Path) -> Result<Option<Self>> {
        let path = path(directory);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let state = serde_json::from_str(&text).map_err(|source| Error::State {
            path: path.clone(),
            source,
        })?;
        Ok(Some(Self {
            path,
            state: Mutex::new(state),
        }))
    }

    /// A copy of the record.
    pub(crate) fn read(&self) -> State {
        self.lock().clone()
    }

    /// Changes the record, in memory and on disk.
    pub(crate) fn update(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.lock();
        change(&mut state);
        let text = serde_json::to_string_pretty(&*state).map_err(|source| Error::State {
            path: self.path.clone(),
            source,
        })?;
        // Renamed into place: a reader sees the old record or the new one.
        let partial = self.path.with_extension("json.partial");
        fs::write(&partial, text).map_err(Error::io("write", &partial))?;
        fs::rename(&partial, &self.path).map_err(Error::io("rename to", &self.path))
    }

    /// Changes one cluster of the record.
    pub(crate) fn update_cluster(
        &self,
        name: &str,
        change: impl FnOnce(&mut ClusterState),
    ) -> Result<()> {
        self.update(|state| {
            if let Some(cluster) = state.clusters.get_mut(name) {
                change(cluster);
            }
        })
    }

    /// Removes the record from the disk: there is no lab any more.
    pub(crate) fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is a plain value; a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps two processes from starting or clearing a lab in the same directory
/// at once. The lock goes with the handle.
pub(crate) fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lab.lock");
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    file.lock().map_err(Error::io("lock", &path))?;
    Ok(file)
}

fn path(directory: &Path) -> PathBuf {
    directory.join("lab.json")
}
