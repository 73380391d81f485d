//! However nodes, pods, reservations and questions interleave, the counts are those of the model.

use std::collections::BTreeSet;

use placement::{ClusterName, Node, OwnerKey, Pod, PodKey, PodShape, Profile, Snapshot};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::config;
use crate::model::{self, Model};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    UpsertNode(Node),
    RemoveNode(String),
    UpsertPod(PodKey, Pod),
    RemovePod(PodKey),
    RetainNodes(BTreeSet<String>),
    RetainPods(BTreeSet<PodKey>),
    Reserve(OwnerKey, PodShape, u32),
    Release(OwnerKey),
    /// The capacity for one of the shapes is read, so that it is kept and every later step changes it.
    Read(prop::sample::Index),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => model::node().prop_map(Step::UpsertNode),
        2 => model::node_name().prop_map(Step::RemoveNode),
        8 => (model::pod_key(), model::pod()).prop_map(|(key, pod)| Step::UpsertPod(key, pod)),
        3 => model::pod_key().prop_map(Step::RemovePod),
        1 => model::node_names().prop_map(Step::RetainNodes),
        1 => btree_set(model::pod_key(), 0..14).prop_map(Step::RetainPods),
        3 => (model::owner(), model::shape(), 0..6_u32)
            .prop_map(|(owner, shape, replicas)| Step::Reserve(owner, shape, replicas)),
        2 => model::owner().prop_map(Step::Release),
        6 => any::<prop::sample::Index>().prop_map(Step::Read),
    ]
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::from("rennes")
}

/// Takes the step in both.
pub(crate) fn take(step: &Step, snapshot: &mut Snapshot, model: &mut Model, shapes: &[PodShape]) {
    let cluster = cluster();
    match step.clone() {
        Step::UpsertNode(node) => {
            snapshot.upsert_node(&cluster, node.clone());
            model.nodes.insert(node.name.clone(), node);
        }
        Step::RemoveNode(name) => {
            snapshot.remove_node(&cluster, &name);
            model.nodes.remove(&name);
        }
        Step::UpsertPod(key, pod) => {
            snapshot.upsert_pod(&cluster, key, pod.clone());
            model.pods.insert(key, pod);
        }
        Step::RemovePod(key) => {
            snapshot.remove_pod(&cluster, key);
            model.pods.remove(&key);
        }
        Step::RetainNodes(names) => {
            snapshot.retain_nodes(&cluster, &names);
            model.nodes.retain(|name, _| names.contains(name));
        }
        Step::RetainPods(keys) => {
            snapshot.retain_pods(&cluster, &keys);
            model.pods.retain(|key, _| keys.contains(key));
        }
        Step::Reserve(owner, shape, replicas) => {
            snapshot.reserve(&cluster, owner, &shape, replicas);
        }
        Step::Release(owner) => snapshot.release(&cluster, owner),
        Step::Read(index) => {
            let shape = index.get(shapes);
            let capacity = snapshot.capacity(&cluster, shape);
            assert!(capacity <= model.capacity(shape, None), "{shape:?}");
        }
    }
}

fn release_all(snapshot: &mut Snapshot) {
    (1..4).for_each(|owner| snapshot.release(&cluster(), OwnerKey(owner)));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn counts_are_those_of_the_model(
        steps in vec(step(), 1..60),
        shapes in vec(model::shape(), 1..8),
        later in model::shape(),
    ) {
        let (mut snapshot, mut model) = (Snapshot::new(), Model::default());
        for step in &steps {
            take(step, &mut snapshot, &mut model, &shapes);
        }
        for shape in &shapes {
            // Reservations only take.
            prop_assert!(snapshot.capacity(&cluster(), shape) <= model.capacity(shape, None));
        }
        release_all(&mut snapshot);
        let fresh = model.snapshot(&cluster());
        for shape in shapes.iter().chain([&later]) {
            let counted = model.capacity(shape, None);
            prop_assert_eq!(snapshot.capacity(&cluster(), shape), counted, "kept: {:?}", shape);
            prop_assert_eq!(fresh.capacity(&cluster(), shape), counted, "fresh: {:?}", shape);
        }
    }

    #[test]
    fn own_pods_and_holds_are_room(
        steps in vec(step(), 1..60),
        shapes in vec(model::shape(), 1..4),
        held in model::shape(),
        replicas in 0..6_u32,
        owner in model::owner(),
    ) {
        let (mut snapshot, mut model) = (Snapshot::new(), Model::default());
        for step in &steps {
            take(step, &mut snapshot, &mut model, &shapes);
        }
        release_all(&mut snapshot);
        snapshot.reserve(&cluster(), owner, &held, replicas);
        for shape in &shapes {
            let counted = model.capacity(shape, Some(owner));
            prop_assert_eq!(snapshot.room(&cluster(), shape, owner), counted, "{:?}", shape);
        }
    }

    #[test]
    fn a_seen_pod_takes_over_a_hold(
        nodes in vec(model::node(), 1..7),
        pods in vec((model::pod_key(), model::pod()), 0..6),
        shape in model::shape(),
        replicas in 0..12_u32,
        picks in vec(any::<prop::sample::Index>(), 12),
    ) {
        let (owner, cluster) = (OwnerKey(9), cluster());
        let (mut snapshot, mut model) = (Snapshot::new(), Model::default());
        let mut steps: Vec<_> = nodes.into_iter().map(Step::UpsertNode).collect();
        steps.extend(pods.into_iter().map(|(key, pod)| Step::UpsertPod(key, pod)));
        for step in &steps {
            take(step, &mut snapshot, &mut model, &[]);
        }
        let before = model.capacity(&shape, None);
        let held = before.min(u64::from(replicas));
        snapshot.reserve(&cluster, owner, &shape, replicas);
        prop_assert_eq!(snapshot.capacity(&cluster, &shape), before - held);
        for number in 0..held {
            let with_room: Vec<String> = model
                .nodes
                .values()
                .filter(|node| model.fits(node, &shape, None) > 0)
                .map(|node| node.name.clone())
                .collect();
            let pod = Pod {
                node: picks[number as usize].get(&with_room).clone(),
                requests: shape.requests.clone(),
                owner: Some(owner),
                profile: Profile::default(),
            };
            let step = Step::UpsertPod(PodKey(100 + u128::from(number)), pod);
            take(&step, &mut snapshot, &mut model, &[]);
            if u64::from(replicas) <= before {
                prop_assert_eq!(snapshot.capacity(&cluster, &shape), before - held);
            }
        }
        // All that could be held is seen: nothing is left to release.
        if u64::from(replicas) <= before {
            let version = snapshot.version(&cluster);
            snapshot.release(&cluster, owner);
            prop_assert_eq!(snapshot.version(&cluster), version);
        }
        prop_assert!(snapshot.capacity(&cluster, &shape) <= model.capacity(&shape, None));
        snapshot.release(&cluster, owner);
        prop_assert_eq!(
            snapshot.capacity(&cluster, &shape),
            model.capacity(&shape, None)
        );
    }
}
