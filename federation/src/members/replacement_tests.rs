//! What a whole replacement says, and what it leaves to others.

use serde_json::{Value, json};

use super::{Foreign, replacement};
use crate::members::ManagedKind;

fn live(spec: &Value, entries: &[(&str, Value)]) -> Value {
    let entry = |(manager, fields): &(&str, Value)| json!({ "manager": manager, "operation": "Update", "subresource": "status", "fieldsV1": fields });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "one", "uid": "u-1", "resourceVersion": "7",
            "finalizers": ["example.com/hold"],
            "labels": { "owner.fogguru.eu/a": "true", "owner.fogguru.eu/b": "true", "old": "ours", "team": "theirs" },
            "annotations": { "deployment.kubernetes.io/revision": "3" },
            "managedFields": entries.iter().map(entry).collect::<Vec<_>>(),
        },
        "spec": spec,
    })
}

fn wanted(spec: &Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "one", "labels": { "owner.fogguru.eu/a": "true" } }, "spec": spec })
}

fn replaced(wanted_spec: &Value, live_spec: &Value, fields: Value, foreign: Foreign) -> Value {
    let live = live(
        live_spec,
        &[
            ("mck8s-scheduler", json!({ "f:spec": { "f:strategy": {} } })),
            ("someone", fields),
        ],
    );
    replacement(
        ManagedKind::Deployment,
        &wanted(wanted_spec),
        &live,
        foreign,
    )
}

#[test]
fn what_no_manager_or_only_ours_holds_goes() {
    let before = json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } }, "minReadySeconds": 5 });
    let after = json!({ "strategy": { "type": "Recreate" } });
    let object = replaced(&after, &before, json!({}), Foreign::Kept);
    assert_eq!(object["spec"], after);
    assert_eq!(
        object["metadata"],
        json!({
            "name": "one", "uid": "u-1", "resourceVersion": "7", "finalizers": ["example.com/hold"],
            // The other owner's label stays until it takes it off.
            "labels": { "owner.fogguru.eu/a": "true", "owner.fogguru.eu/b": "true" },
        })
    );
}

#[test]
fn what_others_hold_stays() {
    let before = json!({
        "paused": true, "replicas": 9,
        "template": { "spec": {
            "containers": [
                { "name": "ours", "image": "a:1", "env": [{ "name": "THEIRS", "value": "x" }], "resources": { "limits": { "cpu": "2" } } },
                { "name": "sidecar", "image": "s:1" },
                { "name": "left", "image": "l:1" },
            ],
        } },
    });
    let after = json!({ "replicas": 2, "template": { "spec": { "containers": [{ "name": "ours", "image": "a:2" }] } } });
    let fields = json!({
        "f:metadata": { "f:labels": { "f:team": {} }, "f:annotations": { ".": {}, "f:deployment.kubernetes.io/revision": {} }, "f:finalizers": {} },
        "f:spec": {
            "f:paused": {}, "f:replicas": {},
            "f:template": { "f:spec": { "f:containers": {
                "k:{\"name\":\"ours\"}": {
                    "f:env": { ".": {}, "k:{\"name\":\"THEIRS\"}": { ".": {}, "f:name": {}, "f:value": {} } },
                    "f:resources": { "f:limits": { "f:cpu": {} } },
                },
                "k:{\"name\":\"sidecar\"}": { ".": {}, "f:name": {}, "f:image": {} },
                "k:{\"name\":\"left\"}": { "f:image": {} },
            } } },
        },
        "f:status": { "f:replicas": {} },
    });
    let object = replaced(&after, &before, fields.clone(), Foreign::Kept);
    assert_eq!(
        object["spec"],
        json!({
            "paused": true, "replicas": 2,
            "template": { "spec": { "containers": [
                { "name": "ours", "image": "a:2", "env": [{ "name": "THEIRS", "value": "x" }], "resources": { "limits": { "cpu": "2" } } },
                { "name": "sidecar", "image": "s:1" },
            ] } },
        })
    );
    assert_eq!(object["metadata"]["labels"]["team"], "theirs");
    assert_eq!(object["metadata"]["labels"]["old"], Value::Null);
    assert_eq!(
        object["metadata"]["annotations"],
        json!({ "deployment.kubernetes.io/revision": "3" })
    );
    let object = replaced(&after, &before, fields, Foreign::MetadataOnly);
    assert_eq!(object["spec"], after);
    assert_eq!(object["metadata"]["labels"]["team"], "theirs");
}

#[test]
fn a_job_keeps_what_its_member_generated() {
    let live = json!({
        "metadata": { "name": "one" },
        "spec": {
            "parallelism": 3, "completions": 3, "activeDeadlineSeconds": 60, "suspend": true,
            "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": "u" } },
            "template": { "metadata": { "labels": { "batch.kubernetes.io/controller-uid": "u", "old": "label" } } },
        },
    });
    let wanted = json!({ "metadata": { "name": "one" }, "spec": { "parallelism": 2, "completions": 3, "template": { "metadata": { "labels": { "app": "a" } } } } });
    let object = replacement(ManagedKind::Job, &wanted, &live, Foreign::Kept);
    assert_eq!(
        object["spec"],
        json!({
            "parallelism": 2, "completions": 3, "suspend": true,
            "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": "u" } },
            "template": { "metadata": { "labels": { "app": "a", "batch.kubernetes.io/controller-uid": "u" } } },
        })
    );
}

#[test]
fn a_claim_keeps_what_its_member_gave_it() {
    let live = json!({
        "metadata": { "name": "one" },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeName": "pv-1", "volumeMode": "Filesystem", "resources": { "requests": { "storage": "1Gi" } } },
    });
    let wanted = json!({ "metadata": { "name": "one" }, "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "2Gi" } } } });
    let object = replacement(
        ManagedKind::PersistentVolumeClaim,
        &wanted,
        &live,
        Foreign::Kept,
    );
    assert_eq!(
        object["spec"],
        json!({ "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeName": "pv-1", "volumeMode": "Filesystem", "resources": { "requests": { "storage": "2Gi" } } })
    );
}
