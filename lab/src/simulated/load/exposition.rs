//! Metrics as Prometheus scrapes them, under the names that the exporters of real clusters use.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::meter::Reading;
use crate::simulated::cache::ObjectKey;

/// Bytes that a node receives a second, now, and has received and sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct NodeReading {
    pub(super) receives: f64,
    pub(super) received: f64,
    pub(super) sent: f64,
}

/// A metric: name, type, what it is.
struct Metric(&'static str, &'static str, &'static str);

const POD_RECEIVED: Metric = Metric(
    "container_network_receive_bytes_total",
    "counter",
    "Cumulative count of bytes received",
);
const POD_SENT: Metric = Metric(
    "container_network_transmit_bytes_total",
    "counter",
    "Cumulative count of bytes transmitted",
);
const POD_CPU: Metric = Metric(
    "container_cpu_usage_seconds_total",
    "counter",
    "Cumulative cpu time consumed",
);
const POD_MEMORY: Metric = Metric(
    "container_memory_working_set_bytes",
    "gauge",
    "Current working set",
);
const NODE_RECEIVED: Metric = Metric(
    "node_network_receive_bytes_total",
    "counter",
    "Network device statistic receive_bytes.",
);
const NODE_SENT: Metric = Metric(
    "node_network_transmit_bytes_total",
    "counter",
    "Network device statistic transmit_bytes.",
);
/// What kube-prometheus records from the counter; here it is known at any moment.
const NODE_RATE: Metric = Metric(
    "instance:node_network_receive_bytes_excluding_lo:rate1m",
    "gauge",
    "Bytes received a second",
);

/// What a cluster's pods and nodes are doing.
pub(super) struct Readings {
    pub(super) cluster: String,
    pub(super) pods: BTreeMap<ObjectKey, Reading>,
    pub(super) nodes: BTreeMap<String, NodeReading>,
}

/// The text that a scrape gets. All samples of a metric stand together, as the format has it.
pub(super) fn exposition(clusters: &[Readings]) -> String {
    let mut text = String::new();
    let mut pod_metric = |metric: &Metric, value: fn(&Reading) -> f64| {
        let samples = clusters.iter().flat_map(|one| {
            let sample =
                |(key, pod)| (of_pod(&one.cluster, key, ("interface", "eth0")), value(pod));
            one.pods.iter().map(sample)
        });
        write(&mut text, metric, samples);
    };
    pod_metric(&POD_RECEIVED, |pod| pod.received);
    pod_metric(&POD_SENT, |pod| pod.sent);
    let mut container_metric = |metric: &Metric, value: fn(&Reading) -> f64| {
        let pods = clusters.iter().flat_map(|one| {
            let pods = one.pods.iter();
            pods.map(|(key, pod)| (one.cluster.as_str(), key, pod))
        });
        let samples = pods.flat_map(|(cluster, key, pod)| {
            let part = value(pod) / pod.containers.len().max(1) as f64;
            let containers = pod.containers.iter();
            containers.map(move |name| (of_pod(cluster, key, ("container", name)), part))
        });
        write(&mut text, metric, samples);
    };
    container_metric(&POD_CPU, |pod| pod.cpu_seconds);
    container_metric(&POD_MEMORY, |pod| pod.memory);
    let mut node_metric = |metric: &Metric, device: bool, value: fn(&NodeReading) -> f64| {
        let samples = clusters.iter().flat_map(|one| {
            one.nodes.iter().map(move |(name, node)| {
                let of_node = [
                    ("cluster_name", one.cluster.clone()),
                    ("instance", name.clone()),
                ];
                let device = device.then(|| ("device", "eth0".to_owned()));
                (of_node.into_iter().chain(device).collect(), value(node))
            })
        });
        write(&mut text, metric, samples);
    };
    node_metric(&NODE_RECEIVED, true, |node| node.received);
    node_metric(&NODE_SENT, true, |node| node.sent);
    node_metric(&NODE_RATE, false, |node| node.receives);
    text
}

fn of_pod(
    cluster: &str,
    key: &ObjectKey,
    (label, value): (&'static str, &str),
) -> Vec<(&'static str, String)> {
    vec![
        ("cluster_name", cluster.to_owned()),
        ("namespace", key.namespace.clone()),
        ("pod", key.name.clone()),
        (label, value.to_owned()),
    ]
}

/// Labels and value.
type Sample = (Vec<(&'static str, String)>, f64);

fn write(text: &mut String, metric: &Metric, samples: impl Iterator<Item = Sample>) {
    let Metric(name, kind, help) = metric;
    // Writing to a text does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        // Names of Kubernetes objects need no escaping.
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
    }
}
