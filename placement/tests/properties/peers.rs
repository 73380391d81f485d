//! Room among other pods is what kube-scheduler's filters leave, one replica after the other, in
//! their most literal form.

use std::collections::{BTreeMap, BTreeSet};

use placement::{
    ClusterName, HostPort, LabelSet, Node, NodeConstraints, Operator, OwnerKey, Pod, PodShape,
    PodTerm, Profile, Requirement, Resources, Snapshot, SpreadConstraint, Taint, TaintEffect,
    Toleration, TolerationOperator,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::config;
use crate::model::{self, Model};

/// A pod that is there: its node and what is looked at.
type There<'a> = (&'a Node, &'a Profile);

/// The filters, evaluated from scratch for each replica.
struct Filters<'a> {
    nodes: Vec<&'a Node>,
    pods: Vec<There<'a>>,
    /// Pods of the owner: only what wants to be near them sees them.
    own: Vec<There<'a>>,
    shape: &'a PodShape,
}

fn selects(selector: &[Requirement], labels: &LabelSet) -> bool {
    let value = |key: &str| labels.get(key).map(str::to_owned);
    selector
        .iter()
        .all(|one| model::meets(one, value(&one.key).as_ref()))
}

fn means(term: &PodTerm, pod: &Profile) -> bool {
    let named = term.namespaces.contains(&pod.namespace.to_string());
    // Only selectors of all namespaces are drawn.
    (named || term.namespace_selector.is_some()) && selects(&term.selector, &pod.labels)
}

fn same_domain(key: &str, one: &Node, other: &Node) -> bool {
    let label = one.labels.get(key);
    label.is_some() && label == other.labels.get(key)
}

impl<'a> Filters<'a> {
    fn allow(&self, node: &Node) -> bool {
        self.ports(node) && self.anti_affinity(node) && self.affinity(node) && self.spread(node)
    }

    fn ports(&self, node: &Node) -> bool {
        let wanted = &self.shape.profile.host_ports;
        let here = self
            .pods
            .iter()
            .filter(|(there, _)| there.name == node.name);
        let mut held = here.flat_map(|(_, pod)| &pod.host_ports);
        !held.any(|held| {
            wanted.iter().any(|one| {
                let all = |port: &HostPort| *port.ip == *"0.0.0.0";
                one.port == held.port
                    && one.protocol == held.protocol
                    && (one.ip == held.ip || all(one) || all(held))
            })
        })
    }

    fn anti_affinity(&self, node: &Node) -> bool {
        let new = &self.shape.profile;
        self.pods.iter().all(|(there, pod)| {
            let apart = |of: &Profile, from: &Profile| {
                let mut terms = of.anti_affinity.iter();
                !terms.any(|term| means(term, from) && same_domain(&term.topology_key, node, there))
            };
            apart(new, pod) && apart(pod, new)
        })
    }

    fn affinity(&self, node: &Node) -> bool {
        let terms = &self.shape.affinity;
        if terms.is_empty() {
            return true;
        }
        let all = |pod: &Profile| terms.iter().all(|term| means(term, pod));
        let there = self.pods.iter().chain(&self.own);
        let wanted: Vec<&There<'_>> = there.filter(|(_, pod)| all(pod)).collect();
        let has = |node: &Node, term: &PodTerm| node.labels.contains_key(&term.topology_key);
        if !terms.iter().all(|term| has(node, term)) {
            return false;
        }
        let counted = |(there, _): &&&There<'_>| terms.iter().any(|term| has(there, term));
        if wanted.iter().filter(counted).count() == 0 {
            return all(&self.shape.profile);
        }
        terms.iter().all(|term| {
            let mut wanted = wanted.iter();
            wanted.any(|(there, _)| same_domain(&term.topology_key, node, there))
        })
    }

    fn spread(&self, node: &Node) -> bool {
        let shape = self.shape;
        let all_keys = |node: &Node| {
            let mut keys = shape.spread.iter().map(|one| &one.topology_key);
            keys.all(|key| node.labels.contains_key(key))
        };
        shape.spread.iter().all(|one| {
            let Some(domain) = node.labels.get(&one.topology_key) else {
                return false;
            };
            let selecting = NodeConstraints {
                tolerations: vec![everything()],
                node_name: None,
                ..shape.constraints.clone()
            };
            let tolerating = NodeConstraints {
                tolerations: shape.constraints.tolerations.clone(),
                ..NodeConstraints::default()
            };
            let counts = |node: &Node| {
                all_keys(node)
                    && (!one.honors_affinity || model::admits(node, &selecting))
                    && (!one.honors_taints || node.ready && model::admits(node, &tolerating))
            };
            let mut domains: BTreeMap<&String, usize> = BTreeMap::new();
            for node in self.nodes.iter().filter(|node| counts(node)) {
                domains.entry(&node.labels[&one.topology_key]).or_default();
            }
            for (there, pod) in &self.pods {
                if counts(there)
                    && !one.selector.is_empty()
                    && pod.namespace == shape.profile.namespace
                    && selects(&one.selector, &pod.labels)
                {
                    *domains.entry(&there.labels[&one.topology_key]).or_default() += 1;
                }
            }
            let few = domains.len() < one.min_domains.max(1) as usize;
            let least = domains.values().min().copied().unwrap_or(0);
            let least = if few { 0 } else { least };
            let own = !one.selector.is_empty() && selects(&one.selector, &shape.profile.labels);
            let own = usize::from(own);
            domains.get(domain).copied().unwrap_or(0) + own <= least + one.max_skew as usize
        })
    }

    /// The least and the most replicas that may be placed until none fits any more.
    fn bounds(
        &mut self,
        rooms: &mut Vec<u64>,
        seen: &mut BTreeMap<Vec<u64>, (u64, u64)>,
    ) -> (u64, u64) {
        if let Some(known) = seen.get(rooms) {
            return *known;
        }
        let mut bounds: Option<(u64, u64)> = None;
        for place in 0..self.nodes.len() {
            let node = self.nodes[place];
            if rooms[place] == 0 || !self.allow(node) {
                continue;
            }
            rooms[place] -= 1;
            let profile: &'a Profile = &self.shape.profile;
            self.pods.push((node, profile));
            let (least, most) = self.bounds(rooms, seen);
            self.pods.pop();
            rooms[place] += 1;
            bounds = Some(match bounds {
                None => (least + 1, most + 1),
                Some((a, b)) => (a.min(least + 1), b.max(most + 1)),
            });
        }
        let bounds = bounds.unwrap_or((0, 0));
        seen.insert(rooms.clone(), bounds);
        bounds
    }
}

/// What the filters allow for a shape, without an owner's pods.
fn bounds(model: &Model, shape: &PodShape, without: Option<OwnerKey>) -> (u64, u64) {
    let there = |own: bool| {
        let pods = model.pods.values();
        let pods = pods.filter(move |pod| (without.is_some() && pod.owner == without) == own);
        pods.filter_map(|pod| Some((model.nodes.get(&pod.node)?, &pod.profile)))
            .collect()
    };
    let mut filters = Filters {
        nodes: model.nodes.values().collect(),
        pods: there(false),
        own: there(true),
        shape,
    };
    let rooms = model.nodes.values();
    let mut rooms: Vec<u64> = rooms.map(|node| model.fits(node, shape, without)).collect();
    filters.bounds(&mut rooms, &mut BTreeMap::new())
}

fn everything() -> Toleration {
    Toleration {
        key: None,
        operator: TolerationOperator::Exists,
        value: None,
        effect: None,
    }
}

fn text(all: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(all).prop_map(str::to_owned)
}

fn labels() -> impl Strategy<Value = LabelSet> {
    let labels = btree_map(text(&["app", "tier"]), text(&["a", "b"]), 0..3);
    labels.prop_map(|labels| LabelSet::from(&labels))
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let operators = vec![Operator::In, Operator::NotIn, Operator::Exists];
    (text(&["app", "tier"]), select(operators), text(&["a", "b"])).prop_map(
        |(key, operator, value)| Requirement {
            key,
            operator,
            values: vec![value],
        },
    )
}

prop_compose! {
    pub(crate) fn term()(
        selector in vec(requirement(), 0..2),
        namespaces in vec(text(&["here", "there"]), 0..2),
        all in prop::bool::weighted(0.2),
        topology_key in text(&["zone", "host", "rack"]),
    ) -> PodTerm {
        let namespace_selector = all.then(Vec::new);
        PodTerm { selector, namespaces, namespace_selector, topology_key }
    }
}

prop_compose! {
    fn port()(
        ip in text(&["0.0.0.0", "10.0.0.1", "10.0.0.2"]),
        protocol in text(&["TCP", "UDP"]),
        port in 80..82_u16,
    ) -> HostPort {
        HostPort { ip: ip.into(), protocol: protocol.into(), port }
    }
}

prop_compose! {
    fn profile()(
        namespace in text(&["here", "here", "there"]),
        labels in labels(),
        host_ports in prop_oneof![3 => Just(Vec::new()), 1 => vec(port(), 1..3)],
        anti_affinity in prop_oneof![2 => Just(Vec::new()), 1 => vec(term(), 1..3)],
    ) -> Profile {
        Profile {
            namespace: namespace.into(),
            labels,
            host_ports: host_ports.into(),
            anti_affinity: anti_affinity.into(),
        }
    }
}

prop_compose! {
    fn spread()(
        topology_key in text(&["zone", "host", "rack"]),
        max_skew in 1..3_u32,
        min_domains in 1..4_u32,
        selector in vec(requirement(), 0..2),
        honors_affinity: bool,
        honors_taints: bool,
    ) -> SpreadConstraint {
        SpreadConstraint {
            topology_key, max_skew, min_domains, selector, honors_affinity, honors_taints,
        }
    }
}

prop_compose! {
    pub(crate) fn shape()(
        profile in profile(),
        affinity in prop_oneof![3 => Just(Vec::new()), 1 => vec(term(), 1..3)],
        spread in prop_oneof![1 => Just(Vec::new()), 1 => vec(spread(), 1..3)],
        selector in option::weighted(0.3, text(&["a", "b"])),
        tolerates: bool,
    ) -> PodShape {
        PodShape {
            requests: Resources { cpu_milli: 100, ..Resources::default() },
            constraints: NodeConstraints {
                node_selector: selector.into_iter().map(|zone| ("zone".to_owned(), zone)).collect(),
                tolerations: if tolerates { vec![everything()] } else { Vec::new() },
                ..NodeConstraints::default()
            },
            profile,
            affinity,
            spread,
        }
    }
}

prop_compose! {
    pub(crate) fn node()(
        name in model::node_name(),
        zone in option::weighted(0.9, text(&["a", "b", "c"])),
        rack in option::weighted(0.7, text(&["1", "2"])),
        tainted in prop::bool::weighted(0.2),
        ready in prop::bool::weighted(0.9),
        pods in 1..6_i64,
    ) -> Node {
        let mut labels = BTreeMap::from([("host".to_owned(), name.clone())]);
        labels.extend(zone.map(|zone| ("zone".to_owned(), zone)));
        labels.extend(rack.map(|rack| ("rack".to_owned(), rack)));
        let taint = Taint {
            key: "edge".to_owned(),
            value: String::new(),
            effect: TaintEffect::NoSchedule,
        };
        Node {
            name,
            labels,
            taints: tainted.then_some(taint).into_iter().collect(),
            unschedulable: false,
            ready,
            allocatable: Resources { cpu_milli: 350, pods, ..Resources::default() },
        }
    }
}

prop_compose! {
    pub(crate) fn pod()(
        node in model::node_name(),
        profile in profile(),
        owner in option::of(model::owner()),
    ) -> Pod {
        Pod { node, requests: Resources::default(), owner, profile }
    }
}

prop_compose! {
    pub(crate) fn scene()(
        nodes in vec(node(), 1..5),
        pods in btree_map(model::pod_key(), pod(), 0..6),
    ) -> Model {
        let nodes = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
        Model { nodes, pods }
    }
}

fn cluster() -> ClusterName {
    ClusterName::from("rennes")
}

/// A snapshot that had other pods and nodes before, which are gone.
fn aged(model: &Model, before: &Model) -> Snapshot {
    let (mut snapshot, cluster) = (before.snapshot(&cluster()), cluster());
    snapshot.retain_nodes(&cluster, &BTreeSet::new());
    for (key, pod) in &model.pods {
        snapshot.upsert_pod(&cluster, *key, pod.clone());
    }
    for node in model.nodes.values() {
        snapshot.upsert_node(&cluster, node.clone());
    }
    snapshot.retain_pods(&cluster, &model.pods.keys().copied().collect());
    snapshot
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn room_is_what_the_filters_leave(
        scene in scene(),
        before in scene(),
        shape in shape(),
        owner in model::owner(),
    ) {
        let snapshot = aged(&scene, &before);
        let (least, most) = bounds(&scene, &shape, None);
        let counted = snapshot.capacity(&cluster(), &shape);
        prop_assert!((least..=most).contains(&counted), "{counted} of {least} to {most}");
        let (least, most) = bounds(&scene, &shape, Some(owner));
        let counted = snapshot.room(&cluster(), &shape, owner);
        prop_assert!((least..=most).contains(&counted), "own: {counted} of {least} to {most}");
    }

    #[test]
    fn what_is_held_counts_as_pods_do(
        scene in scene(),
        held in shape(),
        replicas in 1..4_u32,
        shape in shape(),
    ) {
        let owner = OwnerKey(9);
        let cluster = cluster();
        let mut snapshot = scene.snapshot(&cluster);
        let before = snapshot.capacity(&cluster, &shape);
        snapshot.reserve(&cluster, owner, &held, replicas);
        let own = snapshot.room(&cluster, &held, owner);
        let fresh = scene.snapshot(&cluster);
        prop_assert_eq!(own, fresh.capacity(&cluster, &held), "own holds are room");
        // What conflicts on every node has none beside it.
        let everywhere = u64::from(replicas) == held_nodes(&scene, &held);
        if everywhere && !held.profile.host_ports.is_empty() && own >= u64::from(replicas) {
            let mut same = shape.clone();
            same.profile.host_ports = held.profile.host_ports.clone();
            same.constraints = held.constraints.clone();
            prop_assert_eq!(snapshot.capacity(&cluster, &same), 0);
        }
        snapshot.release(&cluster, owner);
        prop_assert_eq!(snapshot.capacity(&cluster, &shape), before);
    }
}

/// Nodes that a shape may be on.
fn held_nodes(scene: &Model, shape: &PodShape) -> u64 {
    let nodes = scene.nodes.values();
    let fitting = nodes.filter(|node| scene.fits(node, shape, None) > 0);
    fitting.count() as u64
}
