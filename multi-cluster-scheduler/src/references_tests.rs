//! What a pod spec needs.

use serde_json::{Value, json};

use super::{Need, needs_of_pod};

fn needs(spec: &Value) -> Vec<(String, Need)> {
    let needs = needs_of_pod("default", spec);
    needs
        .into_iter()
        .map(|(key, need)| (key.to_string(), need))
        .collect()
}

/// Every place of `VisitPodSecretNames` and `VisitPodConfigmapNames`, each with a name of its own.
#[test]
fn every_reference_of_a_pod_spec_is_found() {
    let spec = json!({
        "imagePullSecrets": [{ "name": "pull" }],
        "volumes": [
            { "name": "v1", "azureFile": { "secretName": "azure", "shareName": "s" } },
            { "name": "v2", "cephfs": { "secretRef": { "name": "ceph" }, "monitors": [] } },
            { "name": "v3", "cinder": { "secretRef": { "name": "cinder" }, "volumeID": "v" } },
            { "name": "v4", "flexVolume": { "secretRef": { "name": "flex" }, "driver": "d" } },
            { "name": "v5", "rbd": { "secretRef": { "name": "rbd" }, "monitors": [], "image": "i" } },
            { "name": "v6", "secret": { "secretName": "volume" } },
            { "name": "v7", "scaleIO": { "secretRef": { "name": "scaleio" }, "gateway": "g", "system": "s" } },
            { "name": "v8", "iscsi": { "secretRef": { "name": "iscsi" }, "targetPortal": "t", "iqn": "i", "lun": 0 } },
            { "name": "v9", "storageos": { "secretRef": { "name": "storageos" } } },
            { "name": "v10", "csi": { "nodePublishSecretRef": { "name": "csi" }, "driver": "d" } },
            { "name": "v11", "projected": { "sources": [{ "secret": { "name": "projected" } }, { "configMap": { "name": "projected" } }] } },
            { "name": "v12", "configMap": { "name": "volume" } },
            { "name": "v13", "persistentVolumeClaim": { "claimName": "claim" } },
        ],
        "containers": [{ "name": "c", "envFrom": [{ "secretRef": { "name": "from" } }, { "configMapRef": { "name": "from" } }],
            "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "key", "key": "k" } } }, { "name": "B", "valueFrom": { "configMapKeyRef": { "name": "key", "key": "k" } } }] }],
        "initContainers": [{ "name": "i", "envFrom": [{ "secretRef": { "name": "init" } }] }],
        "ephemeralContainers": [{ "name": "e", "env": [{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "ephemeral", "key": "k" } } }] }],
        "serviceAccountName": "account",
    });
    let mut found: Vec<String> = needs(&spec).into_iter().map(|(name, _)| name).collect();
    found.sort();
    let secrets = [
        "azure",
        "ceph",
        "cinder",
        "csi",
        "flex",
        "from",
        "init",
        "iscsi",
        "key",
        "projected",
        "pull",
        "rbd",
        "scaleio",
        "storageos",
        "volume",
    ];
    let maps = ["ephemeral", "from", "key", "projected", "volume"];
    let mut expected: Vec<String> = secrets.map(|name| format!("Secret default/{name}")).into();
    expected.extend(maps.map(|name| format!("ConfigMap default/{name}")));
    expected.push("PersistentVolumeClaim default/claim".to_owned());
    expected.push("ServiceAccount default/account".to_owned());
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_is_optional_everywhere_is_optional_and_what_is_required_once_is_required() {
    let from = |optional: bool| json!({ "envFrom": [{ "configMapRef": { "name": "m", "optional": optional } }] });
    let both = json!({ "containers": [from(true), from(false)] });
    let one = json!({ "containers": [from(true)], "volumes": [{ "secret": { "secretName": "s", "optional": true } }] });
    assert_eq!(
        needs(&both),
        [("ConfigMap default/m".to_owned(), Need::Required)]
    );
    assert_eq!(
        needs(&one),
        [
            ("ConfigMap default/m".to_owned(), Need::Optional),
            ("Secret default/s".to_owned(), Need::Optional),
        ]
    );
}

#[test]
fn the_old_name_of_the_account_counts_where_the_new_one_is_not_given() {
    let account = |spec: Value| needs(&spec).into_iter().map(|(name, _)| name).next();
    let old = json!({ "serviceAccount": "old" });
    let both = json!({ "serviceAccount": "old", "serviceAccountName": "new" });
    let empty = json!({ "serviceAccount": "old", "serviceAccountName": "" });
    let given = json!({ "serviceAccountName": "default" });
    assert_eq!(account(old).as_deref(), Some("ServiceAccount default/old"));
    assert_eq!(account(both).as_deref(), Some("ServiceAccount default/new"));
    assert_eq!(
        account(empty).as_deref(),
        Some("ServiceAccount default/old")
    );
    assert_eq!(account(given), None);
}
