//! Room is what kube-scheduler does: of random nodes, pods and templates, what is said to fit runs,
//! and what is said not to fit stays pending.
//!
//! `ROOM_SEED=N` draws the same cases again.

mod draw;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use federation::capacity::{CapacityEvent, CapacityFeed as _, WatchFeed, shape_of_template};
use federation::members::outbox;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use lab::real::{Lab, Options};
use placement::{ClusterName, PodKey, Snapshot};
use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::available;
use draw::{Draw, RUNTIME, Scene, overhead};

/// Cases, all at once on one cluster.
const CASES: usize = 200;
/// Replicas that are asked for beyond those that are said to fit.
const BEYOND: u64 = 3;
/// No pod has been bound for so long: kube-scheduler tries again what failed after 10 s at most.
const QUIET: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_mins(5);
/// Requests under way at a time.
const AT_ONCE: usize = 32;
const MEMBER: &str = "cluster1";

/// What the watches have told.
#[derive(Default)]
struct Heard {
    snapshot: Snapshot,
    nodes: BTreeSet<String>,
    pods: BTreeSet<PodKey>,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_fit_runs_and_what_is_not_stays_pending() {
    if !available() {
        return;
    }
    let seed = std::env::var("ROOM_SEED").map_or_else(
        |_| RandomState::new().hash_one(()),
        |text| text.parse().unwrap(),
    );
    println!("replay with ROOM_SEED={seed}");
    let mut draw = Draw::new(seed);
    let scenes: Vec<Scene> = (0..CASES).map(|case| draw.scene(case)).collect();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("room");
    let lab = Lab::up(Options::uniform(directory, 1, 0)).await.unwrap();
    let client = lab.client(MEMBER).await.unwrap();

    prepare(&client, &scenes).await;
    let heard = hear(&client, &scenes).await;
    let said: Vec<u64> = scenes.iter().map(|scene| room(&heard, scene)).collect();
    let asked: u64 = said.iter().map(|said| said + BEYOND).sum();
    run(&client, &scenes, &said).await;
    let bound = settled(&client, asked as usize).await;
    lab.down().await.unwrap();

    let (mut too_many, mut too_few) = (0, 0);
    for (scene, said) in scenes.iter().zip(&said) {
        let runs = bound.get(&scene.namespace).copied().unwrap_or(0);
        too_many += said.saturating_sub(runs);
        too_few += runs.saturating_sub(*said);
        if runs != *said {
            let (namespace, template) = (&scene.namespace, &scene.template);
            println!("{namespace}: said {said}, {runs} run: {template}");
            for object in scene.nodes.iter().chain(&scene.pods) {
                println!("    {object}");
            }
        }
    }
    let fit: u64 = said.iter().sum();
    println!(
        "{CASES} cases, {fit} replicas said to fit: {too_many} of them do not run; {too_few} more run"
    );
    assert!(fit > 1_000, "the cases say nothing: {fit} replicas fit");
    assert!(too_many * 100 < fit, "{too_many} of {fit} do not run");
    assert!(too_few * 100 < fit, "{too_few} run beside {fit}");
}

/// Creates namespaces, a runtime, nodes, and the pods on them; waits until the nodes take pods.
async fn prepare(client: &Client, scenes: &[Scene]) {
    let names = scenes.iter().flat_map(|scene| {
        let beside = format!("{}-beside", scene.namespace);
        [scene.namespace.clone(), beside]
    });
    let namespaces = names.map(|name| json!({ "metadata": { "name": name } }));
    let all: Api<Namespace> = Api::all(client.clone());
    create(namespaces.map(|one| (all.clone(), one))).await;
    let runtimes: Api<RuntimeClass> = Api::all(client.clone());
    let heavy = json!({
        "metadata": { "name": RUNTIME }, "handler": RUNTIME, "overhead": { "podFixed": overhead() },
    });
    create(std::iter::once((runtimes, heavy))).await;
    let nodes: Api<Node> = Api::all(client.clone());
    let wanted = scenes.iter().flat_map(|scene| scene.nodes.clone());
    create(wanted.clone().map(|one| (nodes.clone(), one))).await;
    until("the nodes take pods", async || {
        let list = nodes.list(&ListParams::default()).await.unwrap();
        let is_new = |node: &Node| {
            let taints = node.spec.iter().flat_map(|spec| &spec.taints).flatten();
            let mut keys = taints.map(|taint| taint.key.as_str());
            keys.any(|key| key == "node.kubernetes.io/not-ready")
        };
        let ready = list.iter().filter(|node| is_ready(node) && !is_new(node));
        ready.count() == wanted.clone().count()
    })
    .await;
    let pods = scenes.iter().flat_map(|scene| &scene.pods);
    create(pods.map(|pod| {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap();
        (
            Api::<Pod>::namespaced(client.clone(), namespace),
            pod.clone(),
        )
    }))
    .await;
}

fn is_ready(node: &Node) -> bool {
    let status = node.status.iter();
    let mut conditions = status.flat_map(|status| &status.conditions).flatten();
    conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

async fn create<K>(objects: impl Iterator<Item = (Api<K>, Value)>)
where
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let created = stream::iter(objects).for_each_concurrent(AT_ONCE, async |(api, object)| {
        let object: K = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    });
    created.await;
}

/// What the scheduler's own watches make of the cluster.
async fn hear(client: &Client, scenes: &[Scene]) -> Heard {
    let heard: Arc<Mutex<Heard>> = Arc::default();
    let cancel = CancellationToken::new();
    let sink = heard.clone();
    let sink = move |event| sink.lock().unwrap().take(event);
    // Nothing waits here: the sink takes all at once.
    let (outbox, _inbox) = outbox(Counter::default());
    let feed = WatchFeed::new(client.clone(), "room".to_owned(), outbox);
    let feed = feed.run(Box::new(sink), cancel.clone());
    let feed = tokio::spawn(feed);
    let nodes = scenes.iter().map(|scene| scene.nodes.len()).sum();
    let pods = scenes.iter().map(|scene| scene.pods.len()).sum();
    until("all that is there is heard of", async || {
        let heard = heard.lock().unwrap();
        (heard.nodes.len(), heard.pods.len()) == (nodes, pods)
    })
    .await;
    cancel.cancel();
    feed.await.unwrap();
    std::mem::take(&mut heard.lock().unwrap())
}

impl Heard {
    fn take(&mut self, event: CapacityEvent) {
        let cluster = ClusterName::from(MEMBER);
        match event {
            CapacityEvent::Node(node) => {
                self.nodes.insert(node.name.clone());
                self.snapshot.upsert_node(&cluster, node);
            }
            CapacityEvent::Pod(key, pod) => {
                self.pods.insert(key);
                self.snapshot.upsert_pod(&cluster, key, pod);
            }
            CapacityEvent::NodesListed(_) | CapacityEvent::PodsListed(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn room(heard: &Heard, scene: &Scene) -> u64 {
    let shape = shape_of_template(&scene.template, &scene.namespace).unwrap();
    heard.snapshot.capacity(&ClusterName::from(MEMBER), &shape)
}

/// Creates as many replicas as are said to fit, and some more.
async fn run(client: &Client, scenes: &[Scene], said: &[u64]) {
    let replicas = scenes.iter().zip(said).flat_map(|(scene, said)| {
        let pods = Api::<Pod>::namespaced(client.clone(), &scene.namespace);
        (0..said + BEYOND).map(move |number| {
            let mut pod = scene.template.clone();
            pod["metadata"]["name"] = format!("replica-{number}").into();
            (pods.clone(), pod)
        })
    });
    create(replicas).await;
}

/// How many replicas are bound in each namespace, when all have been tried and none has been bound
/// for a while.
async fn settled(client: &Client, asked: usize) -> BTreeMap<String, u64> {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut last = (0, Instant::now());
    let mut bound = BTreeMap::new();
    until("all replicas are decided", async || {
        let list = pods.list(&ListParams::default()).await.unwrap();
        let replicas = list
            .iter()
            .filter(|pod| pod.name_any().starts_with("replica-"));
        bound.clear();
        let mut tried = 0;
        for pod in replicas {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
            if node.is_some() {
                *bound.entry(pod.namespace().unwrap()).or_default() += 1;
            }
            tried += usize::from(node.is_some() || is_refused(pod));
        }
        let now: u64 = bound.values().sum();
        if now != last.0 || tried < asked {
            last = (now, Instant::now());
        }
        last.1.elapsed() > QUIET
    })
    .await;
    bound
}

/// Whether the scheduler says that it fits nowhere.
fn is_refused(pod: &Pod) -> bool {
    let status = pod.status.iter();
    let mut conditions = status.flat_map(|status| &status.conditions).flatten();
    conditions.any(|one| one.type_ == "PodScheduled" && one.status == "False")
}

/// Waits for a state, with a deadline.
async fn until(what: &str, mut seen: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !seen().await {
        assert!(Instant::now() < deadline, "{what}: not seen in time");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
