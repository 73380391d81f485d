//! What a provisioner reads of replicas without a cluster.

use k8s_openapi::jiff::Timestamp;
use placement::{ClusterName, Unplaced};
use serde_json::json;

use super::*;
use crate::validate::validate;
use crate::workload::{Kind, Workload};

#[test]
fn what_stays_unplaced_is_so_since_the_first_decision_that_said_so() {
    let validated = validated("Allowed");
    let first = of(
        &plan(&[(Some("edge1"), 4, NO_ROOM), (None, 2, FEW)]),
        &validated,
        &[],
        at(10),
    );
    let told: Vec<_> = (first.iter())
        .map(|one| (one.location.as_deref(), one.replicas, one.reason))
        .collect();
    assert_eq!(
        told,
        [
            (None, 2, UnplacedReason::NotEnoughClusters),
            (Some("edge1"), 4, UnplacedReason::NoRoom)
        ]
    );
    let plan = plan(&[(Some("edge1"), 3, NO_ROOM), (None, 2, NO_ROOM)]);
    let next = of(&plan, &validated, &first, at(70));
    let since: Vec<_> = next.iter().map(|one| one.since.0).collect();
    assert_eq!(since, [at(70), at(10)], "another reason is a new shortage");
    assert!(
        of(
            &Plan {
                unplaced: Vec::new(),
                ..plan
            },
            &validated,
            &next,
            at(80)
        )
        .is_empty()
    );
}

#[test]
fn it_says_what_to_buy() {
    let all = of(
        &plan(&[(None, 2, NO_ROOM)]),
        &validated("Never"),
        &[],
        at(1),
    );
    let told = serde_json::to_value(&all).unwrap();
    let digest = told[0]["shape"]["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest.len(), 16);
    assert_eq!(
        told,
        json!([{
            "replicas": 2, "reason": "NoRoom", "since": "1970-01-01T00:00:01Z",
            "burstAllowed": false,
            "shape": { "digest": digest, "requests": { "cpu": "500m", "memory": "1Gi" } },
        }])
    );
    assert_eq!(replica_shape(&shape("other", "1Gi")).digest, digest);
    assert_ne!(replica_shape(&shape("web", "2Gi")).digest, digest);
}

#[test]
fn many_locations_are_added_up_and_none_is_lost() {
    let names: Vec<_> = (0..500).map(|number| format!("edge{number:03}")).collect();
    let all: Vec<_> = (names.iter())
        .map(|name| {
            (
                Some(name.as_str()),
                3,
                if name.ends_with('7') { FEW } else { NO_ROOM },
            )
        })
        .collect();
    let all = of(&plan(&all), &validated("Never"), &[], at(1));
    assert!(all.len() <= MAX_UNPLACED);
    assert_eq!(all.iter().map(|one| one.replicas).sum::<u32>(), 1500);
}

const NO_ROOM: placement::UnplacedReason = placement::UnplacedReason::NoRoom;
const FEW: placement::UnplacedReason = placement::UnplacedReason::NotEnoughClusters;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn plan(unplaced: &[(Option<&str>, u32, placement::UnplacedReason)]) -> Plan {
    let unplaced = unplaced
        .iter()
        .map(|(location, replicas, reason)| Unplaced {
            location: location.map(ClusterName::from),
            replicas: *replicas,
            reason: *reason,
        });
    Plan {
        placements: Vec::new(),
        wanted: 0,
        unplaced: unplaced.collect(),
        moves: Vec::new(),
        verdicts: Vec::new(),
        fallback: None,
        policy: "worst_fit",
    }
}

fn shape(app: &str, memory: &str) -> PodShape {
    validated_as(app, memory, "Never").shape
}

fn validated(burst: &str) -> Validated {
    validated_as("web", "1Gi", burst)
}

fn validated_as(app: &str, memory: &str, burst: &str) -> Validated {
    let requests = json!({ "cpu": "500m", "memory": memory });
    let object = serde_json::from_value(json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": app, "namespace": "default", "uid": "u" },
        "spec": {
            "replicas": 2, "burst": burst, "selector": { "matchLabels": { "app": app } },
            "template": {
                "metadata": { "labels": { "app": app } },
                "spec": { "containers": [{ "name": "main", "image": "x",
                    "resources": { "requests": requests } }] },
            },
        },
    }));
    validate(&Workload::read(Kind::Deployment, &object.unwrap())).unwrap()
}
