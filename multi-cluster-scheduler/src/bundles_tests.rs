//! What a member shall hold.

use federation::api::PlacementStatus;
use serde_json::{Value, json};

use super::Bundler;
use crate::dependencies::named_by;
use crate::workload::{Kind, Workload};

#[test]
fn a_deployment_carries_its_share_its_owner_and_the_clusters_overrides() {
    let spec = json!({
        "replicas": 2, "selector": { "matchLabels": { "app": "hello" } },
        "template": {
            "metadata": { "labels": { "app": "hello" }, "creationTimestamp": null },
            "spec": { "containers": [{ "name": "hello", "image": "hello:1" }] },
        },
        "overrides": [
            { "cluster": "edge", "patch": [{ "op": "replace", "path": "/spec/containers/0/image", "value": "hello:1-arm" }] },
            { "cluster": "other", "patch": [{ "op": "remove", "path": "/spec" }] },
        ],
    });
    let object = main_object(Kind::Deployment, &spec, &json!({}), "edge", 3);
    assert_eq!(object["spec"]["replicas"], 3);
    assert_eq!(
        object["spec"]["template"]["spec"]["containers"][0]["image"],
        "hello:1-arm"
    );
    assert_eq!(object["metadata"]["labels"]["fogguru.eu/owner"], "uid-1");
    assert_eq!(object["metadata"]["labels"]["fogguru.eu/hub"], "hub-1");
    assert_eq!(
        object["spec"]["template"]["metadata"]["labels"],
        json!({ "app": "hello", "fogguru.eu/owner": "uid-1" })
    );
    assert!(!object.to_string().contains("null"), "{object}");
}

#[test]
fn an_override_that_does_not_fit_the_template_says_which() {
    let spec = json!({
        "selector": { "matchLabels": { "app": "hello" } }, "template": { "spec": { "containers": [] } },
        "overrides": [{ "cluster": "edge", "patch": [{ "op": "replace", "path": "/spec/containers/4/image", "value": "x" }] }],
    });
    let share = PlacementStatus {
        cluster: "edge".into(),
        ..PlacementStatus::default()
    };
    let error = Bundler::new("hub-1", &workload(Kind::Deployment, &spec, &json!({})), &[])
        .bundle(&share)
        .unwrap_err();
    assert!(
        error.starts_with("overrides[0].patch[0] for edge: "),
        "{error}"
    );
}

#[test]
fn a_service_copies_annotations_and_both_of_ciliums_names() {
    let spec = json!({ "selector": { "app": "hello" }, "clusterIP": "10.0.0.7", "ports": [{ "port": 80 }], "locations": "a" });
    for name in ["io.cilium/global-service", "service.cilium.io/global"] {
        let annotations = json!({
            name: "true", "external-dns.alpha.kubernetes.io/hostname": "hello.example",
            "kubectl.kubernetes.io/last-applied-configuration": "{}", "kopf.zalando.org/last-handled-configuration": "{}",
        });
        let object = main_object(Kind::Service, &spec, &annotations, "a", 0);
        assert_eq!(
            object["metadata"]["annotations"],
            json!({
                "io.cilium/global-service": "true", "service.cilium.io/global": "true",
                "external-dns.alpha.kubernetes.io/hostname": "hello.example",
                "fogguru.eu/owned-by": "MultiClusterService default/hello",
            })
        );
        assert_eq!(
            object["spec"],
            json!({ "selector": { "app": "hello" }, "ports": [{ "port": 80 }] })
        );
    }
}

#[test]
fn a_job_runs_its_share_at_a_time_and_in_all() {
    let template = json!({ "spec": { "containers": [{ "name": "pi", "image": "pi:1" }] } });
    let object = main_object(
        Kind::Job,
        &json!({ "replicas": 3, "template": template, "backoffLimit": 2 }),
        &json!({}),
        "a",
        3,
    );
    assert_eq!(
        (
            &object["spec"]["parallelism"],
            &object["spec"]["completions"]
        ),
        (&json!(3), &json!(3))
    );
    assert_eq!(object["spec"]["template"]["spec"]["restartPolicy"], "Never");
    let many = main_object(
        Kind::Job,
        &json!({ "template": template, "parallelism": 2, "completions": 10 }),
        &json!({}),
        "a",
        2,
    );
    assert_eq!(
        (&many["spec"]["parallelism"], &many["spec"]["completions"]),
        (&json!(2), &json!(10))
    );
}

#[test]
fn a_template_brings_nothing_where_its_dependencies_are_none() {
    let template = json!({ "spec": { "serviceAccountName": "runner" } });
    let mut spec =
        json!({ "selector": { "matchLabels": { "app": "hello" } }, "template": template });
    let named = named_by(&workload(Kind::Deployment, &spec, &json!({})));
    assert_eq!(named.len(), 1);
    spec["dependencies"] = json!("None");
    assert!(named_by(&workload(Kind::Deployment, &spec, &json!({}))).is_empty());
}

fn main_object(
    kind: Kind,
    spec: &Value,
    annotations: &Value,
    cluster: &str,
    replicas: u32,
) -> Value {
    let share = PlacementStatus {
        cluster: cluster.into(),
        replicas,
        ..PlacementStatus::default()
    };
    let workload = workload(kind, spec, annotations);
    let bundle = Bundler::new("hub-1", &workload, &[])
        .bundle(&share)
        .unwrap();
    assert_eq!(bundle.items.len(), 1);
    bundle.items[0].manifest.object()
}

fn workload(kind: Kind, spec: &Value, annotations: &Value) -> Workload {
    let object = json!({
        "apiVersion": "fogguru.eu/v1", "kind": kind.name(),
        "metadata": { "name": "hello", "namespace": "default", "uid": "uid-1", "annotations": annotations },
        "spec": spec,
    });
    Workload::read(kind, &serde_json::from_value(object).unwrap())
}
