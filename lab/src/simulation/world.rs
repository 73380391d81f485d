//! A hub, its members and the operators that serve it, in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control_plane::store::Store;
use control_plane::{ControlPlane, MetricsSource, Sources, User};
use federation::operator::clock::{SharedClock, VirtualClock};
use federation::operator::context::Substitutes;
use federation::operator::frame::OperatorEntry;
use federation::proximity::{RoundTripTimes, pair};
use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use multi_cluster_hpa::source::MetricSource;
use multi_cluster_scheduler::ProximitySource;
use serde_json::{Value, json};

use super::metering::MetricsServer;
use super::network::Network;
use super::operator::{Launch, Operator};
use super::trace::Trace;
use crate::access;
use crate::operators::OPERATORS;
use crate::simulated::{self, Cluster, Clusters, Load, Metrics, Options, Prometheus};

/// The name of the hub on the network.
pub const HUB: &str = simulated::HUB;
/// The namespace of the hub that holds the access to members.
pub(super) const ACCESS_NAMESPACE: &str = "kube-system";
/// When every simulation begins.
const START: &str = "2026-01-01T00:00:00Z";
/// From the operators to a member and back, where nothing else is said.
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
    round_trip_times: RoundTripTimes,
    loads: BTreeMap<String, Load>,
    seed: u64,
}

/// A member: an API server and what plays a cluster against it.
pub struct Member {
    /// The API server.
    pub plane: ControlPlane,
    /// The controllers, the scheduler and the kubelets.
    pub cluster: Cluster,
    /// What its pods and nodes use.
    pub metrics: Metrics,
    /// What serves them at the API server.
    pub metrics_server: MetricsServer,
}

impl Member {
    /// A client that nothing goes wrong with.
    pub(super) fn client(&self) -> Client {
        client(&self.plane)
    }
}

/// Where members are played.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) network: Network,
    pub(super) clock: SharedClock,
    seed: u64,
    round_trip_times: RoundTripTimes,
    loads: BTreeMap<String, Load>,
}

impl Stage {
    /// A cluster begins to play, and answers on the network under its name.
    pub(super) async fn play(&self, name: &str, options: Options) -> Result<Member, Error> {
        let (seed, clock) = (self.seed, &self.clock);
        let metrics = Metrics::new(name, self.loads.clone(), seed, clock.clone());
        let metrics_server = MetricsServer::new(metrics.clone());
        let source: Arc<dyn MetricsSource> = Arc::new(metrics_server.clone());
        let plane = control_plane(seed, name, clock, Some(source)).await?;
        let cluster = Cluster::start(name, client(&plane), options, seed, clock.clone()).await?;
        cluster.feed(&metrics);
        let round_trip = self.round_trip_times.get(&pair(HUB, name)).copied();
        let router = plane.router_for(admin());
        self.network
            .add(name, router, round_trip.unwrap_or(ROUND_TRIP));
        Ok(Member {
            plane,
            cluster,
            metrics,
            metrics_server,
        })
    }
}

impl World {
    /// A hub with our CRDs, and members of these kinds by name, which the hub knows. Within a
    /// runtime of one thread whose clock is paused; [`super::run`] makes it.
    pub async fn start(seed: u64, members: BTreeMap<String, Options>) -> Result<Self, Error> {
        let members = members
            .into_iter()
            .map(|(name, options)| simulated::Member { name, options });
        let clusters = Clusters {
            members: members.collect(),
            round_trip_times: RoundTripTimes::new(),
            loads: BTreeMap::new(),
        };
        Self::of(seed, clusters).await
    }

    /// The same, of clusters as a file has them.
    pub async fn of(seed: u64, clusters: Clusters) -> Result<Self, Error> {
        let start: Timestamp = START.parse()?;
        let clock: SharedClock = Arc::new(VirtualClock::starting_at(start));
        let trace = Trace::new();
        let network = Network::new(seed, trace.clone());
        let hub = control_plane(seed, HUB, &clock, None).await?;
        network.add(HUB, hub.router_for(admin()), Duration::from_millis(1));
        let mut world = Self {
            network,
            trace,
            clock,
            hub,
            members: BTreeMap::new(),
            round_trip_times: clusters.round_trip_times,
            loads: clusters.loads,
            seed,
        };
        access::install_crds(&world.hub_client()).await?;
        for member in clusters.members {
            world.join(&member.name, member.options).await?;
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
        let member = self.stage().play(name, options).await?;
        self.members.insert(name.to_owned(), member);
        self.register(name).await
    }

    /// Where members are played.
    pub(super) fn stage(&self) -> Stage {
        Stage {
            network: self.network.clone(),
            clock: self.clock.clone(),
            seed: self.seed,
            round_trip_times: self.round_trip_times.clone(),
            loads: self.loads.clone(),
        }
    }

    /// The hub gets to know a member, as somebody who has its credentials does it.
    pub async fn register(&self, name: &str) -> Result<(), Error> {
        self.forget(name).await?;
        // Whoever comes over the network is the administrator, whatever the token.
        let servers = [(name, format!("http://{name}"))];
        let kubeconfig = access::kubeconfig(&servers, "", "simulated");
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": name, "namespace": ACCESS_NAMESPACE },
            "stringData": { "kubeconfig": kubeconfig },
        }))
        .await?;
        self.apply(&json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": name },
            "spec": { "access": { "secretRef": { "namespace": ACCESS_NAMESPACE, "name": name } } },
        }))
        .await?;
        Ok(())
    }

    /// A person takes a member out of the federation: it is drained, and then forgotten.
    pub async fn deregister(&self, name: &str) -> Result<(), kube::Error> {
        let params = kube::api::DeleteParams::default();
        self.member_clusters().delete(name, &params).await?;
        Ok(())
    }

    /// The forced way, for a member that is being drained: what it holds stays there.
    async fn forget(&self, name: &str) -> Result<(), kube::Error> {
        let api = self.member_clusters();
        let found = api.get_opt(name).await?;
        let is_leaving = |object: &DynamicObject| object.metadata.deletion_timestamp.is_some();
        if !found.as_ref().is_some_and(is_leaving) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        match api.patch(name, &PatchParams::default(), &patch).await {
            // It was drained meanwhile.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            patched => patched.map(drop),
        }
    }

    fn member_clusters(&self) -> Api<DynamicObject> {
        let kind = kube::core::GroupVersionKind::gvk("fogguru.eu", "v1", "MemberCluster");
        let resource = kube::core::ApiResource::from_gvk(&kind);
        Api::all_with(self.hub_client(), &resource)
    }

    /// Applies an object to the hub, server-side.
    pub async fn apply(&self, object: &Value) -> Result<(), kube::Error> {
        apply(&self.hub_client(), object).await
    }

    /// Starts the scheduler, the only copy, with these flags besides the usual.
    pub fn scheduler(&self, flags: &[&str]) -> Result<Operator, Error> {
        let alone = ["--leader-elect=false"];
        self.copy_of_scheduler("scheduler", &[&alone, flags].concat())
    }

    /// Starts a copy of the scheduler, of which only the leader writes.
    pub fn copy_of_scheduler(&self, identity: &str, flags: &[&str]) -> Result<Operator, Error> {
        self.operator(OPERATORS[0], identity, flags, self.substitutes())
    }

    /// Starts an operator by its row of a table, with these flags besides the usual.
    pub fn operator(
        &self,
        entry: OperatorEntry,
        identity: &str,
        flags: &[&str],
        substitutes: Substitutes,
    ) -> Result<Operator, Error> {
        let clock = self.clock.clone();
        self.launch(entry, identity, flags, clock, substitutes)
    }

    fn launch(
        &self,
        entry: OperatorEntry,
        identity: &str,
        flags: &[&str],
        clock: SharedClock,
        substitutes: Substitutes,
    ) -> Result<Operator, Error> {
        let launch = Launch {
            entry,
            network: self.network.clone(),
            clock,
            identity: identity.to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            substitutes,
        };
        launch.start()
    }

    /// What takes the place of servers that are not simulated: the round-trip times, if they are
    /// known.
    pub(super) fn substitutes(&self) -> Substitutes {
        let substitutes = Substitutes::default();
        if self.round_trip_times.is_empty() {
            return substitutes;
        }
        substitutes.with(ProximitySource::Fixed(self.round_trip_times.clone()))
    }

    /// A Prometheus that knows the members of now.
    pub fn prometheus(&self) -> Prometheus {
        let metrics = self.members.values().map(|member| member.metrics.clone());
        Prometheus::of(metrics.collect(), self.clock.clone())
    }

    /// Starts the autoscaler, the only copy, with these flags besides the usual. Its time of day is
    /// its own, and so is what answers its queries.
    pub fn autoscaler(
        &self,
        flags: &[&str],
        clock: SharedClock,
        prometheus: Option<Arc<dyn MetricSource>>,
    ) -> Result<Operator, Error> {
        let alone = ["--leader-elect=false"];
        let substitutes = match prometheus {
            Some(prometheus) => self.substitutes().with(prometheus),
            None => self.substitutes(),
        };
        let flags = [&alone, flags].concat();
        self.launch(OPERATORS[1], "autoscaler", &flags, clock, substitutes)
    }
}

/// An API server whose time and randomness come from the simulation.
async fn control_plane(
    seed: u64,
    name: &str,
    clock: &SharedClock,
    metrics: Option<Arc<dyn MetricsSource>>,
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
        metrics,
        ..control_plane::Options::default()
    };
    let store = Store::memory(control_plane::store::Options {
        yields: true,
        ..control_plane::store::Options::default()
    });
    ControlPlane::start(store, options).await
}

fn client(plane: &ControlPlane) -> Client {
    Client::new(plane.router_for(admin()), "default")
}

fn admin() -> User {
    User::admin()
}

/// Applies an object to an API server, server-side.
pub(crate) async fn apply(client: &Client, object: &Value) -> Result<(), kube::Error> {
    let object: DynamicObject =
        serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
    let types = object.types.clone().unwrap_or_default();
    let kind = kube::core::GroupVersionKind::try_from(&types)
        .map_err(|error| kube::Error::Service(Box::new(error)))?;
    let resource = kube::core::ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object.metadata.name.clone().unwrap_or_default();
    let params = PatchParams::apply("scenario").force();
    api.patch(&name, &params, &Patch::Apply(&object)).await?;
    Ok(())
}
