//! A cluster as plain maps, and the rules of Kubernetes in their most literal form.

use std::collections::{BTreeMap, BTreeSet};

use placement::{
    ClusterName, Node, NodeConstraints, NodeTerm, Operator, OwnerKey, Pod, PodKey, PodShape,
    Profile, Requirement, Resources, Snapshot, Taint, TaintEffect, Toleration, TolerationOperator,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) pods: BTreeMap<PodKey, Pod>,
}

impl Model {
    /// Replicas that fit, without the pods of one owner.
    pub(crate) fn capacity(&self, shape: &PodShape, without: Option<OwnerKey>) -> u64 {
        self.nodes
            .values()
            .map(|node| self.fits(node, shape, without))
            .sum()
    }

    /// Replicas that fit on a node, if it will do.
    pub(crate) fn fits(&self, node: &Node, shape: &PodShape, without: Option<OwnerKey>) -> u64 {
        if !node.ready || !admits(node, &shape.constraints) {
            return 0;
        }
        let there =
            |pod: &&Pod| pod.node == node.name && !(without.is_some() && pod.owner == without);
        let pods: Vec<&Pod> = self.pods.values().filter(there).collect();
        let mut most = node.allocatable.pods - i64::try_from(pods.len()).unwrap();
        for resource in ["cpu", "memory", "storage", "gpu", "fpga"] {
            let wanted = amount(&shape.requests, resource);
            if wanted > 0 {
                let used: i64 = pods.iter().map(|pod| amount(&pod.requests, resource)).sum();
                most = most.min((amount(&node.allocatable, resource) - used).div_euclid(wanted));
            }
        }
        u64::try_from(most).unwrap_or(0)
    }

    /// A snapshot of all this, pods first.
    pub(crate) fn snapshot(&self, cluster: &ClusterName) -> Snapshot {
        let mut snapshot = Snapshot::new();
        for (key, pod) in &self.pods {
            snapshot.upsert_pod(cluster, *key, pod.clone());
        }
        for node in self.nodes.values() {
            snapshot.upsert_node(cluster, node.clone());
        }
        snapshot
    }
}

fn amount(resources: &Resources, name: &str) -> i64 {
    match name {
        "cpu" => resources.cpu_milli,
        "memory" => resources.memory,
        "storage" => resources.ephemeral_storage,
        _ => resources.extended.get(name).copied().unwrap_or(0),
    }
}

pub(crate) fn admits(node: &Node, constraints: &NodeConstraints) -> bool {
    let mut taints = node.taints.clone();
    if node.unschedulable {
        taints.push(taint(
            "node.kubernetes.io/unschedulable",
            "",
            TaintEffect::NoSchedule,
        ));
    }
    let tolerated = |taint: &Taint| {
        taint.effect == TaintEffect::PreferNoSchedule
            || constraints.tolerations.iter().any(|one| {
                let key = one.key.as_ref().is_none_or(|key| *key == taint.key);
                let value = match one.operator {
                    TolerationOperator::Exists => true,
                    TolerationOperator::Equal => {
                        one.key.is_some() && one.value.clone().unwrap_or_default() == taint.value
                    }
                };
                key && value && one.effect.is_none_or(|effect| effect == taint.effect)
            })
    };
    let term = |term: &NodeTerm| {
        let labels = term
            .labels
            .iter()
            .all(|one| meets(one, node.labels.get(&one.key)));
        let fields = term
            .fields
            .iter()
            .all(|one| one.key == "metadata.name" && meets(one, Some(&node.name)));
        labels && fields && !(term.labels.is_empty() && term.fields.is_empty())
    };
    taints.iter().all(tolerated)
        && constraints
            .node_name
            .as_ref()
            .is_none_or(|name| *name == node.name)
        && constraints
            .node_selector
            .iter()
            .all(|(key, value)| node.labels.get(key) == Some(value))
        && constraints
            .affinity
            .as_ref()
            .is_none_or(|terms| terms.iter().any(term))
}

pub(crate) fn meets(requirement: &Requirement, value: Option<&String>) -> bool {
    let number = |text: &String| text.parse::<i64>().ok();
    let bound = || requirement.values.first().and_then(number);
    let single = requirement.values.len() == 1;
    match requirement.operator {
        Operator::In => value.is_some_and(|value| requirement.values.contains(value)),
        Operator::NotIn => value.is_none_or(|value| !requirement.values.contains(value)),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
        Operator::Gt => {
            single && matches!((value.and_then(number), bound()), (Some(v), Some(b)) if v > b)
        }
        Operator::Lt => {
            single && matches!((value.and_then(number), bound()), (Some(v), Some(b)) if v < b)
        }
    }
}

fn taint(key: &str, value: &str, effect: TaintEffect) -> Taint {
    Taint {
        key: key.to_owned(),
        value: value.to_owned(),
        effect,
    }
}

// What the cases are drawn from: few names, so that they meet.

pub(crate) fn node_name() -> impl Strategy<Value = String> {
    (0..7_u8).prop_map(|number| format!("n{number}"))
}

pub(crate) fn node_names() -> impl Strategy<Value = BTreeSet<String>> {
    btree_set(node_name(), 0..7)
}

pub(crate) fn pod_key() -> impl Strategy<Value = PodKey> {
    (0..14_u128).prop_map(PodKey)
}

pub(crate) fn owner() -> impl Strategy<Value = OwnerKey> {
    (1..4_u128).prop_map(OwnerKey)
}

fn texts(all: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(all).prop_map(str::to_owned)
}

fn label() -> impl Strategy<Value = String> {
    texts(&["zone", "cores", "disk"])
}

fn value() -> impl Strategy<Value = String> {
    texts(&["a", "b", "4", "8", "16", "-1", ""])
}

fn effect() -> impl Strategy<Value = TaintEffect> {
    select(vec![
        TaintEffect::NoSchedule,
        TaintEffect::PreferNoSchedule,
        TaintEffect::NoExecute,
    ])
}

prop_compose! {
    fn any_taint()(
        key in texts(&["edge", "gpu", "node.kubernetes.io/unschedulable"]),
        value in texts(&["", "yes"]),
        effect in effect(),
    ) -> Taint {
        Taint { key, value, effect }
    }
}

prop_compose! {
    /// Sizes around multiples of what is requested.
    fn allocatable()(
        cpu in 0..9_i64, memory in 0..9_i64, odd in -1..2_i64, storage in 0..5_i64, pods in 0..9_i64,
        extended in btree_map(texts(&["gpu", "fpga"]), 0..5_i64, 0..3),
    ) -> Resources {
        Resources {
            cpu_milli: cpu * 500 + odd,
            memory: (memory << 30) + odd,
            ephemeral_storage: storage << 30,
            pods,
            extended,
        }
    }
}

pub(crate) fn requests() -> impl Strategy<Value = Resources> {
    let common = (0..4_i64, 0..4_i64).prop_map(|(cpu, memory)| Resources {
        cpu_milli: cpu * 250,
        memory: memory << 29,
        ..Resources::default()
    });
    let rare = (
        0..3_i64,
        0..3_i64,
        0..3_i64,
        btree_map(texts(&["gpu", "fpga"]), 0..3_i64, 0..3),
    )
        .prop_map(|(cpu, memory, storage, extended)| Resources {
            cpu_milli: cpu * 333,
            memory: memory * 700_000_001,
            ephemeral_storage: storage << 29,
            pods: 0,
            extended,
        });
    prop_oneof![2 => common, 1 => rare]
}

prop_compose! {
    pub(crate) fn node()(
        name in node_name(),
        labels in btree_map(label(), value(), 0..4),
        taints in vec(any_taint(), 0..2),
        bare in prop::bool::weighted(0.6),
        unschedulable in prop::bool::weighted(0.15),
        ready in prop::bool::weighted(0.85),
        allocatable in allocatable(),
    ) -> Node {
        let taints = if bare { Vec::new() } else { taints };
        let mut labels = labels;
        labels.insert("host".to_owned(), name.clone());
        Node { name, labels, taints, unschedulable, ready, allocatable }
    }
}

prop_compose! {
    pub(crate) fn pod()(
        node in node_name(), requests in requests(), owner in option::of(owner()),
    ) -> Pod {
        Pod { node, requests, owner, profile: Profile::default() }
    }
}

prop_compose! {
    fn requirement()(
        key in texts(&["zone", "cores", "disk", "host", "absent"]),
        operator in select(vec![
            Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist,
            Operator::Gt, Operator::Lt,
        ]),
        values in vec(prop_oneof![4 => value(), 1 => node_name()], 1..3),
    ) -> Requirement {
        Requirement { key, operator, values }
    }
}

prop_compose! {
    fn field()(
        key in prop_oneof![5 => Just("metadata.name"), 1 => Just("metadata.uid")],
        operator in select(vec![Operator::In, Operator::NotIn]),
        values in vec(node_name(), 1..3),
    ) -> Requirement {
        Requirement { key: key.to_owned(), operator, values }
    }
}

prop_compose! {
    fn term()(labels in vec(requirement(), 0..3), fields in vec(field(), 0..2)) -> NodeTerm {
        NodeTerm { labels, fields }
    }
}

prop_compose! {
    fn toleration()(
        key in option::weighted(
            0.8, texts(&["edge", "gpu", "node.kubernetes.io/unschedulable"]),
        ),
        operator in select(vec![TolerationOperator::Equal, TolerationOperator::Exists]),
        value in option::of(texts(&["", "yes"])),
        effect in option::of(effect()),
    ) -> Toleration {
        Toleration { key, operator, value, effect }
    }
}

prop_compose! {
    pub(crate) fn shape()(
        requests in requests(),
        plain in prop::bool::weighted(0.3),
        node_name in option::weighted(0.1, node_name()),
        node_selector in btree_map(label(), value(), 0..2),
        affinity in option::weighted(0.4, vec(term(), 0..3)),
        tolerations in vec(toleration(), 0..3),
    ) -> PodShape {
        let constraints = NodeConstraints { node_name, node_selector, affinity, tolerations };
        PodShape {
            requests,
            constraints: if plain { NodeConstraints::default() } else { constraints },
            ..PodShape::default()
        }
    }
}
