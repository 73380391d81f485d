//! A deployment's locations, from its spec and status.

use federation::api::{MultiClusterDeploymentSpec, WorkloadStatus};
use multi_cluster_hpa::decision::Layout;
use serde_json::{Value, json};

fn layout(spec: &Value, status: &Value) -> Result<Layout, String> {
    let mut full = json!({"replicas": 2, "selector": {}, "template": {}});
    full.as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    let spec: MultiClusterDeploymentSpec = serde_json::from_value(full).unwrap();
    let status: WorkloadStatus = serde_json::from_value(status.clone()).unwrap();
    Layout::read(&spec, &status).map_err(|error| error.to_string())
}

fn wanted(spec: &Value, status: &Value) -> Vec<(String, u32)> {
    layout(spec, status).unwrap().wanted.into_iter().collect()
}

fn named(replicas: &[(&str, u32)]) -> Vec<(String, u32)> {
    replicas
        .iter()
        .map(|(name, one)| ((*name).to_owned(), *one))
        .collect()
}

#[test]
fn chosen_clusters_are_locations_and_those_that_took_overflow_in_are_not() {
    let status = json!({"placements": [
        {"cluster": "cluster1", "replicas": 1, "location": true},
        {"cluster": "cluster2", "replicas": 4, "leaving": 3},
    ]});
    let layout = layout(&json!({}), &status).unwrap();
    assert_eq!(
        layout.wanted.into_iter().collect::<Vec<_>>(),
        named(&[("cluster1", 2)])
    );
    let placed: Vec<_> = layout.placed.into_iter().collect();
    assert_eq!(placed, named(&[("cluster1", 1), ("cluster2", 1)]));
}

#[test]
fn named_clusters_are_locations_before_anything_is_placed() {
    let none = json!({});
    let spec = json!({"locations": "cluster2, cluster3", "replicaOverrides": "5"});
    assert_eq!(
        wanted(&spec, &none),
        named(&[("cluster2", 5), ("cluster3", 2)])
    );
    let spec = json!({
        "clusters": ["cluster2", "cluster3"],
        "clusterReplicas": [{"cluster": "cluster3", "replicas": 7}],
    });
    assert_eq!(
        wanted(&spec, &none),
        named(&[("cluster2", 2), ("cluster3", 7)])
    );
    let spec = json!({"clusterReplicas": [{"cluster": "cluster3", "replicas": 7}]});
    let status = json!({"placements": [{"cluster": "cluster1", "replicas": 1, "location": true}]});
    assert_eq!(wanted(&spec, &status), named(&[("cluster3", 7)]));
}

#[test]
fn overrides_count_along_locations_only() {
    let spec = json!({
        "clusters": ["cluster2"], "locations": "cluster2", "replicaOverrides": [9],
    });
    assert_eq!(wanted(&spec, &json!({})), named(&[("cluster2", 2)]));
    let spec = json!({"locations": "cluster2", "replicaOverrides": "many"});
    let error = layout(&spec, &json!({})).unwrap_err();
    assert!(
        error.contains("\"many\"") && error.contains("[2, 3]"),
        "{error}"
    );
}

#[test]
fn numbers_add_no_cluster_to_those_that_are_named() {
    let numbers = json!([
        {"cluster": "cluster1", "replicas": 3}, {"cluster": "cluster2", "replicas": 4},
    ]);
    for names in [
        json!({"locations": "cluster1"}),
        json!({"clusters": ["cluster1"]}),
    ] {
        let mut spec = names;
        spec["clusterReplicas"] = numbers.clone();
        let layout = layout(&spec, &json!({})).unwrap();
        assert_eq!(
            layout.wanted.into_iter().collect::<Vec<_>>(),
            named(&[("cluster1", 3)])
        );
        assert!(layout.has_stale_entries);
    }
    let layout = layout(&json!({"clusterReplicas": numbers}), &json!({})).unwrap();
    assert!(!layout.has_stale_entries);
}
