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

/// The text that a scrape gets.
pub(super) fn exposition(
    cluster: &str,
    pods: &BTreeMap<ObjectKey, Reading>,
    nodes: &BTreeMap<String, NodeReading>,
) -> String {
    let mut text = String::new();
    let of_pod = |key: &ObjectKey| {
        vec![
            ("cluster_name", cluster.to_owned()),
            ("namespace", key.namespace.clone()),
            ("pod", key.name.clone()),
            ("interface", "eth0".to_owned()),
        ]
    };
    let mut pod_metric = |metric: &Metric, value: fn(&Reading) -> f64| {
        let samples = pods.iter().map(|(key, pod)| (of_pod(key), value(pod)));
        write(&mut text, metric, samples);
    };
    pod_metric(&POD_RECEIVED, |pod| pod.received);
    pod_metric(&POD_SENT, |pod| pod.sent);
    let mut container_metric = |metric: &Metric, value: fn(&Reading) -> f64| {
        let samples = pods.iter().flat_map(|(key, pod)| {
            let part = value(pod) / pod.containers.len().max(1) as f64;
            pod.containers.iter().map(move |container| {
                let labels = vec![
                    ("cluster_name", cluster.to_owned()),
                    ("namespace", key.namespace.clone()),
                    ("pod", key.name.clone()),
                    ("container", container.clone()),
                ];
                (labels, part)
            })
        });
        write(&mut text, metric, samples);
    };
    container_metric(&POD_CPU, |pod| pod.cpu_seconds);
    container_metric(&POD_MEMORY, |pod| pod.memory);
    let of_node = |node: &String| {
        vec![
            ("cluster_name", cluster.to_owned()),
            ("instance", node.clone()),
        ]
    };
    let mut node_metric = |metric: &Metric, device: bool, value: fn(&NodeReading) -> f64| {
        let samples = nodes.iter().map(|(name, node)| {
            let device = device.then(|| ("device", "eth0".to_owned()));
            let labels = of_node(name).into_iter().chain(device).collect();
            (labels, value(node))
        });
        write(&mut text, metric, samples);
    };
    node_metric(&NODE_RECEIVED, true, |node| node.received);
    node_metric(&NODE_SENT, true, |node| node.sent);
    node_metric(&NODE_RATE, false, |node| node.receives);
    text
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
