//! A simulated member: its control plane, what plays the cluster, and what it uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use control_plane::store::{OpenError, Options as StoreOptions, Store};
use control_plane::{ControlPlane, Keys, Options, User};
use federation::operator::clock::SharedClock;
use kube::Client;
use lab::simulated::{Cluster, Load, Logs, Metrics};

use crate::api_listener::Access;
use crate::folder::Folder;

/// What is drawn depends on this, and on the name of the cluster.
pub(crate) const SEED: u64 = 0;

/// A member at work.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) plane: ControlPlane,
    pub(crate) metrics: Metrics,
    /// Ends when it is dropped.
    pub(crate) cluster: Cluster,
}

/// Where control planes keep their objects.
#[derive(Clone)]
pub(crate) enum Storage {
    /// On disk.
    Folder(Arc<Folder>),
    /// Nowhere.
    Memory,
}

impl Member {
    /// Starts it, with what it has kept.
    pub(crate) async fn start(
        member: lab::simulated::Member,
        storage: Storage,
        access: Access,
        loads: BTreeMap<String, Load>,
        clock: SharedClock,
    ) -> Result<Self> {
        let name = member.name;
        let metrics = Metrics::new(&name, loads, SEED, Arc::clone(&clock));
        let options = Options {
            metrics: Some(Arc::new(metrics.clone())),
            logs: Some(Arc::new(Logs)),
            ..access.options(&name)
        };
        let plane = plane(&storage, &name, options).await?;
        let cluster = Cluster::start(&name, client(&plane), member.options, SEED, clock).await;
        let cluster = cluster.with_context(|| format!("member {name}"))?;
        cluster.feed(&metrics);
        Ok(Self {
            name,
            plane,
            metrics,
            cluster,
        })
    }
}

/// A control plane with what it has kept.
pub(crate) async fn plane(
    storage: &Storage,
    name: &str,
    mut options: Options,
) -> Result<ControlPlane> {
    let store = match storage {
        Storage::Folder(folder) => {
            let (data, keys) = (folder.data(name), folder.keys(name));
            let keys = Keys::open(&keys, &options.sources);
            options.keys = Some(keys.with_context(|| format!("the keys of {name}"))?);
            let opened = Store::open(&data, StoreOptions::default());
            opened.map_err(|error| {
                let advice = advice(name, &error);
                let what = format!("the data of {name} in {}{advice}", data.display());
                anyhow::Error::new(error).context(what)
            })?
        }
        Storage::Memory => Store::memory(StoreOptions::default()),
    };
    Ok(ControlPlane::start(store, options).await?)
}

/// What helps against data that can't be opened. Data that others use, or that only the disk keeps
/// from being read, is not to be removed.
fn advice(name: &str, error: &OpenError) -> String {
    match error {
        OpenError::Damaged { .. } => {
            format!(" (put a copy in its place, or move that folder away to begin {name} again)")
        }
        OpenError::InUse(_) => " (wait until the other process has ended)".to_owned(),
        // It says what to do, or the data is not to blame.
        OpenError::Lost { .. } | OpenError::Storage(_) => String::new(),
    }
}

/// A client within the process.
pub(crate) fn client(plane: &ControlPlane) -> Client {
    Client::new(plane.router_for(User::admin()), "default")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn no_advice_destroys_data_that_can_still_be_read() {
        let lost = OpenError::Lost {
            offset: 1,
            found: 1,
            acknowledged: 2,
        };
        for error in [
            OpenError::InUse(PathBuf::from("data")),
            OpenError::Storage(io::ErrorKind::PermissionDenied.into()),
            OpenError::Damaged { offset: 1 },
            lost,
        ] {
            let said = format!("{}{}", error, advice("a", &error));
            let names_data = said.contains("folder") && said.contains("remove");
            assert!(!names_data, "{said}");
        }
        let damaged = advice("a", &OpenError::Damaged { offset: 1 });
        assert!(damaged.contains("move that folder away"), "{damaged}");
    }
}
