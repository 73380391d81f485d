//! A hub, its members and the operators that serve it, in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser as _;
use control_plane::store::Store;
use control_plane::{ControlPlane, Sources, User};
use federation::operator::clock::{SharedClock, VirtualClock};
use federation::operator::http::Health;
use federation::operator::leader::Leadership;
use federation::operator::network::Network as Door;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Config};
use multi_cluster_scheduler::{Args, Context, Metrics};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::faults::Faults;
use super::network::{Network, Vantage};
use super::trace::Trace;
use crate::access;
use crate::simulated::{Cluster, Options};

/// The name of the hub on the network.
pub const HUB: &str = "hub";
/// When every simulation begins.
const START: &str = "2026-01-01T00:00:00Z";
/// From the operators to a member and back.
const ROUND_TRIP: Duration = Duration::from_millis(10);

/// What can go wrong with a simulation itself.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A hub, members and operators.
pub struct World {
    /// The network between them.
    pub network: Network,
    /// What happened on it.
    pub trace: Trace,
    /// The time.
    pub clock: SharedClock,
    /// The hub.
    pub hub: ControlPlane,
    /// The members by name.
    pub members: BTreeMap<String, Member>,
    seed: u64,
}

/// A member: an API server and what plays a cluster against it.
pub struct Member {
    /// The API server.
    pub plane: ControlPlane,
    /// The controllers, the scheduler and the kubelets.
    pub cluster: Cluster,
}

/// An operator at work. Dropped, it goes on; see [`Operator::kill`].
pub struct Operator {
    vantage: Vantage,
    cancel: CancellationToken,
}

impl Operator {
    /// Ends it at whatever point it has reached: nothing of it reaches the network any more.
    pub fn kill(self) {
        self.vantage.kill();
        self.cancel.cancel();
    }
}

impl World {
    /// A hub with our CRDs, and members of these kinds by name, which the hub knows. Within a
    /// runtime of one thread whose clock is paused; [`super::run`] makes it.
    pub async fn start(seed: u64, members: BTreeMap<String, Options>) -> Result<Self, Error> {
        let start: Timestamp = START.parse()?;
        let clock: SharedClock = Arc::new(VirtualClock::starting_at(start));
        let trace = Trace::new();
        let network = Network::new(Faults::none(), trace.clone());
        let hub = control_plane(seed, HUB, &clock).await?;
        network.add(HUB, hub.router_for(admin()), Duration::from_millis(1));
        let mut world = Self {
            network,
            trace,
            clock,
            hub,
            members: BTreeMap::new(),
            seed,
        };
        access::install_crds(&world.hub_client()).await?;
        for (name, options) in members {
            world.join(&name, options).await?;
        }
        Ok(world)
    }

    /// A client for the hub that nothing goes wrong with.
    pub fn hub_client(&self) -> Client {
        client(&self.hub)
    }

    /// A client for a member that nothing goes wrong with.
    pub fn member_client(&self, name: &str) -> Option<Client> {
        self.members.get(name).map(|member| client(&member.plane))
    }

    /// A member joins: it plays, and the hub gets its `MemberCluster`.
    pub async fn join(&mut self, name: &str, options: Options) -> Result<(), Error> {
        let plane = control_plane(self.seed, name, &self.clock).await?;
        let cluster =
            Cluster::start(name, client(&plane), options, self.seed, self.clock.clone()).await?;
        self.network
            .add(name, plane.router_for(admin()), ROUND_TRIP);
        self.members
            .insert(name.to_owned(), Member { plane, cluster });
        // Whoever comes over the network is the administrator, whatever the token.
        let servers = [(name, format!("http://{name}"))];
        let kubeconfig = access::kubeconfig(&servers, "", "simulated");
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": name, "namespace": "kube-system" },
            "stringData": { "kubeconfig": kubeconfig },
        }))
        .await?;
        self.apply(&json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": name },
            "spec": { "access": { "secretRef": { "namespace": "kube-system", "name": name } } },
        }))
        .await?;
        Ok(())
    }

    /// Applies an object to the hub, server-side.
    pub async fn apply(&self, object: &Value) -> Result<(), kube::Error> {
        apply(&self.hub_client(), object).await
    }

    /// Starts the scheduler, with these flags besides the usual.
    pub fn scheduler(&self, flags: &[&str]) -> Result<Operator, Error> {
        let args = ["multi-cluster-scheduler"].iter().chain(flags);
        let args = Args::try_parse_from(args)?;
        let vantage = self.network.vantage("scheduler");
        let cancel = CancellationToken::new();
        let context = Context {
            network: Door::simulated(Arc::new(vantage.clone())),
            hub: Config::new(format!("http://{HUB}").parse()?),
            hub_context: None,
            member_contexts: None,
            identity: "scheduler".to_owned(),
            leadership: Leadership::always(),
            options: args.options(),
            clock: self.clock.clone(),
            metrics: Metrics::new(&mut Registry::default()),
            health: Health::new(&["hub", "members"]),
            traffic: None,
            proximity: None,
        };
        let (trace, stop) = (self.trace.clone(), cancel.clone());
        tokio::task::spawn_local(async move {
            if let Err(error) = Box::pin(multi_cluster_scheduler::run(context, stop)).await {
                trace.line(&format!("scheduler ended: {error}"));
            }
        });
        Ok(Operator { vantage, cancel })
    }
}

/// An API server whose time and randomness come from the simulation.
async fn control_plane(
    seed: u64,
    name: &str,
    clock: &SharedClock,
) -> Result<ControlPlane, control_plane::StartError> {
    let clock = clock.clone();
    let random = Mutex::new(crate::simulated::Random::new(seed, &format!("{name}/api")));
    let options = control_plane::Options {
        sources: Sources {
            clock: Arc::new(move || clock.now()),
            randomness: Arc::new(move || {
                let mut random = random
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                random.draw()
            }),
        },
        ..control_plane::Options::default()
    };
    ControlPlane::start(
        Store::memory(control_plane::store::Options::default()),
        options,
    )
    .await
}

fn client(plane: &ControlPlane) -> Client {
    Client::new(plane.router_for(admin()), "default")
}

fn admin() -> User {
    User::admin()
}

/// Applies an object to an API server, server-side.
pub(super) async fn apply(client: &Client, object: &Value) -> Result<(), kube::Error> {
    let object: kube::api::DynamicObject =
        serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
    let types = object.types.clone().unwrap_or_default();
    let kind = kube::core::GroupVersionKind::try_from(&types)
        .map_err(|error| kube::Error::Service(Box::new(error)))?;
    let resource = kube::core::ApiResource::from_gvk(&kind);
    let api: Api<kube::api::DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object.metadata.name.clone().unwrap_or_default();
    let params = PatchParams::apply("simulation").force();
    api.patch(&name, &params, &Patch::Apply(&object)).await?;
    Ok(())
}
