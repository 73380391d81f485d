//! A hub with the scheduler and the autoscaler, three members, and a load that grows on one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use federation::operator::clock::{Clock, SharedClock};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use lab::simulated::{Clusters, Crowd, Curve, Load, Member, Options};
use lab::simulation::{Operator, World, run};
use multi_cluster_hpa::source::MetricSource;
use serde_json::Value;

/// The deployment that is scaled: on cluster2 and cluster3, two replicas each, of one core.
pub const DEPLOYMENT: &str =
    include_str!("../../../manifests/examples/01_example_deployment_preferred_clusters.yaml");
/// The autoscaler, as users of the original write it: 2 to 10 replicas, cpu at 50 %.
pub const AUTOSCALER: &str = include_str!("../../../manifests/examples/07_example_hpa.yaml");

/// What is simulated.
pub struct Scene {
    pub world: World,
    pub clock: Arc<JumpingClock>,
    _scheduler: Operator,
    autoscaler: Operator,
}

/// The autoscaler's time of day: the world's, and a jump.
pub struct JumpingClock {
    world: SharedClock,
    ahead: AtomicI64,
}

impl JumpingClock {
    /// Puts it so many seconds ahead of the world's.
    pub fn jump(&self, seconds: i64) {
        self.ahead.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed));
        self.world.now() + ahead
    }
}

/// How a scene begins.
#[derive(Default)]
pub struct Beginning {
    /// Nodes of four cores, by cluster; three where nothing is said.
    pub nodes: BTreeMap<&'static str, usize>,
    pub flags: Vec<&'static str>,
    pub prometheus: Option<Arc<dyn MetricSource>>,
    /// The world's own Prometheus answers instead.
    pub knows_the_load: bool,
    /// The requests to `default/hello`; those of [`Scene::begin`] where nothing is said.
    pub requests: Option<Curve>,
}

/// Plays a story to its end in virtual time.
pub fn play<T>(story: impl Future<Output = T>) -> T {
    run(story).unwrap()
}

impl Scene {
    /// Begins at midnight. `default/hello` gets 150 requests a second on cluster2 and cluster3, and
    /// none on cluster1: two replicas are enough for them on each. From ten past to twenty to one
    /// four times as many come to cluster2: six replicas are enough for them.
    pub async fn begin(beginning: Beginning) -> Self {
        let members = ["cluster1", "cluster2", "cluster3"].map(|name| {
            let nodes = beginning.nodes.get(name).copied().unwrap_or(3);
            Member {
                name: name.to_owned(),
                options: Options::uniform(nodes),
            }
        });
        let crowd = || Curve {
            base: 150.0,
            shares: BTreeMap::from([("cluster1".to_owned(), 0.0)]),
            crowds: vec![Crowd {
                at: "2026-01-01T00:10:00Z".parse().unwrap(),
                lasts: Duration::from_mins(30),
                times: 4.0,
                clusters: vec!["cluster2".to_owned()],
            }],
            ..Curve::default()
        };
        let load = Load {
            requests: beginning.requests.unwrap_or_else(crowd),
            ..Load::default()
        };
        let loads = BTreeMap::from([("default/hello".to_owned(), load)]);
        let clusters = Clusters {
            members: members.into(),
            round_trip_times: BTreeMap::new(),
            loads,
        };
        let world = World::of(1, clusters).await.unwrap();
        let clock = Arc::new(JumpingClock {
            world: world.clock.clone(),
            ahead: AtomicI64::default(),
        });
        let scheduler = world.scheduler(&["--cluster-toleration=2m"]).unwrap();
        let shared: SharedClock = clock.clone();
        let prometheus = if beginning.knows_the_load {
            Some(Arc::new(world.prometheus()) as Arc<dyn MetricSource>)
        } else {
            beginning.prometheus
        };
        let autoscaler = world.autoscaler(&beginning.flags, shared, prometheus);
        Self {
            world,
            clock,
            _scheduler: scheduler,
            autoscaler: autoscaler.unwrap(),
        }
    }

    /// As above, with the two examples applied.
    pub async fn with_examples(beginning: Beginning) -> Self {
        let scene = Self::begin(beginning).await;
        scene.apply(&yaml(DEPLOYMENT)).await;
        scene.apply(&yaml(AUTOSCALER)).await;
        scene
    }

    /// Kills the autoscaler and starts another one.
    pub fn restart_the_autoscaler(&mut self) {
        let clock: SharedClock = self.clock.clone();
        let next = self.world.autoscaler(&[], clock, None).unwrap();
        std::mem::replace(&mut self.autoscaler, next).kill();
    }

    /// Applies an object to the hub, in the namespace `default`.
    pub async fn apply(&self, object: &Value) {
        self.try_apply(object).await.unwrap();
    }

    /// The same, if it is let.
    pub async fn try_apply(&self, object: &Value) -> Result<(), kube::Error> {
        let mut object = object.clone();
        object["metadata"]["namespace"] = "default".into();
        self.world.apply(&object).await
    }

    /// Lets time pass until so many minutes and seconds after midnight.
    pub async fn until(&self, minutes: i64, seconds: i64) {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let then = start + SignedDuration::from_secs(minutes * 60 + seconds);
        let wait = then.duration_since(self.world.clock.now());
        tokio::time::sleep(wait.try_into().unwrap()).await;
    }

    pub async fn get(&self, kind: &str, name: &str) -> Value {
        let api = self.api(kind);
        serde_json::to_value(api.get(name).await.unwrap()).unwrap()
    }

    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("fogguru.eu", "v1", kind);
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.world.hub_client(), "default", &resource)
    }

    /// The status of the autoscaler.
    pub async fn status(&self) -> Value {
        self.status_of("hello").await
    }

    pub async fn status_of(&self, name: &str) -> Value {
        let object = self.get("MultiClusterHorizontalPodAutoscaler", name).await;
        object["status"].clone()
    }

    /// The replicas that the deployment wants by cluster.
    pub async fn wanted(&self) -> BTreeMap<String, u64> {
        let object = self.get("MultiClusterDeployment", "hello").await;
        let entries = object["spec"]["clusterReplicas"].as_array().cloned();
        let entries = entries.into_iter().flatten();
        let entry = |one: Value| {
            (
                one["cluster"].as_str().unwrap().to_owned(),
                one["replicas"].as_u64().unwrap(),
            )
        };
        entries.map(entry).collect()
    }

    /// The replicas that the scheduler placed by cluster.
    pub async fn placed(&self) -> BTreeMap<String, u64> {
        let object = self.get("MultiClusterDeployment", "hello").await;
        let entries = object["status"]["placements"].as_array().cloned();
        let entries = entries.into_iter().flatten();
        let entry = |one: Value| {
            (
                one["cluster"].as_str().unwrap().to_owned(),
                one["replicas"].as_u64().unwrap(),
            )
        };
        entries.map(entry).collect()
    }

    /// The Events of a reason, as texts.
    pub async fn events(&self, reason: &str) -> Vec<String> {
        let client = self.world.hub_client();
        let api: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client, "default");
        let list = api.list(&ListParams::default()).await.unwrap();
        let events = list.items.into_iter();
        let events = events.filter(|event| event.reason.as_deref() == Some(reason));
        events.filter_map(|event| event.message).collect()
    }
}

/// Replicas by cluster.
pub fn replicas(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let entries = entries.iter();
    entries
        .map(|(cluster, replicas)| ((*cluster).to_owned(), *replicas))
        .collect()
}

/// A condition of a status: status, reason, message.
pub fn condition(status: &Value, kind: &str) -> (String, String, String) {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let one = conditions.into_iter().find(|one| one["type"] == kind);
    let one = one.unwrap_or_else(|| panic!("no condition {kind} in {status}"));
    let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}
