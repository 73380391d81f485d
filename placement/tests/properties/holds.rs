//! A cluster is never promised more than it has, wherever its pods are bound.

use std::collections::BTreeMap;

use placement::{HostPort, Node, OwnerKey, Pod, PodKey, PodShape, Profile, Resources, Snapshot};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::config;
use crate::model::{self, Model};
use crate::snapshot::{Step, cluster, take};

fn shape() -> PodShape {
    PodShape {
        requests: Resources {
            cpu_milli: 1_000,
            ..Resources::default()
        },
        ..PodShape::default()
    }
}

fn node(name: String, replicas: i64, pods: i64, unschedulable: bool) -> Node {
    Node {
        name,
        labels: BTreeMap::new(),
        taints: Vec::new(),
        unschedulable,
        ready: true,
        allocatable: Resources {
            cpu_milli: 1_000 * replicas,
            pods,
            ..Resources::default()
        },
    }
}

fn pod(node: String, owner: Option<OwnerKey>) -> Pod {
    Pod {
        node,
        requests: shape().requests,
        owner,
        profile: Profile::default(),
    }
}

/// All replicas are alike, so that what is left is a difference.
fn step() -> impl Strategy<Value = Step> {
    let cordoned = prop::bool::weighted(0.1);
    let node = (model::node_name(), 0..5_i64, 0..6_i64, cordoned);
    let pod = (model::node_name(), option::of(model::owner()));
    prop_oneof![
        4 => node.prop_map(|(name, replicas, pods, cordoned)| {
            Step::UpsertNode(self::node(name, replicas, pods, cordoned))
        }),
        1 => model::node_name().prop_map(Step::RemoveNode),
        6 => (model::pod_key(), pod)
            .prop_map(|(key, (node, owner))| Step::UpsertPod(key, self::pod(node, owner))),
        3 => model::pod_key().prop_map(Step::RemovePod),
        4 => (model::owner(), 0..8_u32)
            .prop_map(|(owner, replicas)| Step::Reserve(owner, shape(), replicas)),
        1 => model::owner().prop_map(Step::Release),
    ]
}

/// Replicas that are promised and have not been seen yet; one that was seen and has gone is not
/// promised again.
#[derive(Default)]
struct Promises(BTreeMap<OwnerKey, u32>);

impl Promises {
    /// Before the step is taken.
    fn take(&mut self, step: &Step, model: &Model) {
        match step {
            Step::UpsertPod(key, pod) => {
                let was_seen =
                    (model.pods.get(key)).is_some_and(|before| before.owner == pod.owner);
                let promised = pod.owner.and_then(|owner| self.0.get_mut(&owner));
                if let Some(promised) = promised.filter(|_| !was_seen) {
                    *promised = promised.saturating_sub(1);
                }
            }
            Step::Reserve(owner, _, replicas) => {
                let pods = model.pods.values();
                let seen = pods.filter(|pod| pod.owner == Some(*owner)).count();
                let unseen = replicas.saturating_sub(seen.try_into().unwrap());
                self.0.insert(*owner, unseen);
            }
            Step::Release(owner) => {
                self.0.remove(owner);
            }
            _ => {}
        }
    }

    fn but_of(&self, owner: Option<OwnerKey>) -> u64 {
        let others = self.0.iter().filter(|(one, _)| Some(**one) != owner);
        others.map(|(_, promised)| u64::from(*promised)).sum()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_offered_is_what_pods_and_promises_leave(steps in vec(step(), 1..60)) {
        let (mut snapshot, mut model) = (Snapshot::new(), Model::default());
        let mut promises = Promises::default();
        for (number, step) in steps.iter().enumerate() {
            promises.take(step, &model);
            take(step, &mut snapshot, &mut model, &[]);
            let has = model.capacity(&shape(), None);
            let promised = promises.but_of(None);
            let left = snapshot.capacity(&cluster(), &shape());
            prop_assert_eq!(left, has.saturating_sub(promised), "step {}: {:?}", number, step);
            for owner in (1..4).map(OwnerKey).filter(|_| promised <= has) {
                let has = model.capacity(&shape(), Some(owner));
                let room = snapshot.room(&cluster(), &shape(), owner);
                prop_assert_eq!(room, has - promises.but_of(Some(owner)), "step {}", number);
            }
        }
    }
}

/// Two owners on two nodes, each with room for one.
fn both_promised() -> Snapshot {
    let mut snapshot = Snapshot::new();
    for name in ["a", "b"] {
        snapshot.upsert_node(&cluster(), node(name.to_owned(), 1, 10, false));
    }
    for owner in [1, 2] {
        snapshot.reserve(&cluster(), OwnerKey(owner), &shape(), 1);
    }
    snapshot
}

/// The second's pod is bound where room was held for the first.
#[test]
fn a_hold_moves_to_the_room_that_another_was_assumed_to_take() {
    for name in ["a", "b"] {
        for owner in [1, 2] {
            let mut snapshot = both_promised();
            let watermark = snapshot.watermark();
            let pod = pod(name.to_owned(), Some(OwnerKey(owner)));
            snapshot.upsert_pod(&cluster(), PodKey(1), pod);
            assert_eq!(snapshot.capacity(&cluster(), &shape()), 0);
            assert!(!snapshot.growth(watermark).reaches(&shape()));
        }
    }
}

/// What is promised and had no room is not offered to others when room comes.
#[test]
fn room_that_comes_is_theirs_who_wait() {
    let mut snapshot = both_promised();
    snapshot.upsert_node(&cluster(), node("b".to_owned(), 0, 10, false));
    snapshot.remove_node(&cluster(), "a");
    let watermark = snapshot.watermark();
    snapshot.upsert_node(&cluster(), node("b".to_owned(), 2, 10, false));
    assert_eq!(snapshot.capacity(&cluster(), &shape()), 0);
    assert!(!snapshot.growth(watermark).reaches(&shape()));
    snapshot.release(&cluster(), OwnerKey(1));
    assert_eq!(snapshot.capacity(&cluster(), &shape()), 1);
    assert!(snapshot.growth(watermark).reaches(&shape()));
}

/// Also where it is not the nodes alone that decide.
#[test]
fn a_hold_moves_off_a_node_whose_port_is_taken() {
    let port = HostPort {
        ip: "0.0.0.0".into(),
        protocol: "TCP".into(),
        port: 80,
    };
    let profile = Profile {
        host_ports: Box::new([port]),
        ..Profile::default()
    };
    let with_port = PodShape {
        profile: profile.clone(),
        ..shape()
    };
    for is_there in [true, false] {
        let mut snapshot = Snapshot::new();
        snapshot.upsert_node(&cluster(), node("a".to_owned(), 2, 10, false));
        snapshot.reserve(&cluster(), OwnerKey(1), &with_port, 1);
        let other = || node("b".to_owned(), 1, 10, false);
        if is_there {
            snapshot.upsert_node(&cluster(), other());
        }
        let mut pod = pod("a".to_owned(), None);
        pod.profile = profile.clone();
        snapshot.upsert_pod(&cluster(), PodKey(1), pod);
        snapshot.upsert_node(&cluster(), other());
        // One beside the pod; the other node is taken.
        assert_eq!(snapshot.capacity(&cluster(), &shape()), 1);
        assert_eq!(snapshot.capacity(&cluster(), &with_port), 0);
    }
}

/// The latest hold leaves first, but what leaves after it may be what there is no room for.
#[test]
fn a_hold_that_fits_beside_those_that_stay_stays() {
    let mut snapshot = Snapshot::new();
    snapshot.upsert_node(&cluster(), node("a".to_owned(), 1, 2, false));
    snapshot.reserve(&cluster(), OwnerKey(1), &shape(), 1);
    snapshot.reserve(&cluster(), OwnerKey(2), &PodShape::default(), 1);
    snapshot.upsert_node(&cluster(), node("a".to_owned(), 0, 1, false));
    assert_eq!(snapshot.capacity(&cluster(), &PodShape::default()), 0);
    snapshot.release(&cluster(), OwnerKey(2));
    assert_eq!(snapshot.capacity(&cluster(), &PodShape::default()), 1);
}

/// A pod that is as large as the hold that it pushes out leaves nothing; a smaller one does.
#[test]
fn a_node_grows_by_what_moves_away_beyond_what_came() {
    let small = |cpu_milli| PodShape {
        requests: Resources {
            cpu_milli,
            ..Resources::default()
        },
        ..PodShape::default()
    };
    for (came, left) in [(1_000, 0), (400, 600)] {
        let mut snapshot = Snapshot::new();
        snapshot.upsert_node(&cluster(), node("a".to_owned(), 1, 10, false));
        snapshot.reserve(&cluster(), OwnerKey(1), &shape(), 1);
        snapshot.upsert_node(&cluster(), node("b".to_owned(), 1, 10, false));
        let (watermark, version) = (snapshot.watermark(), snapshot.version(&cluster()));
        let mut pod = pod("a".to_owned(), None);
        pod.requests.cpu_milli = came;
        snapshot.upsert_pod(&cluster(), PodKey(1), pod);
        assert_eq!(snapshot.capacity(&cluster(), &small(100)), left / 100);
        let has_grown = left > 0;
        assert_eq!(snapshot.version(&cluster()) > version, has_grown);
        assert_eq!(snapshot.growth(watermark).reaches(&small(100)), has_grown);
    }
}
