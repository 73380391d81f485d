//! Clusters that are known by a summary, and nodes that are announced and have not joined yet. Both
//! are counted as nodes; their names are none that a node of Kubernetes can have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::summary::{NodeClass, Summary};
use super::table::Table;
use super::views::Views;
use crate::cluster::{Node, Taint};
use crate::profile::PodTerm;
use crate::resources::Resources;
use crate::shape::PodShape;

/// What is known of a cluster instead of its nodes and pods.
///
/// Where it does not tell whether a replica fits, the replica does not fit:
/// - a shape with host ports, affinity or anti-affinity between pods, or hard spread constraints,
///   because the pods are not known;
/// - a shape that the anti-affinity of a pod there means, as far as it is listed;
/// - a shape that names a node, or selects nodes by a field or by a label that is not listed, also
///   where it must be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSummary {
    /// The nodes that are ready, by class.
    pub classes: Vec<SummaryClass>,
    /// The required anti-affinity of the pods there; what is not listed is taken not to be there.
    pub anti_affinity: Vec<PodTerm>,
}

/// Nodes that are alike but for what is free on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryClass {
    /// What they are like: labels that all of them have, taints that any of them has, cordons
    /// included, and the allocatable amounts of each.
    pub template: NodeTemplate,
    /// What is free on them.
    pub free: Vec<FreeNodes>,
}

/// What is free on some nodes of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreeNodes {
    /// How many nodes.
    pub nodes: u32,
    /// What is free on each of them, at least.
    pub free: Resources,
}

/// What a node is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTemplate {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// What its pods may request in all.
    pub allocatable: Resources,
}

/// The label with a node's name that the kubelet sets.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Begins the names of upcoming nodes.
const UPCOMING: &str = "upcoming/";

impl From<&Summary> for ClusterSummary {
    /// A summary of sums: exact for classes of identical nodes, and otherwise what is free on every
    /// node, however it is distributed. Labels and the anti-affinity of pods are not known.
    fn from(summary: &Summary) -> Self {
        Self {
            classes: summary.classes.iter().map(SummaryClass::from).collect(),
            anti_affinity: Vec::new(),
        }
    }
}

impl From<&NodeClass> for SummaryClass {
    fn from(class: &NodeClass) -> Self {
        let largest = FreeNodes {
            nodes: class.nodes.min(1),
            free: class.largest_free.clone(),
        };
        let others = FreeNodes {
            nodes: class.nodes.saturating_sub(1),
            free: free_on_every_other(class),
        };
        Self {
            template: NodeTemplate {
                allocatable: class.allocatable.clone(),
                ..NodeTemplate::default()
            },
            free: vec![largest, others],
        }
    }
}

/// What is free on every node of a class but the largest: what is left of the sum if all the others
/// have as much as they can. That is what the largest has, as long as the amounts that come first in
/// the order of [`Resources`] are the same on all; then it is what a node has at all.
fn free_on_every_other(class: &NodeClass) -> Resources {
    let largest = &class.largest_free;
    let nodes = i64::from(class.nodes);
    let mut are_same = true;
    let mut every = |sum: i64, largest: i64, allocatable: i64| {
        let most = if are_same { largest } else { allocatable };
        are_same &= sum == largest.saturating_mul(nodes);
        let others = most.saturating_mul(nodes.saturating_sub(2));
        sum.saturating_sub(largest).saturating_sub(others)
    };
    let amount = |of: &Resources, name: &String| of.extended.get(name).copied().unwrap_or(0);
    let (sum, has) = (&class.free, &class.allocatable);
    Resources {
        cpu_milli: every(sum.cpu_milli, largest.cpu_milli, has.cpu_milli),
        memory: every(sum.memory, largest.memory, has.memory),
        ephemeral_storage: every(
            sum.ephemeral_storage,
            largest.ephemeral_storage,
            has.ephemeral_storage,
        ),
        pods: every(sum.pods, largest.pods, has.pods),
        extended: (has.extended.keys())
            .map(|name| {
                let every = every(amount(sum, name), amount(largest, name), amount(has, name));
                (name.clone(), every)
            })
            .collect(),
    }
}

impl Table {
    /// Takes a summary in place of the nodes and pods that are known.
    pub(super) fn summarize(&mut self, summary: &ClusterSummary) {
        if self.summarized.is_none() {
            self.clear();
        }
        let before = self.summarized.replace(Arc::new(summary.clone()));
        let mut names = BTreeSet::new();
        for (number, class) in summary.classes.iter().enumerate() {
            let nodes = (class.free.iter())
                .flat_map(|one| std::iter::repeat_n(&one.free, one.nodes as usize));
            for (place, free) in nodes.enumerate() {
                let name = format!("{number}/{place}");
                let used = class.template.allocatable.saturating_sub(free);
                self.set_node(class.template.node(name.clone()), Some(used));
                names.insert(name);
            }
        }
        for name in self.node_names_but(&names) {
            self.remove_node(&name);
        }
        if before.is_some_and(|before| before.anti_affinity != summary.anti_affinity) {
            self.marks.grew_everywhere();
        }
    }

    /// Takes a node that was reported in place of the summary that was known.
    pub(super) fn upsert_reported_node(&mut self, node: Node) {
        if self.summarized.take().is_some() {
            self.clear();
        }
        self.set_node(node, None);
    }

    /// So many empty nodes like this count from now on.
    pub(super) fn add_upcoming(&mut self, template: &NodeTemplate, count: u32) {
        let upcoming = (self.names.iter()).filter(|name| name.starts_with(UPCOMING));
        let first = upcoming.count();
        for number in (first..).take(count as usize) {
            let mut node = template.node(format!("{UPCOMING}{number}"));
            if self.summarized.is_none() {
                let name = node.name.clone();
                node.labels.entry(HOSTNAME.to_owned()).or_insert(name);
            }
            self.set_node(node, None);
        }
    }

    /// Whether what is known of the cluster does not tell if the shape fits there.
    pub(super) fn is_unknown_for(&self, shape: &PodShape) -> bool {
        self.summarized.as_ref().is_some_and(|summary| {
            let mut terms = summary.anti_affinity.iter();
            shape.depends_on_pods() || terms.any(|term| term.matches(&shape.profile))
        })
    }

    /// Forgets all nodes and pods, and what was computed by other rules.
    fn clear(&mut self) {
        for name in self.node_names_but(&BTreeSet::new()) {
            self.remove_node(&name);
        }
        for key in self.pods_but(&BTreeSet::new()) {
            self.remove_pod(key);
        }
        self.views = Views::default();
    }
}

impl NodeTemplate {
    fn node(&self, name: String) -> Node {
        Node {
            name,
            labels: self.labels.clone(),
            taints: self.taints.clone(),
            unschedulable: false,
            ready: true,
            allocatable: self.allocatable.clone(),
        }
    }
}
