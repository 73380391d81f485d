//! A cluster on `OpenStack`, as the original makes it: kubeadm on machines of one network, and an
//! address of the external network for the API server.
//!
//! Fields that the provider's `v1beta2` has renamed are written as the hub serves them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{
    BOOTSTRAP, CONTROL_PLANE, CORE, CORE_VERSION, INFRASTRUCTURE, Place, cluster, labels, object,
    pool_labels, pool_name, template_name,
};
use crate::observed::{Design, LABEL_CLUSTER, LABEL_POOL};
use crate::plan::Machine;
use crate::validate::{Credentials, OpenStack, Settings, dns_label};

/// Addresses of machines.
const NODES: &str = "10.6.0.0/24";
/// Whom machines ask for names.
const NAMESERVERS: [&str; 2] = ["9.9.9.9", "149.112.112.112"];

pub(super) fn objects(
    place: &Place<'_>,
    settings: &Settings,
    openstack: &OpenStack,
    design: &Design,
) -> Vec<Value> {
    let mut all = vec![bound(place, design)];
    let identity = match &openstack.credentials {
        Credentials::Secret(name) => name.clone(),
        Credentials::Inline {
            clouds,
            certificate,
        } => {
            let name = format!("{}-cloud-config", design.cluster);
            all.push(secret(place, design, &name, clouds, certificate.as_deref()));
            name
        }
    };
    let identity = json!({ "name": identity, "cloudName": openstack.cloud });
    all.push(infrastructure(place, openstack, design, &identity));
    let name = format!("{}-control-plane", design.cluster);
    let flavor = &settings.control_plane_flavor;
    let of_cluster = labels(place, design);
    let template = machines(place, openstack, &name, &of_cluster, flavor);
    let plane = kubeadm_control_plane(place, settings, design, name_of(&template));
    all.extend([template, plane]);
    for (flavor, nodes) in &design.pools {
        let name = pool_name(design, flavor);
        let of_pool = pool_labels(place, design, flavor);
        let template = machines(place, openstack, &name, &of_pool, flavor);
        let machine = settings.machines.iter().find(|one| one.flavor == *flavor);
        let join = join(place, &name, &of_pool, machine);
        let (machines, boots) = (name_of(&template), name_of(&join));
        let deployment = deployment(place, settings, design, flavor, *nodes, (machines, boots));
        all.extend([template, join, deployment]);
    }
    all
}

fn reference(group: &str, kind: &str, name: &str) -> Value {
    json!({ "apiGroup": group, "kind": kind, "name": name })
}

fn bound(place: &Place<'_>, design: &Design) -> Value {
    let name = &design.cluster;
    let mut cluster = cluster(place, design);
    cluster["spec"]["controlPlaneRef"] = reference(CONTROL_PLANE, "KubeadmControlPlane", name);
    cluster["spec"]["infrastructureRef"] = reference(INFRASTRUCTURE, "OpenStackCluster", name);
    cluster
}

fn secret(
    place: &Place<'_>,
    design: &Design,
    name: &str,
    clouds: &str,
    certificate: Option<&str>,
) -> Value {
    let mut secret = object("v1", "Secret", name, place, &labels(place, design));
    secret["data"] = json!({ "clouds.yaml": BASE64_STANDARD.encode(clouds) });
    if let Some(certificate) = certificate {
        secret["data"]["cacert"] = BASE64_STANDARD.encode(certificate).into();
    }
    secret
}

fn is_newer(place: &Place<'_>) -> bool {
    place.infrastructure_version != "v1beta1"
}

fn of_infrastructure(place: &Place<'_>) -> String {
    format!("{INFRASTRUCTURE}/{}", place.infrastructure_version)
}

fn infrastructure(
    place: &Place<'_>,
    openstack: &OpenStack,
    design: &Design,
    identity: &Value,
) -> Value {
    let api_version = of_infrastructure(place);
    let of_cluster = labels(place, design);
    let name = &design.cluster;
    let mut cluster = object(&api_version, "OpenStackCluster", name, place, &of_cluster);
    cluster["spec"] = json!({
        "identityRef": identity,
        "managedSubnets": [{ "cidr": NODES, "dnsNameservers": NAMESERVERS }],
        "managedSecurityGroups": { "allowAllInClusterTraffic": true },
    });
    if let Some(id) = &openstack.external_network {
        cluster["spec"]["externalNetwork"] = json!({ "id": id });
    }
    if let Some(address) = &openstack.floating_ip {
        if is_newer(place) {
            cluster["spec"]["apiServer"] = json!({ "floatingIP": address });
        } else {
            cluster["spec"]["apiServerFloatingIP"] = address.as_str().into();
        }
    }
    cluster
}

/// The template of machines of a flavor.
fn machines(
    place: &Place<'_>,
    openstack: &OpenStack,
    name: &str,
    labels: &Value,
    flavor: &str,
) -> Value {
    let mut machine = json!({ "image": { "filter": { "name": openstack.image } } });
    machine["flavor"] = if is_newer(place) {
        json!({ "filter": { "name": flavor } })
    } else {
        flavor.into()
    };
    if let Some(key) = &openstack.ssh_key {
        machine["sshKeyName"] = key.as_str().into();
    }
    if let Some(id) = &openstack.security_group {
        machine["securityGroups"] = json!([{ "id": id }]);
    }
    let api_version = of_infrastructure(place);
    let name = template_name(name, &machine);
    let mut template = object(
        &api_version,
        "OpenStackMachineTemplate",
        &name,
        place,
        labels,
    );
    template["spec"] = json!({ "template": { "spec": machine } });
    template
}

/// The name of an object that was made.
fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// How kubeadm registers a node; the cloud's controller adds the rest.
fn registration(labels: Option<String>) -> Value {
    let mut arguments = vec![
        json!({ "name": "cloud-provider", "value": "external" }),
        json!({ "name": "provider-id", "value": "openstack:///'{{ instance_id }}'" }),
    ];
    if let Some(labels) = labels {
        arguments.push(json!({ "name": "node-labels", "value": labels }));
    }
    json!({ "nodeRegistration": {
        "name": "{{ local_hostname }}", "kubeletExtraArgs": arguments,
    } })
}

fn kubeadm_control_plane(
    place: &Place<'_>,
    settings: &Settings,
    design: &Design,
    machines: &str,
) -> Value {
    let api_version = format!("{CONTROL_PLANE}/{CORE_VERSION}");
    let of_cluster = labels(place, design);
    let name = &design.cluster;
    let mut plane = object(
        &api_version,
        "KubeadmControlPlane",
        name,
        place,
        &of_cluster,
    );
    let external = json!([{ "name": "cloud-provider", "value": "external" }]);
    plane["spec"] = json!({
        "replicas": settings.control_plane, "version": settings.version,
        "machineTemplate": { "spec": {
            "infrastructureRef": reference(INFRASTRUCTURE, "OpenStackMachineTemplate", machines),
        } },
        "kubeadmConfigSpec": {
            "clusterConfiguration": { "controllerManager": { "extraArgs": external } },
            "initConfiguration": registration(None),
            "joinConfiguration": registration(None),
        },
    });
    plane
}

/// The template of what machines of a flavor boot with.
fn join(place: &Place<'_>, name: &str, labels: &Value, machine: Option<&Machine>) -> Value {
    let of_nodes = machine.map(|machine| &machine.node.labels);
    let of_nodes: Vec<String> = of_nodes
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let of_nodes = Some(of_nodes.join(",")).filter(|labels| !labels.is_empty());
    let spec = json!({ "joinConfiguration": registration(of_nodes) });
    let api_version = format!("{BOOTSTRAP}/{CORE_VERSION}");
    let name = template_name(name, &spec);
    let mut template = object(&api_version, "KubeadmConfigTemplate", &name, place, labels);
    template["spec"] = json!({ "template": { "spec": spec } });
    template
}

fn deployment(
    place: &Place<'_>,
    settings: &Settings,
    design: &Design,
    flavor: &str,
    nodes: u32,
    (machines, boots): (&str, &str),
) -> Value {
    let api_version = format!("{CORE}/{CORE_VERSION}");
    let name = pool_name(design, flavor);
    let labels = pool_labels(place, design, flavor);
    let mut deployment = object(&api_version, "MachineDeployment", &name, place, &labels);
    let selected = json!({ LABEL_CLUSTER: design.cluster, LABEL_POOL: dns_label(flavor) });
    deployment["spec"] = json!({
        "clusterName": design.cluster, "replicas": nodes,
        "selector": { "matchLabels": selected },
        "template": {
            "metadata": { "labels": selected },
            "spec": {
                "clusterName": design.cluster, "version": settings.version,
                "bootstrap": { "configRef": reference(BOOTSTRAP, "KubeadmConfigTemplate", boots) },
                "infrastructureRef": reference(INFRASTRUCTURE, "OpenStackMachineTemplate", machines),
                "deletion": { "nodeDrainTimeoutSeconds": settings.drain_timeout.as_secs() },
            },
        },
    });
    deployment
}
