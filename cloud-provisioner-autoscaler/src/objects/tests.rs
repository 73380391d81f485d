use std::collections::BTreeMap;

use federation::api::CloudProvisionerSpec;
use serde_json::json;

use super::*;
use crate::validate::validate;

fn settings(fields: &Value) -> Settings {
    let spec: CloudProvisionerSpec = serde_json::from_value(fields.clone()).unwrap();
    validate("burst", &spec).unwrap()
}

fn design() -> Design {
    Design {
        cluster: "cloud1".to_owned(),
        pools: BTreeMap::from([("k8s.small".to_owned(), 2), ("k8s.large".to_owned(), 1)]),
        sized_at: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

fn place(version: &str) -> Place<'_> {
    Place {
        provisioner: "burst",
        namespace: "clouds",
        infrastructure_version: version,
    }
}

fn kinds(objects: &[Value]) -> Vec<String> {
    let names = objects.iter().map(|one| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!("{}/{}", text(&one["kind"]), text(&one["metadata"]["name"]))
    });
    names.collect()
}

#[test]
fn the_cluster_with_its_record_comes_first() {
    let settings = settings(&json!({ "credentialsSecretRef": { "name": "access" } }));
    let objects = objects(&place("v1beta1"), &settings, &design());
    assert_eq!(
        kinds(&objects),
        [
            "Cluster/cloud1",
            "OpenStackCluster/cloud1",
            "OpenStackMachineTemplate/cloud1-control-plane",
            "KubeadmControlPlane/cloud1",
            "OpenStackMachineTemplate/cloud1-k8s-large",
            "KubeadmConfigTemplate/cloud1-k8s-large",
            "MachineDeployment/cloud1-k8s-large",
            "OpenStackMachineTemplate/cloud1-k8s-small",
            "KubeadmConfigTemplate/cloud1-k8s-small",
            "MachineDeployment/cloud1-k8s-small",
        ]
    );
    let record = objects[0]["metadata"]["annotations"][ANNOTATION_DESIGN].as_str();
    let record: Design = serde_json::from_str(record.unwrap()).unwrap();
    assert_eq!(record, design());
    for object in &objects {
        assert_eq!(object["metadata"]["namespace"], "clouds");
        assert_eq!(object["metadata"]["labels"][LABEL_CLUSTER], "cloud1");
        assert_eq!(object["metadata"]["labels"][LABEL_PROVISIONER], "burst");
    }
    let small = &objects[9];
    assert_eq!(small["spec"]["replicas"], 2);
    assert_eq!(objects[1]["spec"]["identityRef"]["name"], "access");
}

#[test]
fn what_the_provider_has_renamed_is_written_as_it_is_served() {
    let settings = settings(&json!({
        "credentialsSecretRef": { "name": "access" }, "floatingIP": "1.2.3.4",
    }));
    let of = |version| objects(&place(version), &settings, &design());
    let (older, newer) = (of("v1beta1"), of("v1beta2"));
    assert_eq!(older[1]["spec"]["apiServerFloatingIP"], "1.2.3.4");
    assert_eq!(newer[1]["spec"]["apiServer"]["floatingIP"], "1.2.3.4");
    let flavor = |objects: &[Value]| objects[4]["spec"]["template"]["spec"]["flavor"].clone();
    assert_eq!(flavor(&older), "k8s.large");
    assert_eq!(flavor(&newer)["filter"]["name"], "k8s.large");
}

#[test]
fn a_class_has_everything_in_one_object() {
    let settings = settings(&json!({ "clusterClass": {
        "name": "any", "flavorVariable": "size", "variables": { "zone": "a" },
    } }));
    let objects = objects(&place("v1beta1"), &settings, &design());
    assert_eq!(kinds(&objects), ["Cluster/cloud1"]);
    let topology = &objects[0]["spec"]["topology"];
    let workers = topology["workers"]["machineDeployments"]
        .as_array()
        .unwrap();
    assert_eq!(workers.len(), 2);
    assert_eq!(workers[1]["replicas"], 2);
    assert_eq!(workers[1]["metadata"]["labels"][LABEL_POOL], "k8s-small");
    assert_eq!(
        workers[1]["variables"]["overrides"],
        json!([{ "name": "size", "value": "k8s.small" }])
    );
    assert_eq!(
        topology["variables"],
        json!([{ "name": "zone", "value": "a" }, { "name": "size", "value": "k8s.small" }])
    );
}
