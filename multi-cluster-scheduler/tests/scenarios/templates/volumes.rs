//! Volumes, and how containers get at them.

use serde_json::{Value, json};

use super::{NAMED, Random, some as some_fields, some_and};

/// As many as a pod may have of them, by the names `v0`, `v1` and so on.
pub(super) fn some(random: &mut Random) -> Vec<Value> {
    let count = random.below(5);
    (0..count)
        .map(|number| {
            let mut volume = source(random);
            volume["name"] = json!(format!("v{number}"));
            volume
        })
        .collect()
}

/// What a container mounts, and what it takes as a device: never the same.
pub(super) fn mounts(
    random: &mut Random,
    volumes: &[Value],
    devices: bool,
) -> (Vec<Value>, Vec<Value>) {
    let (mut mounted, mut taken) = (Vec::new(), Vec::new());
    for (position, volume) in volumes.iter().enumerate() {
        let is_claim = ["persistentVolumeClaim", "ephemeral"]
            .iter()
            .any(|source| !volume[source].is_null());
        if devices && is_claim && random.chance(50) {
            taken
                .push(json!({ "name": volume["name"], "devicePath": format!("/dev/v{position}") }));
        } else if random.chance(50) {
            mounted.push(mount(random, &volume["name"], position));
        }
    }
    (mounted, taken)
}

fn mount(random: &mut Random, name: &Value, position: usize) -> Value {
    let (part, value) = random.one(&[("subPath", "sub"), ("subPathExpr", "$(A)")]);
    let path = format!("/mnt/{position}{}", random.one(&["", "x"]));
    let required = json!({ "name": name, "mountPath": path });
    // All below is read-only where the mount is, and is not shared with the host.
    if random.chance(20) {
        let recursive = random.one(&["Enabled", "IfPossible", "Disabled"]);
        let fields = vec![(part, json!(value))];
        let mut mount = some_and(random, 40, fields, required);
        mount["readOnly"] = json!(true);
        mount["recursiveReadOnly"] = json!(recursive);
        return mount;
    }
    let fields = vec![
        ("readOnly", json!(random.chance(50))),
        (part, json!(value)),
        (
            "mountPropagation",
            json!(random.one(&["None", "HostToContainer"])),
        ),
    ];
    some_and(random, 40, fields, required)
}

/// A source of each kind: what it may say, and what it must. Without `ImageVolume` the server leaves
/// an image out, and what mounts it.
fn source(random: &mut Random) -> Value {
    // The server takes it for an `emptyDir`.
    if random.chance(3) {
        return json!({});
    }
    let read_only = ("readOnly", json!(random.chance(50)));
    let file_system = ("fsType", json!(random.one(&["ext4", "xfs"])));
    let credentials = json!({ "name": format!("s-{}", random.below(NAMED)) });
    let secret_ref = ("secretRef", credentials.clone());
    let number = |random: &mut Random| json!(random.below(9));
    let disk = |more: Vec<(&'static str, Value)>| {
        let mut fields = vec![file_system.clone(), read_only.clone()];
        fields.extend(more);
        fields
    };
    let sources = [
        (
            "emptyDir",
            vec![("medium", json!("Memory")), ("sizeLimit", json!("64Mi"))],
            json!({}),
        ),
        (
            "configMap",
            vec![("defaultMode", json!(256))],
            config_map(random),
        ),
        ("secret", vec![("defaultMode", json!(256))], secret(random)),
        (
            "hostPath",
            vec![("type", json!("DirectoryOrCreate"))],
            json!({ "path": "/var/a" }),
        ),
        (
            "downwardAPI",
            vec![("defaultMode", json!(256))],
            json!({ "items": downward_files(random) }),
        ),
        (
            "projected",
            vec![("defaultMode", json!(256))],
            projected(random),
        ),
        ("projected", vec![], projected(random)),
        (
            "persistentVolumeClaim",
            vec![read_only.clone()],
            json!({ "claimName": format!("pvc-{}", random.below(NAMED)) }),
        ),
        (
            "ephemeral",
            vec![],
            json!({ "volumeClaimTemplate": claim(random) }),
        ),
        (
            "ephemeral",
            vec![],
            json!({ "volumeClaimTemplate": claim(random) }),
        ),
        (
            "csi",
            disk(vec![
                ("volumeAttributes", json!({ "a": "b" })),
                ("nodePublishSecretRef", credentials.clone()),
            ]),
            json!({ "driver": "csi.example.com" }),
        ),
        (
            "nfs",
            vec![read_only.clone()],
            json!({ "server": "nfs.example", "path": "/a" }),
        ),
        ("iscsi", disk(vec![]), iscsi(random, &credentials)),
        (
            "rbd",
            disk(vec![
                ("pool", json!("p")),
                ("user", json!("u")),
                ("keyring", json!("/k")),
                secret_ref.clone(),
            ]),
            json!({ "monitors": ["10.0.0.1"], "image": "a" }),
        ),
        (
            "cephfs",
            vec![
                ("path", json!("/a")),
                ("user", json!("u")),
                ("secretFile", json!("/s")),
                secret_ref.clone(),
                read_only.clone(),
            ],
            json!({ "monitors": ["10.0.0.1"] }),
        ),
        (
            "azureDisk",
            disk(vec![
                (
                    "cachingMode",
                    json!(random.one(&["None", "ReadOnly", "ReadWrite"])),
                ),
                ("kind", json!(random.one(&["Dedicated", "Shared"]))),
            ]),
            json!({ "diskName": "a", "diskURI": "https://example.blob.core.windows.net/a.vhd" }),
        ),
        (
            "azureFile",
            vec![read_only.clone()],
            json!({ "secretName": credentials["name"], "shareName": "a" }),
        ),
        (
            "awsElasticBlockStore",
            disk(vec![("partition", number(random))]),
            json!({ "volumeID": "a" }),
        ),
        (
            "gcePersistentDisk",
            disk(vec![("partition", number(random))]),
            json!({ "pdName": "a" }),
        ),
        (
            "fc",
            disk(vec![]),
            random.one(&[
                json!({ "targetWWNs": ["1"], "lun": 1 }),
                json!({ "wwids": ["1"] }),
            ]),
        ),
        (
            "flexVolume",
            disk(vec![
                secret_ref.clone(),
                ("options", json!({ "a": random.one(&["b", "c"]) })),
            ]),
            json!({ "driver": "example.com/a" }),
        ),
        (
            "cinder",
            disk(vec![secret_ref.clone()]),
            json!({ "volumeID": "a" }),
        ),
        (
            "glusterfs",
            vec![read_only.clone()],
            json!({ "endpoints": "a", "path": "b" }),
        ),
        ("portworxVolume", disk(vec![]), json!({ "volumeID": "a" })),
        (
            "vsphereVolume",
            vec![
                file_system.clone(),
                ("storagePolicyName", json!("p")),
                ("storagePolicyID", json!("1")),
            ],
            json!({ "volumePath": "a" }),
        ),
        (
            "image",
            vec![(
                "pullPolicy",
                json!(random.one(&["Always", "IfNotPresent", "Never"])),
            )],
            json!({ "reference": random.one(&["files", "files:1"]) }),
        ),
        (
            "gitRepo",
            vec![("revision", json!("main")), ("directory", json!("d"))],
            json!({ "repository": "https://git.example/a.git" }),
        ),
        (
            "quobyte",
            vec![
                read_only.clone(),
                ("user", json!("u")),
                ("group", json!("g")),
                ("tenant", json!("t")),
            ],
            json!({ "registry": "10.0.0.1:7861", "volume": "a" }),
        ),
        (
            "flocker",
            vec![],
            json!({ random.one(&["datasetName", "datasetUUID"]): "a" }),
        ),
        (
            "scaleIO",
            disk(vec![
                ("sslEnabled", json!(random.chance(50))),
                ("protectionDomain", json!("d")),
                ("storagePool", json!("p")),
                ("storageMode", json!("ThickProvisioned")),
            ]),
            json!({ "gateway": "https://10.0.0.1", "system": "s", "volumeName": "a", "secretRef": credentials }),
        ),
        (
            "storageos",
            disk(vec![secret_ref.clone(), ("volumeNamespace", json!("n"))]),
            json!({ "volumeName": "a" }),
        ),
        (
            "photonPersistentDisk",
            vec![file_system.clone()],
            json!({ "pdID": "a" }),
        ),
    ];
    let (kind, fields, required) = random.one(&sources);
    json!({ kind: some_and(random, 40, fields, required) })
}

fn config_map(random: &mut Random) -> Value {
    let name = json!({ "name": format!("cm-{}", random.below(NAMED)) });
    keys(random, "p", name)
}

fn secret(random: &mut Random) -> Value {
    let name = json!({ "secretName": format!("s-{}", random.below(NAMED)) });
    keys(random, "p", name)
}

/// All keys of an object, or some under other names.
fn keys(random: &mut Random, path: &str, name: Value) -> Value {
    let fields = vec![
        ("optional", json!(true)),
        ("items", json!([{ "key": "k", "path": path, "mode": 292 }])),
    ];
    some_and(random, 40, fields, name)
}

fn downward_files(random: &mut Random) -> Value {
    let resource = some_and(
        random,
        50,
        vec![("divisor", json!("1Mi"))],
        json!({ "containerName": "a", "resource": "limits.memory" }),
    );
    let labels = some_and(
        random,
        50,
        vec![("apiVersion", json!("v1"))],
        json!({ "fieldPath": "metadata.labels" }),
    );
    let all = [
        json!({ "path": "labels", "fieldRef": labels }),
        json!({ "path": "memory", "mode": 292, "resourceFieldRef": resource }),
    ];
    json!(all[..=random.below(2)])
}

/// Files of several sources. Without `ClusterTrustBundleProjection` and `PodCertificateRequest` the
/// server leaves those of theirs empty.
fn projected(random: &mut Random) -> Value {
    let fields = vec![
        ("audience", json!("a")),
        ("expirationSeconds", json!(600 + random.below(9))),
    ];
    let token = some_and(random, 50, fields, json!({ "path": "t" }));
    let name = json!({ "name": format!("s-{}", random.below(NAMED)) });
    let secret = keys(random, "q", name);
    let selector = random.one(&[
        json!({ "matchLabels": { "a": "b" } }),
        json!({ "matchExpressions": [{ "key": "a", "operator": "In", "values": ["b"] }] }),
    ]);
    let bundle = random.one(&[
        json!({ "name": "one", "path": "c", "optional": true }),
        json!({ "signerName": "example.com/signer", "labelSelector": selector, "path": "c" }),
    ]);
    let signed = random.one(&[
        json!({ "credentialBundlePath": "b", "signerName": "example.com/signer", "keyType": "ED25519" }),
        json!({ "keyPath": "k", "certificateChainPath": "l", "signerName": "example.com/signer", "keyType": "RSA3072" }),
    ]);
    let fields = vec![("maxExpirationSeconds", json!(3600 + random.below(9)))];
    let certificate = some_and(random, 50, fields, signed);
    let all = [
        json!({ "serviceAccountToken": token }),
        json!({ "configMap": config_map(random) }),
        json!({ "secret": secret }),
        json!({ "downwardAPI": { "items": downward_files(random) } }),
        json!({ "clusterTrustBundle": bundle }),
        json!({ "podCertificate": certificate }),
    ];
    let sources: Vec<Value> = (all.iter())
        .filter(|_| random.chance(50))
        .cloned()
        .collect();
    json!({ "sources": sources })
}

/// Who asks for a password has one.
fn iscsi(random: &mut Random, credentials: &Value) -> Value {
    let fields = vec![
        ("iscsiInterface", json!("one")),
        ("portals", json!(["10.0.0.2"])),
        ("initiatorName", json!("iqn.2001-04.com.example:b")),
    ];
    let required = json!({ "targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:a", "lun": random.below(9) });
    let mut iscsi = some_and(random, 40, fields, required);
    if random.chance(50) {
        iscsi["secretRef"] = credentials.clone();
        iscsi["chapAuthDiscovery"] = json!(random.chance(50));
        iscsi["chapAuthSession"] = json!(random.chance(50));
    }
    iscsi
}

/// A claim that comes and goes with its pod.
fn claim(random: &mut Random) -> Value {
    let selector = random.one(&[
        json!({ "matchLabels": { "a": "b" } }),
        json!({ "matchExpressions": [{ "key": "a", "operator": "In", "values": ["b"] }] }),
    ]);
    let fields = vec![
        ("selector", selector),
        ("storageClassName", json!(random.one(&["one", "two"]))),
        ("volumeAttributesClassName", json!("gold")),
        ("volumeMode", json!(random.one(&["Block", "Filesystem"]))),
        ("volumeName", json!("pv")),
    ];
    let mut resources = json!({ "requests": { "storage": "1Gi" } });
    if random.chance(30) {
        resources["limits"] = json!({ "storage": "2Gi" });
    }
    let required = json!({ "accessModes": ["ReadWriteOnce"], "resources": resources });
    let mut spec = some_and(random, 40, fields, required);
    let source =
        json!({ "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "a" });
    match random.below(4) {
        0 => spec["dataSource"] = source,
        1 => spec["dataSourceRef"] = source,
        2 => {
            spec["dataSourceRef"] = source;
            spec["dataSourceRef"]["namespace"] = json!("other");
        }
        _ => {}
    }
    let fields = vec![
        ("labels", json!({ "a": "b" })),
        ("annotations", json!({ "a": "b" })),
    ];
    json!({ "metadata": some_fields(random, 40, fields), "spec": spec })
}
