use std::collections::BTreeMap;

use placement::{HostPort, Taint, TaintEffect};
use proptest::prelude::*;

use super::*;

fn node(name: &str, cpu_milli: i64, pods: i64) -> Node {
    Node {
        name: name.to_owned(),
        labels: BTreeMap::from([("disk".to_owned(), name.to_owned())]),
        taints: Vec::new(),
        unschedulable: false,
        ready: true,
        allocatable: Resources {
            cpu_milli,
            memory: 16 << 30,
            pods,
            ..Resources::default()
        },
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

fn room(nodes: impl IntoIterator<Item = Node>) -> Room {
    let mut room = Room::default();
    for node in nodes {
        room.set_node(node);
    }
    room
}

fn random() -> Random {
    Random::new(1, "room")
}

#[test]
fn the_emptiest_node_is_chosen() {
    let mut room = room([node("a", 4000, 10), node("b", 4000, 10)]);
    room.hold("1", "a", &shape(1000));
    assert_eq!(room.choose(&shape(500), &mut random()).unwrap(), "b");
}

#[test]
fn ties_are_drawn_from_the_seed() {
    let room = room((0..20).map(|n| node(&format!("n{n}"), 4000, 10)));
    let draws = |seed| {
        let mut random = Random::new(seed, "ties");
        [(); 5].map(|()| room.choose(&shape(1), &mut random).unwrap())
    };
    assert_eq!(draws(1), draws(1));
    assert_ne!(draws(1), draws(2));
}

#[test]
fn why_nothing_fits_is_said_as_kube_scheduler_says_it() {
    let mut tainted = node("t", 4000, 10);
    tainted.taints = vec![Taint {
        key: "edge".to_owned(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
    }];
    let mut cordoned = node("c", 4000, 10);
    cordoned.unschedulable = true;
    let room = room([node("a", 1000, 10), node("b", 1000, 0), tainted, cordoned]);
    let why = room.choose(&shape(2000), &mut random()).unwrap_err();
    assert_eq!(
        why,
        "0/4 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint(s), \
         1 node(s) were unschedulable, 2 Insufficient cpu. no new claims to deallocate, \
         preemption: 0/4 nodes are available: 2 No preemption victims found for incoming pod, \
         2 Preemption is not helpful for scheduling."
    );
    let why = Room::default().choose(&shape(1), &mut random());
    assert_eq!(why.unwrap_err(), "no nodes available to schedule pods");
}

#[test]
fn selectors_and_tolerations_count() {
    let mut edge = node("edge", 4000, 10);
    edge.taints = vec![Taint {
        key: "edge".to_owned(),
        value: String::new(),
        effect: TaintEffect::NoExecute,
    }];
    let room = room([edge, node("other", 4000, 10)]);
    let mut wanted = shape(1);
    wanted.constraints.node_selector = BTreeMap::from([("disk".to_owned(), "edge".to_owned())]);
    assert!(room.choose(&wanted, &mut random()).is_err());
    wanted.constraints.tolerations = vec![placement::Toleration {
        key: Some("edge".to_owned()),
        operator: placement::TolerationOperator::Exists,
        value: None,
        effect: None,
    }];
    assert_eq!(room.choose(&wanted, &mut random()).unwrap(), "edge");
}

#[test]
fn only_as_many_wake_as_fit() {
    let mut room = room([node("a", 1000, 10)]);
    room.hold("1", "a", &shape(300));
    let shapes = [shape(500), shape(400), shape(200), shape(200)];
    let waiting = shapes.iter().enumerate();
    assert_eq!(room.fitting("a", waiting), [0, 2]);
}

#[test]
fn a_host_port_is_taken_once_a_node() {
    let mut room = room([node("a", 4000, 10), node("b", 4000, 10)]);
    let mut wanted = shape(100);
    wanted.profile.host_ports = Box::new([HostPort {
        ip: "0.0.0.0".into(),
        protocol: "TCP".into(),
        port: 8080,
    }]);
    for uid in ["1", "2"] {
        let chosen = room.choose(&wanted, &mut random()).unwrap();
        room.hold(uid, &chosen, &wanted);
    }
    assert_ne!(room.node_of("1"), room.node_of("2"));
    let why = room.choose(&wanted, &mut random()).unwrap_err();
    assert_eq!(
        why,
        "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports. \
         no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims \
         found for incoming pod."
    );
    assert!(room.choose(&shape(100), &mut random()).is_ok());
    room.release("1");
    assert!(room.choose(&wanted, &mut random()).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Place { cpu: i64, memory: i64 },
    End(usize),
    Grow { node: usize, cpu: i64 },
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..1500_i64, 0..(6_i64 << 30)).prop_map(|(cpu, memory)| Step::Place { cpu, memory }),
        2 => any::<usize>().prop_map(Step::End),
        1 => (0..4_usize, 2000..5000_i64).prop_map(|(node, cpu)| Step::Grow { node, cpu }),
        1 => (0..4_usize).prop_map(Step::Leave),
    ]
}

proptest! {
    /// What the nodes hold never exceeds what they have, and giving all back leaves nothing.
    #[test]
    fn no_node_is_ever_over_full(steps in proptest::collection::vec(step(), 1..200)) {
        let mut room = Room::default();
        let mut random = random();
        let mut pods: Vec<(String, String, Resources)> = Vec::new();
        let mut capacity: BTreeMap<String, Node> = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Place { cpu, memory } => {
                    let mut shape = shape(cpu);
                    shape.requests.memory = memory;
                    if let Ok(node) = room.choose(&shape, &mut random) {
                        let uid = number.to_string();
                        room.hold(&uid, &node, &shape);
                        room.hold(&uid, &node, &shape);
                        pods.push((uid, node, shape.requests));
                    }
                }
                Step::End(which) if !pods.is_empty() => {
                    let (uid, node, _) = pods.swap_remove(which % pods.len());
                    prop_assert_eq!(room.release(&uid), Some(node));
                }
                Step::End(_) => {}
                Step::Grow { node: number, cpu } => {
                    let name = format!("n{number}");
                    let cpu = capacity.get(&name).map_or(cpu, |n| n.allocatable.cpu_milli.max(cpu));
                    capacity.insert(name.clone(), node(&name, cpu, 5));
                    room.set_node(node(&name, cpu, 5));
                }
                Step::Leave(number) => {
                    let name = format!("n{number}");
                    if !pods.iter().any(|(_, node, _)| *node == name) {
                        capacity.remove(&name);
                        room.remove_node(&name);
                    }
                }
            }
            for (name, node) in &capacity {
                let here = pods.iter().filter(|(_, on, _)| on == name);
                let sum = here.clone().fold(Resources::default(), |sum, (_, _, requests)| {
                    sum.saturating_add(requests)
                });
                prop_assert!(sum.cpu_milli <= node.allocatable.cpu_milli);
                prop_assert!(sum.memory <= node.allocatable.memory);
                prop_assert!(i64::try_from(here.count()).unwrap() <= node.allocatable.pods);
            }
        }
        for (uid, ..) in pods {
            room.release(&uid);
        }
        prop_assert!(room.places.values().all(|place| place.used.pods == 0
            && place.used.cpu_milli == 0 && place.used.memory == 0));
    }
}
