//! Wherever there is more room than at the last look, there is growth; and none where nothing
//! changed.

use std::collections::BTreeMap;

use placement::{
    Cluster, ClusterName, Health, Node, Pod, PodKey, PodShape, Resources, Role, Snapshot, Taint,
    TaintEffect,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::config;
use crate::model::{self, Model};
use crate::peers;
use crate::snapshot::{self, Step, take};

fn step_among_pods() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => peers::node().prop_map(Step::UpsertNode),
        1 => model::node_name().prop_map(Step::RemoveNode),
        4 => (model::pod_key(), peers::pod()).prop_map(|(key, pod)| Step::UpsertPod(key, pod)),
        3 => model::pod_key().prop_map(Step::RemovePod),
        2 => (model::owner(), peers::shape(), 0..4_u32)
            .prop_map(|(owner, shape, replicas)| Step::Reserve(owner, shape, replicas)),
        2 => model::owner().prop_map(Step::Release),
    ]
}

/// Takes the steps in turns of a few, and looks after each.
fn look(steps: &[Step], turn: usize, shapes: &[PodShape]) -> Result<(), TestCaseError> {
    let cluster = snapshot::cluster();
    let (mut snapshot, mut model) = (Snapshot::new(), Model::default());
    for steps in steps.chunks(turn) {
        let before: Vec<u64> = shapes
            .iter()
            .map(|shape| snapshot.capacity(&cluster, shape))
            .collect();
        let watermark = snapshot.watermark();
        for step in steps {
            take(step, &mut snapshot, &mut model, shapes);
        }
        let growth = snapshot.growth(watermark);
        for (shape, before) in shapes.iter().zip(before) {
            if snapshot.capacity(&cluster, shape) > before {
                prop_assert!(growth.reaches(shape), "{:?}\nafter {:?}", shape, steps);
                prop_assert!(growth.clusters_for(shape).eq([&cluster]));
            }
        }
        drop(growth);
        repeat(&mut snapshot, &model);
    }
    Ok(())
}

/// Reports all that there is once more.
fn repeat(snapshot: &mut Snapshot, model: &Model) {
    let watermark = snapshot.watermark();
    let cluster = snapshot::cluster();
    for node in model.nodes.values() {
        snapshot.upsert_node(&cluster, node.clone());
    }
    for (key, pod) in &model.pods {
        snapshot.upsert_pod(&cluster, *key, pod.clone());
    }
    snapshot.retain_nodes(&cluster, &model.nodes.keys().cloned().collect());
    snapshot.retain_pods(&cluster, &model.pods.keys().copied().collect());
    assert!(snapshot.growth(watermark).is_empty());
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn more_room_is_growth(
        steps in vec(snapshot::step(), 1..60),
        turn in 1..8_usize,
        shapes in vec(model::shape(), 1..6),
    ) {
        look(&steps, turn, &shapes)?;
    }

    #[test]
    fn more_room_among_pods_is_growth(
        steps in vec(step_among_pods(), 1..40),
        turn in 1..8_usize,
        shapes in vec(peers::shape(), 1..6),
    ) {
        look(&steps, turn, &shapes)?;
    }
}

fn node(name: &str, cpu_milli: i64) -> Node {
    Node {
        name: name.to_owned(),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        unschedulable: false,
        ready: true,
        allocatable: Resources {
            cpu_milli,
            pods: 10,
            ..Resources::default()
        },
    }
}

fn pod(node: &str, cpu_milli: i64) -> Pod {
    Pod {
        node: node.to_owned(),
        requests: Resources {
            cpu_milli,
            ..Resources::default()
        },
        owner: None,
        profile: placement::Profile::default(),
    }
}

fn shape(cpu_milli: i64) -> PodShape {
    PodShape {
        requests: Resources {
            cpu_milli,
            ..Resources::default()
        },
        ..PodShape::default()
    }
}

/// What is too large for the room that grew is not tried again.
#[test]
fn growth_reaches_what_fits_into_it() {
    let cluster = snapshot::cluster();
    let mut snapshot = Snapshot::new();
    snapshot.upsert_node(&cluster, node("a", 4_000));
    snapshot.upsert_pod(&cluster, PodKey(1), pod("a", 3_000));
    snapshot.upsert_pod(&cluster, PodKey(2), pod("a", 1_000));
    let watermark = snapshot.watermark();
    snapshot.remove_pod(&cluster, PodKey(2));
    let growth = snapshot.growth(watermark);
    assert!(growth.reaches(&shape(1_000)));
    assert!(!growth.reaches(&shape(1_001)));
    // A look from now on sees nothing of it.
    assert!(snapshot.growth(snapshot.watermark()).is_empty());
}

#[test]
fn less_room_is_no_growth() {
    let cluster = snapshot::cluster();
    let mut snapshot = Snapshot::new();
    snapshot.upsert_node(&cluster, node("a", 4_000));
    let watermark = snapshot.watermark();
    snapshot.upsert_node(&cluster, node("a", 3_000));
    snapshot.upsert_pod(&cluster, PodKey(1), pod("a", 1_000));
    assert!(!snapshot.growth(watermark).reaches(&shape(100)));
}

fn member(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        role: Role::OnPremises,
        region: None,
        zone: None,
        labels: BTreeMap::new(),
        taints: Vec::new(),
        unschedulable: false,
        health: Health::Ready,
    }
}

/// A cluster grows for every shape when it may serve, not when it may no longer.
#[test]
fn a_cluster_that_becomes_eligible_is_growth() {
    let closed: [fn(&mut Cluster); 5] = [
        |cluster| cluster.unschedulable = true,
        |cluster| cluster.health = Health::Unreachable,
        |cluster| cluster.health = Health::Lost,
        |cluster| cluster.health = Health::Leaving,
        |cluster| {
            cluster.taints.push(Taint {
                key: "maintenance".to_owned(),
                value: String::new(),
                effect: TaintEffect::NoSchedule,
            });
        },
    ];
    for close in closed {
        let mut snapshot = Snapshot::new();
        let mut cluster = member("rennes");
        let grows = |snapshot: &mut Snapshot, cluster: &Cluster| {
            let watermark = snapshot.watermark();
            snapshot.upsert_cluster(cluster.clone());
            let growth = snapshot.growth(watermark);
            let names: Vec<ClusterName> = growth.clusters_for(&shape(1)).cloned().collect();
            !names.is_empty()
        };
        assert!(grows(&mut snapshot, &cluster));
        assert!(!grows(&mut snapshot, &cluster));
        close(&mut cluster);
        assert!(!grows(&mut snapshot, &cluster));
        assert!(grows(&mut snapshot, &member("rennes")));
    }
}
