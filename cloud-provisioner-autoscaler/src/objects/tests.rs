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
        joined: BTreeMap::new(),
        joined_at: None,
        why: "2 replicas fit nowhere".to_owned(),
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
    // Templates have a digest of their content in their names.
    let known = |name: String| {
        let (name, digest) = name.rsplit_once('-').unwrap_or((&name, ""));
        if name.contains("Template/") && digest.len() == 8 {
            format!("{name}-…")
        } else {
            format!("{name}-{digest}").trim_end_matches('-').to_owned()
        }
    };
    let names: Vec<String> = kinds(&objects).into_iter().map(known).collect();
    assert_eq!(
        names,
        [
            "Cluster/cloud1",
            "OpenStackCluster/cloud1",
            "OpenStackMachineTemplate/cloud1-control-plane-…",
            "KubeadmControlPlane/cloud1",
            "OpenStackMachineTemplate/cloud1--k8s-large-…",
            "KubeadmConfigTemplate/cloud1--k8s-large-…",
            "MachineDeployment/cloud1--k8s-large",
            "OpenStackMachineTemplate/cloud1--k8s-small-…",
            "KubeadmConfigTemplate/cloud1--k8s-small-…",
            "MachineDeployment/cloud1--k8s-small",
        ]
    );
    let template = |number: usize| objects[number]["metadata"]["name"].clone();
    let machines = &objects[9]["spec"]["template"]["spec"];
    assert_eq!(machines["infrastructureRef"]["name"], template(7));
    assert_eq!(machines["bootstrap"]["configRef"]["name"], template(8));
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
fn a_template_that_is_to_be_another_one_has_another_name() {
    let of = |image: &str| {
        let secret = json!({ "name": "access" });
        let settings = settings(&json!({ "credentialsSecretRef": secret, "image": image }));
        let objects = objects(&place("v1beta1"), &settings, &design());
        (kinds(&objects)[2].clone(), objects[3].clone())
    };
    let (one, plane) = of("ubuntu-1");
    let (other, changed) = of("ubuntu-2");
    assert_ne!(one, other);
    assert_eq!(of("ubuntu-1"), (one, plane.clone()));
    assert_ne!(
        plane["spec"]["machineTemplate"],
        changed["spec"]["machineTemplate"]
    );
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
