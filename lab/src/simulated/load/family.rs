//! The metrics that a Prometheus has of simulated clusters: one list, for scrapes and for queries.
//!
//! The names and labels are those of the exporters of real clusters, after the clusters' own
//! Prometheus were federated: every sample carries `cluster_name`.

use std::collections::BTreeMap;

use super::meter::Reading;
use crate::simulated::cache::ObjectKey;
use crate::simulated::promql::{Family, Growth, Sample, Series};

/// What a cluster's pods and nodes are doing.
pub(super) struct Readings {
    pub(super) cluster: String,
    pub(super) pods: BTreeMap<ObjectKey, Reading>,
    pub(super) nodes: BTreeMap<String, NodeReading>,
}

/// Bytes that a node receives and sends a second, now, and has received and sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct NodeReading {
    pub(super) receives: f64,
    pub(super) received: f64,
    pub(super) sends: f64,
    pub(super) sent: f64,
}

/// A metric.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    of: Of,
}

/// What has samples of a metric, and what they are.
enum Of {
    Pod(Level<Reading>),
    /// What a pod uses, divided evenly.
    Container(Level<Reading>),
    /// A pod that a Deployment made.
    Replica(Level<Reading>),
    Node(Level<NodeReading>),
    /// The same, by network device.
    Device(Level<NodeReading>),
}

/// How it is read.
enum Level<R> {
    Gauge(fn(&R) -> f64),
    /// The sum so far, and how much it grows a second now.
    Counter(fn(&R) -> f64, fn(&R) -> f64),
}

/// All of them, in the order of a scrape.
pub(super) const METRICS: [Metric; 9] = [
    Metric {
        name: "container_network_receive_bytes_total",
        help: "Cumulative count of bytes received",
        of: Of::Pod(Level::Counter(|pod| pod.received, |pod| pod.receives)),
    },
    Metric {
        name: "container_network_transmit_bytes_total",
        help: "Cumulative count of bytes transmitted",
        of: Of::Pod(Level::Counter(|pod| pod.sent, |pod| pod.sends)),
    },
    Metric {
        name: "container_cpu_usage_seconds_total",
        help: "Cumulative cpu time consumed",
        of: Of::Container(Level::Counter(|pod| pod.cpu_seconds, |pod| pod.cpu)),
    },
    Metric {
        name: "container_memory_working_set_bytes",
        help: "Current working set",
        of: Of::Container(Level::Gauge(|pod| pod.memory)),
    },
    Metric {
        name: "http_requests_total",
        help: "Requests that were served",
        of: Of::Replica(Level::Counter(|pod| pod.requests, |pod| pod.serves)),
    },
    // What an adapter makes of the counter for an autoscaler; here it is known at any moment.
    Metric {
        name: "http_requests_per_second",
        help: "Requests served a second",
        of: Of::Replica(Level::Gauge(|pod| pod.serves)),
    },
    Metric {
        name: "node_network_receive_bytes_total",
        help: "Network device statistic receive_bytes.",
        of: Of::Device(Level::Counter(|node| node.received, |node| node.receives)),
    },
    Metric {
        name: "node_network_transmit_bytes_total",
        help: "Network device statistic transmit_bytes.",
        of: Of::Device(Level::Counter(|node| node.sent, |node| node.sends)),
    },
    // What kube-prometheus records from the counter.
    Metric {
        name: "instance:node_network_receive_bytes_excluding_lo:rate1m",
        help: "Bytes received a second",
        of: Of::Node(Level::Gauge(|node| node.receives)),
    },
];

/// The value of each label.
type Labels = Vec<(&'static str, String)>;

impl Metric {
    /// The samples of all clusters.
    pub(super) fn family(&self, clusters: &[Readings]) -> Family {
        let mut samples = Vec::new();
        for one in clusters {
            match &self.of {
                Of::Pod(level) => samples.extend(one.pods.iter().map(|(key, pod)| {
                    let interface = ("interface", "eth0".to_owned());
                    level.sample(pod, 1.0, one.of_pod(key, interface))
                })),
                Of::Container(level) => samples.extend(one.pods.iter().flat_map(|(key, pod)| {
                    let part = 1.0 / pod.containers.len().max(1) as f64;
                    let containers = pod.containers.iter();
                    containers.map(move |name| {
                        level.sample(pod, part, one.of_pod(key, ("container", name.clone())))
                    })
                })),
                Of::Replica(level) => samples.extend(one.pods.iter().filter_map(|(key, pod)| {
                    let deployment = ("deployment", pod.deployment.clone()?);
                    Some(level.sample(pod, 1.0, one.of_pod(key, deployment)))
                })),
                Of::Node(level) => samples.extend(
                    (one.nodes.iter())
                        .map(|(name, node)| level.sample(node, 1.0, one.of_node(name))),
                ),
                Of::Device(level) => samples.extend(one.nodes.iter().map(|(name, node)| {
                    let mut labels = one.of_node(name);
                    labels.push(("device", "eth0".to_owned()));
                    level.sample(node, 1.0, labels)
                })),
            }
        }
        Family {
            name: self.name,
            growth: self.growth(),
            samples,
        }
    }

    fn growth(&self) -> Growth {
        match self.of {
            Of::Pod(Level::Counter(..))
            | Of::Container(Level::Counter(..))
            | Of::Replica(Level::Counter(..))
            | Of::Node(Level::Counter(..))
            | Of::Device(Level::Counter(..)) => Growth::Counter,
            _ => Growth::Gauge,
        }
    }
}

impl<R> Level<R> {
    /// A part of what is read.
    fn sample(&self, reading: &R, part: f64, labels: Labels) -> Sample {
        let (value, rate) = match self {
            Self::Gauge(value) => (value(reading), 0.0),
            Self::Counter(value, rate) => (value(reading), rate(reading)),
        };
        Sample {
            labels,
            value: value * part,
            rate: rate * part,
        }
    }
}

impl Readings {
    fn of_pod(&self, key: &ObjectKey, further: (&'static str, String)) -> Labels {
        vec![
            ("cluster_name", self.cluster.clone()),
            ("namespace", key.namespace.clone()),
            ("pod", key.name.clone()),
            further,
        ]
    }

    fn of_node(&self, name: &str) -> Labels {
        vec![
            ("cluster_name", self.cluster.clone()),
            ("instance", name.to_owned()),
        ]
    }
}

impl Series for [Readings] {
    fn families(&self, is_asked: &dyn Fn(&str) -> bool) -> Vec<Family> {
        let asked = METRICS.iter().filter(|metric| is_asked(metric.name));
        asked.map(|metric| metric.family(self)).collect()
    }
}
