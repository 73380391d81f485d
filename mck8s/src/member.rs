//! A simulated member: its control plane, what plays the cluster, and what it uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options, Tokens, User};
use federation::operator::clock::SharedClock;
use kube::Client;
use lab::simulated::{Cluster, Load, Logs, Metrics};

use crate::folder::Folder;

/// What is drawn in a simulated cluster depends on this and its name.
const SEED: u64 = 0;

/// A member at work.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) plane: ControlPlane,
    pub(crate) metrics: Metrics,
    /// Ends when it is dropped.
    _cluster: Cluster,
}

impl Member {
    /// Starts it, with what it has kept in the folder.
    pub(crate) async fn start(
        member: lab::simulated::Member,
        folder: Arc<Folder>,
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
        let plane = plane(&folder, &name, options).await?;
        let cluster = Cluster::start(&name, client(&plane), member.options, SEED, clock).await;
        let cluster = cluster.with_context(|| format!("member {name}"))?;
        cluster.feed(&metrics);
        Ok(Self {
            name,
            plane,
            metrics,
            _cluster: cluster,
        })
    }
}

/// A control plane that keeps its data in the folder.
pub(crate) async fn plane(folder: &Folder, name: &str, options: Options) -> Result<ControlPlane> {
    let data = folder.data(name);
    let store = Store::open(&data, StoreOptions::default()).with_context(|| {
        let data = data.display();
        format!("the data of {name} in {data} (remove that folder to begin {name} anew)")
    })?;
    Ok(ControlPlane::start(store, options).await?)
}

/// A client within the process.
pub(crate) fn client(plane: &ControlPlane) -> Client {
    Client::new(plane.router_for(User::admin()), "default")
}
