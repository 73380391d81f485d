//! The hub and the members: control planes, and what plays the members' clusters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use control_plane::{ControlPlane, Host};
use federation::operator::clock::SharedClock;
use federation::proximity::{RoundTripTimes, pair};
use futures::future::try_join_all;
use lab::access::install_crds;
use lab::simulated::{Clusters, HUB, Metrics};
use lab::simulation::{Network, Trace};

use crate::api_listener::Access;
use crate::member::{Member, SEED, Storage, client, plane};
use crate::registry;

/// What everything else is about.
pub(crate) struct World {
    pub(crate) hub: ControlPlane,
    pub(crate) members: Vec<Member>,
    pub(crate) round_trip_times: RoundTripTimes,
}

impl World {
    /// Starts the hub and the members side by side: each waits for its disk. The hub knows the
    /// members then.
    pub(crate) async fn start(
        clusters: Clusters,
        storage: &Storage,
        access: &Access,
        clock: &SharedClock,
    ) -> Result<Self> {
        let hub = tokio::spawn(start_hub(storage.clone(), access.clone()));
        let regions = regions(&clusters);
        let members = clusters.members.into_iter().map(|member| {
            let (storage, access) = (storage.clone(), access.clone());
            let (loads, clock) = (clusters.loads.clone(), Arc::clone(clock));
            let started = tokio::spawn(Member::start(member, storage, access, loads, clock));
            async { started.await? }
        });
        let members = try_join_all(members).await?;
        let hub = hub.await??;
        registry::announce(&client(&hub), &regions).await?;
        Ok(Self {
            hub,
            members,
            round_trip_times: clusters.round_trip_times,
        })
    }

    /// The names of the hub and of the members.
    pub(crate) fn names(&self) -> Vec<String> {
        let members = self.members.iter().map(|member| member.name.clone());
        [HUB.to_owned()].into_iter().chain(members).collect()
    }

    /// All of them, for people.
    pub(crate) fn host(&self) -> Host {
        let host = Host::new();
        host.insert(HUB, self.hub.router());
        for member in &self.members {
            host.insert(&member.name, member.plane.router());
        }
        host
    }

    /// All of them, for the operators. Ways take as long as the configuration says.
    pub(crate) fn network(&self) -> Network {
        let network = Network::new(SEED, Trace::none());
        network.add(HUB, self.hub.router(), Duration::ZERO);
        for member in &self.members {
            let time = self.round_trip_times.get(&pair(HUB, &member.name)).copied();
            network.add(
                &member.name,
                member.plane.router(),
                time.unwrap_or_default(),
            );
        }
        network
    }

    /// What the members use.
    pub(crate) fn metrics(&self) -> Vec<Metrics> {
        let members = self.members.iter();
        members.map(|member| member.metrics.clone()).collect()
    }
}

async fn start_hub(storage: Storage, access: Access) -> Result<ControlPlane> {
    let hub = plane(&storage, HUB, access.options(HUB)).await?;
    let installed = install_crds(&client(&hub)).await;
    installed.context("the hub's CRDs")?;
    Ok(hub)
}

/// The region of each member: that of its first nodes.
fn regions(clusters: &Clusters) -> BTreeMap<String, Option<String>> {
    let region = |member: &lab::simulated::Member| {
        let group = member.options.nodes.first();
        (member.name.clone(), group.map(|group| group.region.clone()))
    };
    clusters.members.iter().map(region).collect()
}
