//! What a simulated cluster is made of and how it behaves.

use std::collections::BTreeMap;
use std::time::Duration;

use placement::Taint;

use super::delay::Delay;

/// What a simulated cluster is made of and how it behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The nodes it begins with.
    pub nodes: Vec<NodeGroup>,
    /// From a pod's binding until its containers run and are ready.
    pub startup: Delay,
    /// How long a pod runs that is meant to end and does not say how long
    /// (`lab.mck8s.io/run-seconds`).
    pub run: Delay,
    /// From a pod's deletion until it is gone; never more than its grace period.
    pub shutdown: Delay,
    /// What goes wrong by itself.
    pub failures: Failures,
    /// Whether controllers write Events. They are a third of all writes.
    pub events: bool,
    /// The time between two renewals of a node's lease; none for nodes that have no leases. What
    /// happens to a lost node does not depend on them.
    pub heartbeat: Option<Duration>,
    /// From the loss of a node until it counts as not ready.
    pub node_grace: Duration,
}

/// Nodes that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeGroup {
    /// Nodes are called `<cluster>-<name><number>`.
    pub name: String,
    /// How many.
    pub count: usize,
    /// Cores, as `4` or `500m`.
    pub cpu: String,
    /// Bytes, as `16Gi`.
    pub memory: String,
    /// The number of pods.
    pub pods: u32,
    /// Other resources by name, as `ephemeral-storage: 100Gi` or `nvidia.com/gpu: 1`.
    pub resources: BTreeMap<String, String>,
    /// Labels beside the ones that every node has.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// `topology.kubernetes.io/region`.
    pub region: String,
    /// `topology.kubernetes.io/zone`.
    pub zone: String,
}

/// What goes wrong by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Failures {
    /// The probability that a pod that is meant to end fails, from 0 to 1.
    pub job: f64,
    /// How often an hour the containers of a pod that is meant to stay crash.
    pub crashes_an_hour: f64,
}

impl Options {
    /// `nodes` alike nodes of the default size, and behaviour as [`Options::default`] has it.
    pub fn uniform(nodes: usize) -> Self {
        Self {
            nodes: vec![NodeGroup {
                count: nodes,
                ..NodeGroup::default()
            }],
            ..Self::default()
        }
    }
}

impl Default for Options {
    /// Five default nodes. Pods start within 2 s, run for a minute if they are meant to end, and
    /// stop within a second. Nothing fails by itself.
    fn default() -> Self {
        Self {
            nodes: vec![NodeGroup::default()],
            startup: Delay::Fixed(Duration::from_secs(2)),
            run: Delay::Fixed(Duration::from_mins(1)),
            shutdown: Delay::Fixed(Duration::from_secs(1)),
            failures: Failures::default(),
            events: true,
            heartbeat: Some(Duration::from_mins(5)),
            node_grace: Duration::from_secs(40),
        }
    }
}

impl Default for NodeGroup {
    /// Five nodes of 4 cores, 16 GiB and, as kubelets have it, 110 pods.
    fn default() -> Self {
        Self {
            name: "node".to_owned(),
            count: 5,
            cpu: "4".to_owned(),
            memory: "16Gi".to_owned(),
            pods: 110,
            resources: BTreeMap::from([("ephemeral-storage".to_owned(), "100Gi".to_owned())]),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            region: "region1".to_owned(),
            zone: "region1-a".to_owned(),
        }
    }
}
