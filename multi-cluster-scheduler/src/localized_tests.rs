//! What of a dependency leaves the hub.

use federation::members::{ManagedKind, ObjectKey};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{localized, named_by_object};

fn key(kind: ManagedKind) -> ObjectKey {
    ObjectKey {
        kind,
        namespace: "default".to_owned(),
        name: "one".to_owned(),
    }
}

fn object(value: &Value) -> DynamicObject {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn a_token_of_the_hub_never_leaves_it() {
    let secret = object(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": { "name": "one", "namespace": "default", "resourceVersion": "41", "annotations": {
            "kubernetes.io/service-account.name": "runner",
            "kubernetes.io/service-account.uid": "of-the-hub",
        } },
        "data": { "token": "c2VjcmV0", "ca.crt": "c2VjcmV0", "namespace": "ZGVmYXVsdA==" },
    }));
    let item = localized("hub-1", key(ManagedKind::Secret), &secret);
    assert_eq!(
        item.manifest.object(),
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": "one", "namespace": "default", "labels": { "fogguru.eu/hub": "hub-1" },
                "annotations": { "kubernetes.io/service-account.name": "runner" },
            },
        })
    );
    assert_eq!(item.revision, 41);
    // Without its account the member would delete it.
    let needs = named_by_object(&key(ManagedKind::Secret), &secret);
    let needs: Vec<String> = needs.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(needs, ["ServiceAccount default/runner"]);
}

#[test]
fn an_account_goes_with_what_it_pulls_images_with_and_without_its_tokens() {
    let account = object(&json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "one", "namespace": "default" },
        "secrets": [{ "name": "one-token-x" }], "imagePullSecrets": [{ "name": "registry" }],
    }));
    let item = localized("hub-1", key(ManagedKind::ServiceAccount), &account);
    assert_eq!(item.manifest.object()["secrets"], Value::Null);
    assert_eq!(
        item.manifest.object()["imagePullSecrets"],
        json!([{ "name": "registry" }])
    );
    let needs = named_by_object(&key(ManagedKind::ServiceAccount), &account);
    let needs: Vec<String> = needs.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(needs, ["Secret default/registry"]);
}

#[test]
fn a_claim_is_bound_by_the_member() {
    let claim = object(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "one", "namespace": "default",
            "annotations": {
                "pv.kubernetes.io/bind-completed": "yes",
                "volume.beta.kubernetes.io/storage-provisioner": "of-the-hub",
                "volume.kubernetes.io/storage-provisioner": "of-the-hub",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "team": "a",
            },
        },
        "spec": { "accessModes": ["ReadWriteOnce"], "volumeName": "pv-7" },
        "status": { "phase": "Bound" },
    }));
    let item = localized("hub-1", key(ManagedKind::PersistentVolumeClaim), &claim);
    assert_eq!(
        item.manifest.object()["metadata"]["annotations"],
        json!({ "team": "a" })
    );
    assert_eq!(
        item.manifest.object()["spec"],
        json!({ "accessModes": ["ReadWriteOnce"] })
    );
    assert_eq!(item.manifest.object()["status"], Value::Null);
}
