//! What a spec asks for, and what is refused with which words.

use placement::{Overflow, ReplicaScheduling, Targets};
use serde_json::{Value, json};

use super::{Validated, validate};
use crate::workload::{Kind, Workload};

#[test]
fn locations_and_overrides_mean_what_they_meant_in_the_original() {
    for overrides in [json!([2, 3]), json!(["2", "3"]), json!("2, 3")] {
        let spec = json!({ "locations": "cluster2, cluster3", "replicaOverrides": overrides });
        assert_eq!(
            given(&valid(&spec)),
            [("cluster2", Some(2)), ("cluster3", Some(3))]
        );
    }
    let without_locations = valid(&json!({ "replicaOverrides": "2,3", "numberOfLocations": 2 }));
    assert_eq!(without_locations.targets, Targets::Chosen { count: 2 });
    assert_eq!(valid(&json!({})).targets, Targets::Chosen { count: 1 });
    assert_eq!(valid(&json!({})).policy.name(), "most_traffic");
}

#[test]
fn the_typed_twins_win() {
    let spec = json!({
        "locations": "cluster9", "replicaOverrides": "7",
        "clusters": ["cluster1", "cluster2"], "clusterReplicas": [{ "cluster": "cluster2", "replicas": 5 }],
    });
    assert_eq!(
        given(&valid(&spec)),
        [("cluster1", None), ("cluster2", Some(5))]
    );
    let alone = json!({ "clusterReplicas": [{ "cluster": "cluster3", "replicas": 4 }] });
    assert_eq!(given(&valid(&alone)), [("cluster3", Some(4))]);
}

#[test]
fn overflow_goes_to_the_nearest_of_named_clusters_and_down_the_ranking_otherwise() {
    assert_eq!(
        valid(&json!({ "locations": "a" })).overflow,
        Overflow::Nearest
    );
    assert_eq!(valid(&json!({})).overflow, Overflow::Policy);
    assert_eq!(
        valid(&json!({ "overflow": "None" })).overflow,
        Overflow::None
    );
    assert_eq!(
        valid(&json!({ "replicaScheduling": "Total" })).scheduling,
        ReplicaScheduling::Total
    );
}

#[test]
fn a_refusal_says_where_and_what_to_write() {
    for (spec, words) in [
        (
            json!({ "locations": "a", "replicaOverrides": "2,3" }),
            "at most one for each",
        ),
        (
            json!({ "locations": "a", "replicaOverrides": "many" }),
            "write a list like [2, 3]",
        ),
        (json!({ "locations": "a, a" }), "name each cluster once"),
        (json!({ "locations": "a,,b" }), "names no cluster"),
        (
            json!({ "locations": "a", "clusterReplicas": [{ "cluster": "b", "replicas": 1 }] }),
            "clusterReplicas names b",
        ),
        (
            json!({ "placementPolicy": "worstfit" }),
            "use one of worst_fit",
        ),
        (
            json!({ "replicaScheduling": "Total", "locations": "a", "replicaOverrides": "1" }),
            "use PerLocation",
        ),
        (
            json!({ "policyParameters": { "seed": "x" } }),
            "whole number",
        ),
        (
            json!({ "template": { "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": "1 core" } } }] } } }),
            "1 core",
        ),
        (
            json!({ "template": { "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": "-1" } } }] } } }),
            "spec.containers[c].resources.requests.cpu: \"-1\" is negative: write 0 or more",
        ),
        (
            json!({ "template": { "spec": { "containers": [{ "name": "c" }] } }, "overrides": [{ "cluster": "edge", "patch": [
                { "op": "add", "path": "/spec/containers/0/resources", "value": { "requests": { "memory": "-1Gi" } } },
            ] }] }),
            "overrides for edge: template: spec.containers[c].resources.requests.memory: \"-1Gi\" is negative",
        ),
        (
            json!({ "overrides": [{ "cluster": "edge", "patch": [{ "op": "remove", "path": "/spec/nothing" }] }] }),
            "overrides[0].patch[0] for edge",
        ),
        (
            json!({ "locations": "a, b", "replicaOverrides": [1, 2_147_483_647] }),
            "write at most 1000000",
        ),
        (
            json!({ "clusters": (0..1000).map(|n| format!("c{n}")).chain(["c".to_owned()]).collect::<Vec<_>>(), "replicas": 1_000_000 }),
            "1001000000 replicas together",
        ),
    ] {
        let error = validate(&workload(&spec))
            .err()
            .map(|invalid| invalid.0)
            .unwrap_or_default();
        assert!(error.contains(words), "{spec}: {error:?}");
    }
}

#[test]
fn clusters_are_chosen_again_when_what_chooses_them_changes_and_not_otherwise() {
    let key = |spec: Value| valid(&spec).decision_key;
    let base = key(json!({ "placementPolicy": "worst_fit" }));
    assert_eq!(
        base,
        key(json!({ "placementPolicy": "worst-fit", "replicas": 9 }))
    );
    assert_eq!(
        base,
        key(json!({ "placementPolicy": "worst_fit", "priority": 3, "overflow": "None" }))
    );
    assert_ne!(base, key(json!({ "placementPolicy": "best_fit" })));
    assert_ne!(
        base,
        key(json!({ "placementPolicy": "worst_fit", "numberOfLocations": 2 }))
    );
    let selects = json!({ "spec": { "nodeSelector": { "disk": "ssd" } } });
    assert_ne!(
        base,
        key(json!({ "placementPolicy": "worst_fit", "template": selects }))
    );
}

fn given(validated: &Validated) -> Vec<(&str, Option<u32>)> {
    match &validated.targets {
        Targets::Given(targets) => targets
            .iter()
            .map(|one| (one.cluster.as_str(), one.replicas))
            .collect(),
        Targets::Chosen { .. } => Vec::new(),
    }
}

fn valid(spec: &Value) -> Validated {
    validate(&workload(spec))
        .map_err(|invalid| format!("{spec}: {invalid}"))
        .unwrap()
}

fn workload(spec: &Value) -> Workload {
    let mut whole = json!({ "selector": { "matchLabels": { "app": "hello" } }, "template": {} });
    whole
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    let object = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
        "metadata": { "name": "hello", "namespace": "default", "uid": "u" }, "spec": whole,
    });
    Workload::read(Kind::Deployment, &serde_json::from_value(object).unwrap())
}
