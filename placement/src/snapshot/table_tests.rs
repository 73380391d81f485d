use crate::cluster::Pod;
use crate::profile::{PodTerm, Profile};
use crate::shape::PodShape;
use crate::snapshot::views::Shapes;

use super::*;

fn node(name: &str, deleted_at: u32) -> Node {
    Node {
        name: name.to_owned(),
        labels: BTreeMap::from([("host".to_owned(), name.to_owned())]),
        // As Cluster Autoscaler marks a node that it takes away.
        taints: vec![Taint {
            key: "ToBeDeletedByClusterAutoscaler".to_owned(),
            value: deleted_at.to_string(),
            effect: TaintEffect::NoSchedule,
        }],
        unschedulable: false,
        ready: true,
        allocatable: Resources {
            cpu_milli: 4000,
            pods: 10,
            ..Resources::default()
        },
    }
}

fn profile(name: &str) -> Profile {
    Profile {
        namespace: name.into(),
        anti_affinity: Box::new([PodTerm {
            selector: Vec::new(),
            namespaces: vec![name.to_owned()],
            namespace_selector: Some(Vec::new()),
            topology_key: "host".to_owned(),
        }]),
        ..Profile::default()
    }
}

/// As many of everything as there have been in a year leave what there is.
#[test]
fn what_has_gone_leaves_nothing() {
    let (mut table, shapes) = (Table::default(), Shapes::default());
    for round in 0..1_000_u32 {
        let (name, owner) = (format!("n{round}"), OwnerKey(u128::from(round)));
        table.upsert_reported_node(node(&name, round));
        table.upsert_reported_node(node(&name, round + 1));
        // No two ask for the same, as where VPA sets it.
        let requests = Resources {
            cpu_milli: 100 + i64::from(round),
            ..Resources::default()
        };
        let shape = PodShape {
            requests: requests.clone(),
            profile: profile(&name),
            ..PodShape::default()
        };
        table.reserve(owner, &shape, &shapes.find(&shape), 2);
        let pods: Vec<PodKey> = (0..2)
            .map(|number| PodKey(u128::from(2 * round + number)))
            .collect();
        for key in &pods {
            let pod = Pod {
                node: name.clone(),
                requests: requests.clone(),
                owner: Some(owner),
                profile: shape.profile.clone(),
            };
            table.upsert_pod(*key, pod.clone());
            table.upsert_pod(*key, pod);
        }
        table.remove_node(&name);
        for key in &pods {
            table.remove_pod(*key);
        }
        table.release(owner);
        table.settle(&shapes);
    }
    assert!(table.loads.is_empty() && table.profiles.is_empty());
    assert!(table.taint_sets.is_empty() && table.labels.is_empty());
    assert!(table.holders.is_empty() && table.waiting.is_empty());
    assert!(table.pods.is_empty() && table.owners.is_empty() && table.by_name.is_empty());
    assert!(table.loads.end() < 8 && table.taint_sets.end() < 8 && table.slots.len() < 4);
}
