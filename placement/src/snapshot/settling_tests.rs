//! Whatever happens, room is held where there is room, and the books are those of a recount.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::*;
use crate::cluster::{Node, Pod};
use crate::name::{ClusterName, PodKey};
use crate::profile::HostPort;
use crate::shape::NodeConstraints;
use crate::snapshot::Snapshot;

/// Cases from a seed that a failing test prints; `PROPTEST_RNG_SEED` replays it.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(RandomState::new().hash_one(()));
    }
    println!("replay with PROPTEST_RNG_SEED={}", config.rng_seed);
    config
}

#[derive(Clone, Debug)]
enum Step {
    Node(Node),
    NodeGone(String),
    Pod(PodKey, Pod),
    PodGone(PodKey),
    Reserve(OwnerKey, PodShape, u32),
    Release(OwnerKey),
}

fn resources() -> impl Strategy<Value = Resources> {
    let gpus = prop::option::weighted(0.3, 1..3_i64);
    (0..4_i64, 0..3_i64, gpus).prop_map(|(cpu, memory, gpus)| Resources {
        cpu_milli: 500 * cpu,
        memory: memory << 30,
        extended: gpus
            .into_iter()
            .map(|gpus| ("gpu".to_owned(), gpus))
            .collect(),
        ..Resources::default()
    })
}

fn profile() -> impl Strategy<Value = Profile> {
    prop::option::weighted(0.3, 80..82_u16).prop_map(|port| Profile {
        host_ports: (port.into_iter())
            .map(|port| HostPort {
                ip: "0.0.0.0".into(),
                protocol: "TCP".into(),
                port,
            })
            .collect(),
        ..Profile::default()
    })
}

fn zone() -> impl Strategy<Value = String> {
    select(vec!["a", "b"]).prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = String> {
    (0..5_u8).prop_map(|number| format!("n{number}"))
}

fn owner() -> impl Strategy<Value = OwnerKey> {
    (1..5_u128).prop_map(OwnerKey)
}

prop_compose! {
    fn node()(
        name in name(), zone in zone(), cpu in 0..8_i64, memory in 0..6_i64, gpus in 0..4_i64,
        pods in 0..8_i64, unschedulable in prop::bool::weighted(0.1),
        ready in prop::bool::weighted(0.9),
    ) -> Node {
        Node {
            name,
            labels: BTreeMap::from([("zone".to_owned(), zone)]),
            taints: Vec::new(),
            unschedulable,
            ready,
            allocatable: Resources {
                cpu_milli: 500 * cpu,
                memory: memory << 30,
                pods,
                extended: BTreeMap::from([("gpu".to_owned(), gpus)]),
                ..Resources::default()
            },
        }
    }
}

prop_compose! {
    fn pod()(
        node in name(), requests in resources(), owner in prop::option::of(owner()),
        profile in profile(),
    ) -> Pod {
        Pod { node, requests, owner, profile }
    }
}

prop_compose! {
    fn shape()(
        requests in resources(), profile in profile(), zone in prop::option::weighted(0.3, zone()),
    ) -> PodShape {
        PodShape {
            requests,
            constraints: NodeConstraints {
                node_selector: zone.into_iter().map(|zone| ("zone".to_owned(), zone)).collect(),
                ..NodeConstraints::default()
            },
            profile,
            ..PodShape::default()
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let pod_key = || (0..16_u128).prop_map(PodKey);
    prop_oneof![
        4 => node().prop_map(Step::Node),
        1 => name().prop_map(Step::NodeGone),
        7 => (pod_key(), pod()).prop_map(|(key, pod)| Step::Pod(key, pod)),
        3 => pod_key().prop_map(Step::PodGone),
        5 => (owner(), shape(), 0..8_u32)
            .prop_map(|(owner, shape, replicas)| Step::Reserve(owner, shape, replicas)),
        1 => owner().prop_map(Step::Release),
    ]
}

/// What there is, and how many replicas of each owner are promised and not seen.
#[derive(Default)]
struct Books {
    nodes: BTreeMap<String, Node>,
    pods: BTreeMap<PodKey, Pod>,
    promised: BTreeMap<OwnerKey, usize>,
}

impl Books {
    fn take(&mut self, step: Step, snapshot: &mut Snapshot, cluster: &ClusterName) {
        match step {
            Step::Node(node) => {
                snapshot.upsert_node(cluster, node.clone());
                self.nodes.insert(node.name.clone(), node);
            }
            Step::NodeGone(name) => {
                snapshot.remove_node(cluster, &name);
                self.nodes.remove(&name);
            }
            Step::Pod(key, pod) => {
                snapshot.upsert_pod(cluster, key, pod.clone());
                let owner = pod.owner;
                let before = self.pods.insert(key, pod);
                let is_new = before.is_none_or(|before| before.owner != owner);
                let promised = owner.and_then(|owner| self.promised.get_mut(&owner));
                if let Some(promised) = promised.filter(|_| is_new) {
                    *promised = promised.saturating_sub(1);
                }
            }
            Step::PodGone(key) => {
                snapshot.remove_pod(cluster, key);
                self.pods.remove(&key);
            }
            Step::Reserve(owner, shape, replicas) => {
                snapshot.reserve(cluster, owner, &shape, replicas);
                let seen = self.pods.values().filter(|pod| pod.owner == Some(owner));
                let unseen = (replicas as usize).saturating_sub(seen.count());
                self.promised.insert(owner, unseen);
            }
            Step::Release(owner) => {
                snapshot.release(cluster, owner);
                self.promised.remove(&owner);
            }
        }
    }

    /// What is free on a node: what it has, without its pods and what is held there.
    fn free(&self, table: &Table, node: u32) -> Resources {
        let name = &*table.names[node as usize];
        let has = self.nodes.get(name).map(|node| node.allocatable.clone());
        let pods = self.pods.values().filter(|pod| pod.node == name);
        let pods = pods.map(|pod| of_one(&pod.requests));
        let promises = table.owners.values().flat_map(|owned| &owned.promise);
        let held = promises.flat_map(|promise| {
            let here = promise.nodes.iter().filter(|held| **held == node);
            here.map(|_| of_one(&promise.shape.requests))
        });
        let free = has.unwrap_or_default();
        pods.chain(held)
            .fold(free, |free, one| free.saturating_sub(&one))
    }

    /// Whether a node would do for a shape, and has so many of all that one replica takes.
    fn takes(&self, table: &Table, node: u32, shape: &PodShape, back: &Resources) -> bool {
        let name = &*table.names[node as usize];
        let free = self.free(table, node).saturating_add(back);
        let left = free.saturating_sub(&of_one(&shape.requests));
        let wanted = |amount: i64, left: i64| amount == 0 || left >= 0;
        let (requests, mut extended) = (&shape.requests, shape.requests.extended.iter());
        self.nodes.get(name).is_some_and(|node| {
            let mut selector = shape.constraints.node_selector.iter();
            node.ready
                && !node.unschedulable
                && selector.all(|(key, value)| node.labels.get(key) == Some(value))
        }) && left.pods >= 0
            && wanted(requests.cpu_milli, left.cpu_milli)
            && wanted(requests.memory, left.memory)
            && extended.all(|(name, amount)| wanted(*amount, left.extended[name]))
    }

    fn check(&self, table: &Table) -> Result<(), TestCaseError> {
        let nodes: BTreeSet<u32> = table.by_name.values().copied().collect();
        for node in &nodes {
            let (free, place) = (self.free(table, *node), *node as usize);
            prop_assert_eq!(table.free.cpu[place] as i64, free.cpu_milli);
            prop_assert_eq!(table.free.memory[place] as i64, free.memory);
            prop_assert_eq!(table.free.pods[place] as i64, free.pods);
            for (name, column) in &table.free.extended {
                let free = free.extended.get(name).copied().unwrap_or(0);
                prop_assert_eq!(column[place] as i64, free);
            }
        }
        let (mut holders, mut waiting) = (BTreeMap::<u32, Vec<_>>::new(), BTreeSet::new());
        for owner in (1..5).map(OwnerKey) {
            let promised = self.promised.get(&owner).copied().unwrap_or(0);
            let Some(promise) = table.promised(owner) else {
                prop_assert_eq!(promised, 0);
                continue;
            };
            let unassigned = promise.unassigned as usize;
            prop_assert_eq!(promise.nodes.len() + unassigned, promised);
            let (shape, ports) = (&*promise.shape, &promise.shape.profile.host_ports);
            for node in &promise.nodes {
                let back = of_one(&shape.requests);
                prop_assert!(
                    self.takes(table, *node, shape, &back),
                    "{owner:?} on {node}"
                );
                holders.entry(*node).or_default().push(owner);
                let name = &*table.names[*node as usize];
                let pods = self.pods.values().filter(|pod| pod.node == name);
                for pod in pods.filter(|_| !ports.is_empty()) {
                    prop_assert_ne!(&pod.profile.host_ports, ports, "a port is taken");
                }
            }
            if unassigned > 0 {
                waiting.insert(owner);
                // What other pods decide about is looked for only now and then.
                for node in nodes.iter().filter(|_| ports.is_empty()) {
                    let takes = self.takes(table, *node, shape, &Resources::default());
                    prop_assert!(!takes, "{owner:?} waits, and {node} has room");
                }
            }
        }
        for node in &nodes {
            let mut listed = table.holders.on(*node).to_vec();
            listed.sort_unstable();
            prop_assert_eq!(listed, holders.remove(node).unwrap_or_default());
        }
        prop_assert!(holders.is_empty());
        prop_assert_eq!(table.waiting.owners(), waiting);
        Ok(())
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn room_is_held_where_there_is_room(steps in vec(step(), 1..80)) {
        let cluster = ClusterName::from("rennes");
        let (mut snapshot, mut books) = (Snapshot::new(), Books::default());
        for step in steps {
            books.take(step, &mut snapshot, &cluster);
            if let Some(table) = snapshot.table(&cluster) {
                books.check(table)?;
            }
        }
        for owner in (1..5).map(OwnerKey) {
            snapshot.release(&cluster, owner);
        }
        let table = snapshot.table(&cluster);
        prop_assert!(table.is_none_or(|table| table.holders.is_empty() && table.waiting.is_empty()));
    }
}
