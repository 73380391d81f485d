//! What simulated pods serve and use, and the metrics that say so.
//!
//! A workload's requests follow a [`Curve`]; what they cost its pods is in [`Costs`]. From the two,
//! [`Metrics`] knows what every pod and node uses at any moment: as `metrics.k8s.io` for the API
//! server, as text for a Prometheus, and directly for operators in the same process.

mod curve;
mod exposition;
mod family;
mod meter;
mod prometheus;
mod traffic;
mod usage;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::operator::clock::SharedClock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use serde_json::{Value, json};

pub use curve::{Crowd, Curve};
use exposition::exposition;
use family::{NodeReading, Readings};
use meter::{Meter, Reading, Running};
pub use prometheus::Prometheus;
pub use traffic::Traffic;
pub use usage::{Costs, Load};

use super::cache::{Cache, ObjectKey};
use super::pods::{phase, ready_since};

/// What the pods and nodes of one simulated cluster use. Clones share it.
///
/// It is made before the API server, which takes it as a source, and fed by the cluster, which
/// needs the API server: see [`Cluster::feed`].
///
/// [`Cluster::feed`]: super::Cluster::feed
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    cluster: String,
    clock: SharedClock,
    meter: Mutex<Meter>,
    /// The names of the nodes.
    nodes: Mutex<Vec<String>>,
}

impl Metrics {
    /// The metrics of a cluster whose workloads have these loads, by `namespace/name` of their
    /// Deployment or Job. All that is drawn depends on `seed` and the names.
    pub fn new(
        cluster: &str,
        loads: BTreeMap<String, Load>,
        seed: u64,
        clock: SharedClock,
    ) -> Self {
        Self(Arc::new(Inner {
            cluster: cluster.to_owned(),
            clock,
            meter: Mutex::new(Meter::new(cluster.to_owned(), loads, seed)),
            nodes: Mutex::default(),
        }))
    }

    /// A crowd begins to come to a workload now: so many times as many requests, for so long. A
    /// workload without a load has no requests that could grow.
    pub fn add_crowd(&self, workload: &str, times: f64, lasts: Duration) {
        let crowd = Crowd {
            at: self.now(),
            lasts,
            times,
            clusters: Vec::new(),
        };
        let now = self.now();
        self.meter().add_crowd(workload, crowd, now);
    }

    /// All metrics, as a Prometheus scrapes them.
    pub fn exposition(&self) -> String {
        exposition(&[self.readings()])
    }

    /// The name of the cluster.
    pub fn cluster(&self) -> &str {
        &self.0.cluster
    }

    fn readings(&self) -> Readings {
        let pods = self.read();
        Readings {
            cluster: self.0.cluster.clone(),
            nodes: self.by_node(&pods),
            pods,
        }
    }

    /// Bytes a second that the nodes receive in all.
    pub fn received_by_nodes(&self) -> f64 {
        self.read().values().map(|pod| pod.receives).sum()
    }

    /// Bytes a second that the pods of a namespace receive whose names begin so.
    pub fn received_by_pods(&self, namespace: &str, prefix: &str) -> f64 {
        let pods = self.read();
        let pods = pods.iter();
        pods.filter(|(key, _)| key.namespace == namespace && key.name.starts_with(prefix))
            .map(|(_, pod)| pod.receives)
            .sum()
    }

    /// Follows the pods and nodes of a cluster.
    pub(crate) fn follow(
        &self,
        pods: &Cache<Pod>,
        nodes: &Cache<k8s_openapi::api::core::v1::Node>,
    ) {
        let this = self.clone();
        pods.on_change(move |before, after| this.note(before.map(|p| &**p), after.map(|p| &**p)));
        let this = self.clone();
        let all = nodes.clone();
        nodes.on_change(move |before, after| {
            if before.is_none() || after.is_none() {
                let names = all.all().iter().map(|node| node.name_any()).collect();
                *this.node_names() = names;
            }
        });
        for pod in pods.all() {
            self.note(None, Some(&pod));
        }
        *self.node_names() = nodes.all().iter().map(|node| node.name_any()).collect();
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.0.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node_names(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, before: Option<&Pod>, after: Option<&Pod>) {
        let now = self.now();
        let Some(pod) = after.or(before) else { return };
        let key = ObjectKey::of(pod);
        match after
            .filter(|pod| phase(pod) == "Running")
            .and_then(running)
        {
            Some(running) => self.meter().set(&key, running, now),
            None => self.meter().remove(&key, now),
        }
    }

    fn read(&self) -> BTreeMap<ObjectKey, Reading> {
        let now = self.now();
        self.meter().read(now)
    }

    fn by_node(&self, pods: &BTreeMap<ObjectKey, Reading>) -> BTreeMap<String, NodeReading> {
        let names = self.node_names().clone();
        let meter = self.meter();
        let mut nodes: BTreeMap<String, NodeReading> = names
            .into_iter()
            .map(|name| {
                let (received, sent) = meter.gone(&name);
                let reading = NodeReading {
                    received,
                    sent,
                    ..NodeReading::default()
                };
                (name, reading)
            })
            .collect();
        for pod in pods.values() {
            if let Some(node) = nodes.get_mut(&pod.node) {
                node.receives += pod.receives;
                node.received += pod.received;
                node.sends += pod.sends;
                node.sent += pod.sent;
            }
        }
        nodes
    }

    fn item(&self, kind: &str, metadata: &Value, field: &str, value: &Value) -> Value {
        let now = self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut item = json!({
            "apiVersion": "metrics.k8s.io/v1beta1",
            "kind": kind,
            "metadata": metadata,
            "timestamp": now,
            "window": "20s",
            field: value,
        });
        item["metadata"]["creationTimestamp"] = now.into();
        item
    }
}

impl control_plane::MetricsSource for Metrics {
    fn nodes(&self) -> Vec<Value> {
        let pods = self.read();
        let names = self.node_names().clone();
        let items = names.into_iter().map(|name| {
            let here = pods.values().filter(|pod| pod.node == name);
            let (cpu, memory) = here.fold((0.0, 0.0), |(cpu, memory), pod| {
                (cpu + pod.cpu, memory + pod.memory)
            });
            let metadata = json!({ "name": name });
            self.item("NodeMetrics", &metadata, "usage", &usage(cpu, memory))
        });
        items.collect()
    }

    fn pods(&self, namespace: Option<&str>) -> Vec<Value> {
        let pods = self.read();
        let pods = pods.iter();
        let pods =
            pods.filter(|(key, _)| namespace.is_none_or(|namespace| key.namespace == namespace));
        let items = pods.map(|(key, pod)| {
            let parts = pod.containers.len().max(1) as f64;
            let containers = pod.containers.iter().map(
                |name| json!({ "name": name, "usage": usage(pod.cpu / parts, pod.memory / parts) }),
            );
            let containers: Value = containers.collect();
            let metadata = json!({ "namespace": key.namespace, "name": key.name });
            self.item("PodMetrics", &metadata, "containers", &containers)
        });
        items.collect()
    }
}

/// Amounts as the metrics server writes them: nanocores and KiB.
fn usage(cpu: f64, memory: f64) -> Value {
    let (cpu, memory) = ((cpu * 1e9).round() as i64, (memory / 1024.0).round() as i64);
    json!({ "cpu": format!("{cpu}n"), "memory": format!("{memory}Ki") })
}

/// A pod as the meter counts it; none if it is not bound.
fn running(pod: &Pod) -> Option<Running> {
    let spec = pod.spec.as_ref()?;
    let node = spec.node_name.clone().filter(|node| !node.is_empty())?;
    Some(Running {
        uid: pod.uid().unwrap_or_default(),
        workload: workload(pod),
        deployment: deployment(pod),
        node,
        containers: spec.containers.iter().map(|one| one.name.clone()).collect(),
        ready: ready_since(pod).is_some() && pod.metadata.deletion_timestamp.is_none(),
    })
}

/// `namespace/name` of the Deployment or Job that made a pod; of the pod itself if nothing did.
fn workload(pod: &Pod) -> String {
    let namespace = pod.namespace().unwrap_or_default();
    let name = deployment(pod).or_else(|| Some(owner(pod)?.name.clone()));
    format!("{namespace}/{}", name.unwrap_or_else(|| pod.name_any()))
}

/// The name of the Deployment that made a pod. Its `ReplicaSets` are called after it and the
/// template.
fn deployment(pod: &Pod) -> Option<String> {
    let hash = pod.labels().get("pod-template-hash")?;
    let name = owner(pod)?.name.strip_suffix(hash)?.strip_suffix('-')?;
    Some(name.to_owned())
}

fn owner(pod: &Pod) -> Option<&OwnerReference> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true))
}
