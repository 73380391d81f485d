//! A simulated member: its control plane, what plays the cluster, and what it uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use control_plane::store::{OpenError, Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options, Tokens, User};
use federation::operator::clock::SharedClock;
use kube::Client;
use lab::simulated::{Cluster, Load, Logs, Metrics};

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
        tokens: Tokens,
        loads: BTreeMap<String, Load>,
        clock: SharedClock,
    ) -> Result<Self> {
        let name = member.name;
        let metrics = Metrics::new(&name, loads, SEED, Arc::clone(&clock));
        let options = Options {
            tokens,
            metrics: Some(Arc::new(metrics.clone())),
            logs: Some(Arc::new(Logs)),
            ..Options::default()
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
pub(crate) async fn plane(storage: &Storage, name: &str, options: Options) -> Result<ControlPlane> {
    let store = match storage {
        Storage::Folder(folder) => {
            let data = folder.data(name);
            Store::open(&data, StoreOptions::default()).map_err(|error| {
                let hint = match &error {
                    OpenError::Damaged { .. } => {
                        format!(
                            " (put a copy in its place, or remove that folder to begin {name} anew)"
                        )
                    }
                    // They say what to do, or the data is not to blame.
                    OpenError::Lost { .. } | OpenError::InUse(_) | OpenError::Storage(_) => {
                        String::new()
                    }
                };
                let data = data.display();
                anyhow::Error::new(error).context(format!("the data of {name} in {data}{hint}"))
            })?
        }
        Storage::Memory => Store::memory(StoreOptions::default()),
    };
    Ok(ControlPlane::start(store, options).await?)
}

/// A client within the process.
pub(crate) fn client(plane: &ControlPlane) -> Client {
    Client::new(plane.router_for(User::admin()), "default")
}
