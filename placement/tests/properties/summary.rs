//! A cluster that is known by a summary never has more room than its nodes, and as much where their
//! classes say all.

use std::collections::BTreeMap;

use placement::{
    ClusterName, ClusterSummary, FreeNodes, HostPort, Node, NodeTemplate, Operator, OwnerKey, Pod,
    PodKey, PodShape, Profile, Requirement, Resources, Snapshot, SummaryClass, Toleration,
    TolerationOperator,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::config;
use crate::model;
use crate::peers;

fn cluster() -> ClusterName {
    ClusterName::from("rennes")
}

/// Identical nodes of a class, with the same pods on each.
#[derive(Clone, Debug)]
struct Class {
    node: Node,
    count: u32,
    pods: Vec<Resources>,
}

prop_compose! {
    fn class()(
        node in model::node(), count in 1..4_u32, pods in vec(model::requests(), 0..3),
    ) -> Class {
        let mut node = node;
        // No two nodes have the same host.
        node.labels.remove("host");
        node.ready = true;
        node.unschedulable = false;
        Class { node, count, pods }
    }
}

fn with_nodes(classes: &[Class]) -> Snapshot {
    let mut snapshot = Snapshot::new();
    let mut key = 0;
    for (number, class) in classes.iter().enumerate() {
        for place in 0..class.count {
            let name = format!("n{number}-{place}");
            for requests in &class.pods {
                key += 1;
                let pod = Pod {
                    node: name.clone(),
                    requests: requests.clone(),
                    owner: None,
                    profile: Profile::default(),
                };
                snapshot.upsert_pod(&cluster(), PodKey(key), pod);
            }
            let node = Node {
                name,
                ..class.node.clone()
            };
            snapshot.upsert_node(&cluster(), node);
        }
    }
    snapshot
}

fn free(allocatable: &Resources, pods: &[Resources]) -> Resources {
    let one = Resources {
        pods: 1,
        ..Resources::default()
    };
    pods.iter().fold(allocatable.clone(), |free, pod| {
        free.saturating_sub(pod).saturating_sub(&one)
    })
}

fn summary(classes: &[Class]) -> ClusterSummary {
    let classes = classes.iter().map(|class| SummaryClass {
        template: NodeTemplate {
            labels: class.node.labels.clone(),
            taints: class.node.taints.clone(),
            allocatable: class.node.allocatable.clone(),
        },
        free: vec![FreeNodes {
            nodes: class.count,
            free: free(&class.node.allocatable, &class.pods),
        }],
    });
    ClusterSummary {
        classes: classes.collect(),
        anti_affinity: Vec::new(),
    }
}

fn summarized(summary: &ClusterSummary) -> Snapshot {
    let mut snapshot = Snapshot::new();
    snapshot.upsert_summary(&cluster(), summary);
    snapshot
}

/// A label of all nodes decides, and nothing else.
fn is_known(shape: &PodShape, classes: &[Class]) -> bool {
    let keys = (shape.constraints.affinity.iter().flatten()).flat_map(|term| &term.labels);
    let known = |key: &String| classes.iter().all(|one| one.node.labels.contains_key(key));
    let mut terms = shape.constraints.affinity.iter().flatten();
    shape.constraints.node_name.is_none()
        && terms.all(|term| term.fields.is_empty())
        && keys.map(|one| &one.key).all(known)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn identical_nodes_are_their_summary(
        classes in vec(class(), 1..4),
        shape in model::shape(),
    ) {
        let (nodes, summarized) = (with_nodes(&classes), summarized(&summary(&classes)));
        let (exact, counted) = (
            nodes.capacity(&cluster(), &shape),
            summarized.capacity(&cluster(), &shape),
        );
        prop_assert!(counted <= exact);
        if is_known(&shape, &classes) {
            prop_assert_eq!(counted, exact);
        }
    }

    /// Sums as a `MemberCluster` has them.
    #[test]
    fn sums_of_identical_nodes_are_their_summary(
        classes in vec(class(), 1..4),
        requests in model::requests(),
    ) {
        let shape = PodShape { requests, ..PodShape::default() };
        let mut classes = classes;
        // One size, one class.
        classes.sort_by(|a, b| a.node.allocatable.cmp(&b.node.allocatable));
        classes.dedup_by(|a, b| a.node.allocatable == b.node.allocatable);
        let nodes = with_nodes(&classes);
        let sums = nodes.summary(&cluster()).unwrap();
        let counted = summarized(&ClusterSummary::from(&sums)).capacity(&cluster(), &shape);
        prop_assert_eq!(counted, nodes.capacity(&cluster(), &shape));
    }

    /// Whatever is on the nodes, and however the summary is made.
    #[test]
    fn a_summary_never_has_more_room(
        nodes in vec(model::node(), 1..7),
        pods in vec((model::pod_key(), model::pod()), 0..14),
        shape in model::shape(),
    ) {
        let mut snapshot = Snapshot::new();
        for node in nodes {
            snapshot.upsert_node(&cluster(), node);
        }
        for (key, pod) in pods {
            snapshot.upsert_pod(&cluster(), key, pod);
        }
        let sums = snapshot.summary(&cluster()).unwrap();
        let room = snapshot.capacity(&cluster(), &shape);
        let summarized = summarized(&ClusterSummary::from(&sums));
        prop_assert!(summarized.capacity(&cluster(), &shape) <= room);
        // Some room there is, where it is on one node.
        let all = Toleration {
            key: None, operator: TolerationOperator::Exists, value: None, effect: None,
        };
        for class in sums.classes {
            let mut largest = PodShape { requests: class.largest_free, ..PodShape::default() };
            largest.constraints.tolerations.push(all.clone());
            let has_pods = largest.requests.pods > 0;
            largest.requests.pods = 0;
            if has_pods && largest.requests.cpu_milli >= 0 && largest.requests.memory >= 0 {
                prop_assert!(summarized.capacity(&cluster(), &largest) > 0);
            }
        }
    }

    /// One summary after the other, with reservations, is as the last alone.
    #[test]
    fn the_last_summary_counts(
        first in vec(class(), 0..4),
        second in vec(class(), 0..4),
        held in model::shape(),
        shape in model::shape(),
    ) {
        let mut snapshot = with_nodes(&first);
        snapshot.capacity(&cluster(), &shape);
        for classes in [&second, &first, &second] {
            snapshot.upsert_summary(&cluster(), &summary(classes));
            snapshot.reserve(&cluster(), OwnerKey(1), &held, 3);
            let watermark = snapshot.watermark();
            snapshot.upsert_summary(&cluster(), &summary(classes));
            prop_assert!(snapshot.growth(watermark).is_empty());
        }
        snapshot.release(&cluster(), OwnerKey(1));
        let alone = summarized(&summary(&second));
        let room = alone.capacity(&cluster(), &shape);
        prop_assert_eq!(snapshot.capacity(&cluster(), &shape), room);
        // And nodes replace it.
        for (number, class) in first.iter().enumerate() {
            let node = Node { name: format!("n{number}"), ..class.node.clone() };
            snapshot.upsert_node(&cluster(), node);
        }
        if !first.is_empty() {
            let names = first.len() as u32;
            let sums = snapshot.summary(&cluster()).unwrap();
            prop_assert_eq!(sums.nodes, names);
        }
    }
}

fn one_node() -> ClusterSummary {
    ClusterSummary {
        classes: vec![SummaryClass {
            template: NodeTemplate {
                labels: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
                ..NodeTemplate::default()
            },
            free: vec![FreeNodes {
                nodes: 1,
                free: Resources {
                    cpu_milli: 1_000,
                    pods: 5,
                    ..Resources::default()
                },
            }],
        }],
        anti_affinity: Vec::new(),
    }
}

/// What the summary does not tell of is taken not to fit.
#[test]
fn what_is_not_known_does_not_fit() {
    let snapshot = summarized(&one_node());
    let plain = PodShape {
        requests: Resources {
            cpu_milli: 250,
            ..Resources::default()
        },
        ..PodShape::default()
    };
    let room = |shape: &PodShape| snapshot.capacity(&cluster(), shape);
    assert_eq!(room(&plain), 4);
    let absent = |key: &str| {
        let mut shape = plain.clone();
        let term = placement::NodeTerm {
            labels: vec![Requirement {
                key: key.to_owned(),
                operator: Operator::NotIn,
                values: vec!["b".to_owned()],
            }],
            fields: Vec::new(),
        };
        shape.constraints.affinity = Some(vec![term]);
        shape
    };
    assert_eq!(room(&absent("zone")), 4);
    assert_eq!(room(&absent("disk")), 0);
    let mut port = plain.clone();
    port.profile.host_ports = Box::new([HostPort {
        ip: "0.0.0.0".into(),
        protocol: "TCP".into(),
        port: 80,
    }]);
    assert_eq!(room(&port), 0);
    let mut named = plain.clone();
    named.constraints.node_name = Some("0/0".to_owned());
    assert_eq!(room(&named), 0);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn listed_anti_affinity_repels(term in peers::term(), shape in peers::shape()) {
        let mut summary = one_node();
        let means = term.matches(&shape.profile);
        summary.anti_affinity.push(term);
        if means {
            prop_assert_eq!(summarized(&summary).capacity(&cluster(), &shape), 0);
        }
    }
}
