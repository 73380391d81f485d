//! What the pods of the benchmark use: each workload has a load in each cluster, and its pods there
//! share it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use control_plane::MetricsSource;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use lab::simulated::{Cluster, Random};
use serde_json::{Value, json};

/// The label with the name of a pod's workload.
pub(super) const APP: &str = "app";
/// CPU of a pod that is exactly on target, in nanocores: half of what it asks for.
const ON_TARGET: f64 = 1e8;
/// A load that nobody has changed: so many pods on target. One pod is within its tolerance.
const USUAL: f64 = 0.94;
/// The relative deviation of a load that changes.
const NOISE: f64 = 0.02;

/// The loads of all workloads. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Loads(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By workload and cluster, in pods on target, where it is not the usual.
    changed: BTreeMap<(String, String), f64>,
    /// Whether every load is another one at every look.
    noisy: bool,
    looks: u64,
}

impl Loads {
    /// The load of a workload in a cluster is so many pods on target from now on.
    pub(super) fn set(&self, workload: &str, cluster: &str, pods: f64) {
        let key = (workload.to_owned(), cluster.to_owned());
        self.state().changed.insert(key, pods);
    }

    /// From now on, loads change all the time, or stay.
    pub(super) fn set_noisy(&self, noisy: bool) {
        self.state().noisy = noisy;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The metrics server of one cluster. Clones are the same.
#[derive(Clone)]
pub(super) struct MetricsServer {
    name: String,
    loads: Loads,
    cluster: Arc<OnceLock<Weak<Cluster>>>,
}

impl MetricsServer {
    /// It measures nothing before it knows its cluster.
    pub(super) fn new(name: &str, loads: &Loads) -> Self {
        Self {
            name: name.to_owned(),
            loads: loads.clone(),
            cluster: Arc::default(),
        }
    }

    /// Measures the pods of this cluster from now on.
    pub(super) fn follow(&self, cluster: &Arc<Cluster>) {
        // It is told once.
        self.cluster.set(Arc::downgrade(cluster)).ok();
    }

    /// Nanocores of each pod that is ready, by workload.
    fn usage(&self, workloads: &BTreeMap<String, Vec<Arc<Pod>>>) -> BTreeMap<String, f64> {
        let mut state = self.loads.state();
        state.looks += 1;
        let usage = workloads.iter().map(|(workload, pods)| {
            let key = (workload.clone(), self.name.clone());
            let load = state.changed.get(&key).copied().unwrap_or(USUAL);
            let noise = if state.noisy {
                let mut random = Random::new(state.looks, &format!("{workload}@{}", self.name));
                1.0 + NOISE * random.normal()
            } else {
                1.0
            };
            let each = load * noise * ON_TARGET / pods.len().max(1) as f64;
            (workload.clone(), each)
        });
        usage.collect()
    }

    fn ready_pods(&self) -> BTreeMap<String, Vec<Arc<Pod>>> {
        let cluster = self.cluster.get().and_then(Weak::upgrade);
        let pods = cluster.map(|cluster| cluster.pods()).unwrap_or_default();
        let mut workloads: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
        for pod in pods.into_iter().filter(|pod| is_ready(pod)) {
            if let Some(workload) = pod.labels().get(APP) {
                let pods = workloads.entry(workload.clone()).or_default();
                pods.push(pod);
            }
        }
        workloads
    }
}

impl MetricsSource for MetricsServer {
    fn nodes(&self) -> Vec<Value> {
        Vec::new()
    }

    /// All pods are in one namespace.
    fn pods(&self, _: Option<&str>) -> Vec<Value> {
        let workloads = self.ready_pods();
        let usage = self.usage(&workloads);
        let now = Timestamp::now();
        let items = workloads.iter().flat_map(|(workload, pods)| {
            let nanocores = usage.get(workload).copied().unwrap_or_default();
            pods.iter().map(move |pod| item(pod, nanocores, now))
        });
        items.collect()
    }
}

fn item(pod: &Pod, nanocores: f64, now: Timestamp) -> Value {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
        "metadata": {
            "name": pod.name_any(), "namespace": pod.namespace(), "creationTimestamp": now,
            "labels": pod.labels(),
        },
        "timestamp": now, "window": "15s",
        "containers": [{
            "name": "main",
            "usage": { "cpu": format!("{}n", nanocores as i64), "memory": "10240Ki" },
        }],
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.flatten().filter(|one| one.type_ == "Ready");
    ready.any(|one| one.status == "True") && pod.metadata.deletion_timestamp.is_none()
}
