//! A simulated cluster with an API server of its own, in virtual time.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control_plane::store::{self, Store};
use control_plane::{ControlPlane, Sources, User};
use federation::operator::clock::{SharedClock, VirtualClock};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, Resource};
use lab::simulated::{Cluster, Options, Random};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long anything may take, in virtual time.
const PATIENCE: Duration = Duration::from_hours(1);

/// A simulated cluster and its API server.
pub struct Lab {
    pub cluster: Cluster,
    pub client: Client,
    pub clock: SharedClock,
    pub store: Store,
    _plane: ControlPlane,
}

/// A client of a new API server, which has this seed.
pub async fn api_server(seed: u64, clock: &SharedClock) -> (ControlPlane, Client) {
    let (now, random) = (Arc::clone(clock), Mutex::new(Random::new(seed, "api")));
    let sources = Sources {
        clock: Arc::new(move || now.now()),
        randomness: Arc::new(move || random.lock().unwrap().draw()),
    };
    let options = control_plane::Options {
        sources,
        ..control_plane::Options::default()
    };
    let store = Store::memory(store::Options::default());
    let plane = ControlPlane::start(store, options).await.unwrap();
    let client = Client::new(plane.router_for(User::admin()), "default");
    (plane, client)
}

/// A clock that runs with tokio's.
pub fn clock() -> SharedClock {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    Arc::new(VirtualClock::starting_at(start))
}

impl Lab {
    /// A cluster with these options, and this seed.
    pub async fn start(options: Options, seed: u64) -> Self {
        let clock = clock();
        let (plane, client) = api_server(seed, &clock).await;
        let shared = Arc::clone(&clock);
        let cluster = Cluster::start("c1", client.clone(), options, seed, shared);
        Self {
            cluster: cluster.await.unwrap(),
            client,
            clock,
            store: plane.store().clone(),
            _plane: plane,
        }
    }

    /// Five nodes, and otherwise the defaults.
    pub async fn new() -> Self {
        Self::start(Options::default(), 1).await
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api()
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }

    pub async fn pods(&self) -> Vec<Pod> {
        self.api().list(&ListParams::default()).await.unwrap().items
    }

    pub async fn pod(&self, name: &str) -> Pod {
        self.api().get(name).await.unwrap()
    }

    /// Lets virtual time pass.
    pub async fn pass(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Waits until what is looked at is as wanted, and gives it.
    pub async fn until<T, F>(&self, what: &str, mut look: impl FnMut() -> F) -> T
    where
        F: Future<Output = Option<T>>,
    {
        let wait = async {
            loop {
                if let Some(seen) = look().await {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, wait).await;
        seen.unwrap_or_else(|_| panic!("never seen: {what}"))
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> i64 {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        self.clock.now().as_second() - start.as_second()
    }
}

pub fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status.and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

pub fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// A condition of a pod: status and reason.
pub fn condition(pod: &Pod, kind: &str) -> (String, String) {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    let one = conditions.find(|one| one.type_ == kind);
    one.map_or_else(Default::default, |one| {
        (one.status.clone(), one.reason.clone().unwrap_or_default())
    })
}
