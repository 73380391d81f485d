//! A fork is a snapshot of its own: what is done to it is done to no other.

use placement::{NodeTemplate, PodShape, Snapshot};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::config;
use crate::model::{self, Model};
use crate::snapshot::{Step, cluster, step, take};

/// What a snapshot says of the shapes, without and with each owner's own counted as free.
fn answers(snapshot: &Snapshot, shapes: &[PodShape]) -> Vec<u64> {
    let owners = [1, 2, 3].map(placement::OwnerKey);
    let counts = shapes.iter().flat_map(|shape| {
        let rooms = owners.map(|owner| snapshot.room(&cluster(), shape, owner));
        rooms
            .into_iter()
            .chain([snapshot.capacity(&cluster(), shape)])
    });
    counts.collect()
}

fn after(steps: &[Step], shapes: &[PodShape]) -> Snapshot {
    let (mut snapshot, mut model) = (Snapshot::new(), Model::default());
    for step in steps {
        take(step, &mut snapshot, &mut model, shapes);
    }
    snapshot
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_fork_and_its_original_do_not_see_each_other(
        before in vec(step(), 0..40),
        in_fork in vec(step(), 0..30),
        in_original in vec(step(), 0..30),
        shapes in vec(model::shape(), 1..6),
        later in vec(model::shape(), 1..3),
    ) {
        let (mut original, mut model) = (Snapshot::new(), Model::default());
        for step in &before {
            take(step, &mut original, &mut model, &shapes);
        }
        let said = answers(&original, &shapes);
        let summary = original.summary(&cluster());
        let (mut fork, mut forked) = (original.fork(), model.clone());
        for step in &in_fork {
            take(step, &mut fork, &mut forked, &shapes);
        }
        prop_assert_eq!(&answers(&original, &shapes), &said);
        prop_assert_eq!(original.summary(&cluster()), summary);

        for step in &in_original {
            take(step, &mut original, &mut model, &shapes);
        }
        // Each is as if the other had never been.
        let all: Vec<_> = shapes.iter().chain(&later).cloned().collect();
        let alone = |steps: &[Step]| after(&[&before, steps].concat(), &shapes);
        prop_assert_eq!(answers(&fork, &all), answers(&alone(&in_fork), &all));
        prop_assert_eq!(answers(&original, &all), answers(&alone(&in_original), &all));
    }

    #[test]
    fn upcoming_nodes_are_empty_nodes(
        steps in vec(step(), 0..30),
        node in model::node(),
        count in 0..4_u32,
        shape in model::shape(),
    ) {
        let snapshot = after(&steps, std::slice::from_ref(&shape));
        let template = NodeTemplate {
            labels: node.labels,
            taints: node.taints,
            allocatable: node.allocatable,
        };
        let mut fork = snapshot.fork();
        fork.add_upcoming(&cluster(), &template, count);
        // As many like it that have joined; no shape here selects a host name of Kubernetes.
        let mut joined = snapshot.fork();
        for number in 0..count {
            let node = placement::Node {
                name: format!("new-{number}"),
                labels: template.labels.clone(),
                taints: template.taints.clone(),
                unschedulable: false,
                ready: true,
                allocatable: template.allocatable.clone(),
            };
            joined.upsert_node(&cluster(), node);
        }
        let room = fork.capacity(&cluster(), &shape);
        prop_assert_eq!(room, joined.capacity(&cluster(), &shape));
        prop_assert!(room >= snapshot.capacity(&cluster(), &shape));
    }
}

/// More shapes than are kept, in turns of fork and original: each is counted for what it is.
#[test]
fn shapes_that_are_not_kept_are_counted_again() {
    let node = |cpu_milli: i64| placement::Node {
        name: "a".to_owned(),
        labels: std::collections::BTreeMap::new(),
        taints: Vec::new(),
        unschedulable: false,
        ready: true,
        allocatable: placement::Resources {
            cpu_milli,
            pods: i64::MAX >> 12,
            ..placement::Resources::default()
        },
    };
    let mut original = Snapshot::new();
    original.upsert_node(&cluster(), node(60_000));
    let mut fork = original.fork();
    fork.upsert_node(&cluster(), node(120_000));
    for _ in 0..2 {
        for cpu_milli in 1..300 {
            let mut shape = PodShape::default();
            shape.requests.cpu_milli = cpu_milli;
            let count = |snapshot: &Snapshot| snapshot.capacity(&cluster(), &shape);
            assert_eq!(count(&original), 60_000 / cpu_milli.cast_unsigned());
            assert_eq!(count(&fork), 120_000 / cpu_milli.cast_unsigned());
        }
    }
}
