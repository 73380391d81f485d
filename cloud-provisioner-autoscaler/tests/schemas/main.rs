//! What the provisioner makes is what the real definitions of Cluster API and of its provider for
//! `OpenStack` take: a real API server with those definitions, and strict about each field.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use cloud_provisioner_autoscaler::objects::{Place, objects};
use cloud_provisioner_autoscaler::observed::Design;
use cloud_provisioner_autoscaler::validate::validate;
use federation::api::CloudProvisionerSpec;
use lab::real::{Binaries, Lab, Options};
use serde_json::{Value, json};

/// Modules of Go that have the definitions: path, version, and the digest of what is in them.
const MODULES: [(&str, &str, &str); 2] = [
    (
        "sigs.k8s.io/cluster-api",
        "v1.14.0",
        "h1:Cu0WV9dSdL+Do22q2LJ4OBZdm+d/6ep/L04yqFnifuM=",
    ),
    (
        "sigs.k8s.io/cluster-api-provider-openstack",
        "v0.14.7",
        "h1:paxhYMaCVkoOBBL3IL02Su2x+/ocXOxqNgZ0AyG2KSI=",
    ),
];
/// The definitions, by module.
const DEFINITIONS: [(usize, &str); 6] = [
    (0, "core/config/crd/bases/cluster.x-k8s.io_clusters.yaml"),
    (
        0,
        "core/config/crd/bases/cluster.x-k8s.io_machinedeployments.yaml",
    ),
    (
        0,
        "controlplane/kubeadm/config/crd/bases/controlplane.cluster.x-k8s.io_kubeadmcontrolplanes.yaml",
    ),
    (
        0,
        "bootstrap/kubeadm/config/crd/bases/bootstrap.cluster.x-k8s.io_kubeadmconfigtemplates.yaml",
    ),
    (
        1,
        "config/crd/bases/infrastructure.cluster.x-k8s.io_openstackclusters.yaml",
    ),
    (
        1,
        "config/crd/bases/infrastructure.cluster.x-k8s.io_openstackmachinetemplates.yaml",
    ),
];

/// How an object is tried without being made.
const STRICTLY: [&str; 6] = [
    "apply",
    "--server-side",
    "--validate=strict",
    "--dry-run=server",
    "-f",
    "-",
];

/// Whether the lab's programs are there; without them nothing is tested outside of CI.
fn available() -> bool {
    match Binaries::ensure() {
        Ok(_) => true,
        Err(error) if lab::is_ci() => panic!("{error}"),
        Err(error) => {
            println!("not run: {error}");
            false
        }
    }
}

/// The directory of a module, which is fetched if it is not there.
fn module(directory: &Path, path: &str, version: &str, sum: &str) -> PathBuf {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("go.mod"), "module definitions\n").unwrap();
    let module = format!("{path}@{version}");
    let output = Command::new("go")
        .args(["mod", "download", "-json", &module])
        .current_dir(directory)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["Sum"], sum, "{module}: {told}");
    PathBuf::from(told["Dir"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_definitions_take_what_is_made() {
    if !available() {
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemas");
    let modules =
        MODULES.map(|(path, version, sum)| module(&directory.join("modules"), path, version, sum));
    let lab = Lab::up(Options::uniform(directory.join("lab"), 0, 0))
        .await
        .unwrap();
    for (number, file) in DEFINITIONS {
        let file = modules[number].join(file);
        let applied = lab
            .kubectl(&["apply", "--server-side", "-f", &file.to_string_lossy()])
            .await
            .unwrap();
        assert!(applied.success(), "{}", applied.stderr);
    }
    let waited = lab
        .kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=60s",
        ])
        .await
        .unwrap();
    assert!(waited.success(), "{}", waited.stderr);
    let mut refused = Vec::new();
    let mut count = 0;
    for fields in specs() {
        let spec: CloudProvisionerSpec = serde_json::from_value(fields).unwrap();
        let settings = validate("burst", &spec).unwrap();
        let pools = [("k8s.small".to_owned(), 2), ("k8s.large".to_owned(), 1)];
        let place = Place {
            provisioner: "burst",
            namespace: "default",
            infrastructure_version: "v1beta1",
        };
        let empty = design(BTreeMap::new());
        let some = design(pools.into());
        let all = [empty, some].map(|design| objects(&place, &settings, &design));
        for object in all.into_iter().flatten() {
            count += 1;
            let applied = lab.kubectl_with_input(&STRICTLY, &object.to_string()).await;
            let applied = applied.unwrap();
            if !applied.success() {
                refused.push(format!("{}: {}", object["kind"], applied.stderr));
            }
        }
    }
    // What the definitions do not know is refused, so that nothing passes by being dropped.
    let unknown = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": { "name": "cloud1", "namespace": "default" },
        "spec": { "clusterNetwork": { "podCidr": "10.0.0.0/8" } },
    });
    let applied = lab
        .kubectl_with_input(&STRICTLY, &unknown.to_string())
        .await;
    assert!(!applied.unwrap().success(), "an unknown field is taken");
    lab.down().await.unwrap();
    assert!(count > 30, "{count} objects");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

fn design(pools: BTreeMap<String, u32>) -> Design {
    Design {
        cluster: "cloud1".to_owned(),
        pools,
        sized_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        joined: BTreeMap::new(),
        joined_at: None,
        why: String::new(),
    }
}

/// Every field that reaches an object.
fn specs() -> Vec<Value> {
    let secret = json!({ "name": "access" });
    vec![
        json!({ "credentialsSecretRef": secret }),
        json!({ "cloudsYaml": "e30=", "certText": "e30=" }),
        json!({
            "credentialsSecretRef": secret, "floatingIP": "1.2.3.4",
            "extNetworkID": "0d4b3e7c-8d1f-4a44-8d76-fbd3a1a4a7c1",
            "securityGroupID": "6c3e6f0b-9e46-4dd1-8f3e-4d2f4f8e6a55",
            "cloudName": "mine", "kubernetesVersion": "v1.33.1", "image": "ubuntu",
            "sshKeyName": "key", "controlPlane": { "replicas": 3, "flavor": "k8s.medium" },
            "flavors": [
                { "name": "k8s.small", "capacity": { "cpu": 2, "memory": "8Gi" }, "labels": { "size": "small" } },
                { "name": "k8s.large", "capacity": { "cpu": "8", "memory": "32Gi", "pods": "50" } },
            ],
            "drainTimeout": "90s",
        }),
        json!({
            "clusterClass": { "name": "any" },
            "flavors": [{ "name": "k8s.small", "capacity": { "cpu": "2", "memory": "8Gi" } }],
        }),
        json!({ "clusterClass": {
            "name": "any", "workerClass": "worker", "flavorVariable": "flavor",
            "variables": { "zone": "a", "sizes": { "disk": 20 } },
        } }),
    ]
}
