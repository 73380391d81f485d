//! The objects of a cluster, as Cluster API takes them, from its design. Pure.

mod cluster_class;
mod openstack;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::observed::{ANNOTATION_DESIGN, Design, LABEL_CLUSTER, LABEL_POOL, LABEL_PROVISIONER};
use crate::validate::{Infrastructure, Settings, dns_label};

/// Group of `Cluster` and `MachineDeployment`.
pub const CORE: &str = "cluster.x-k8s.io";
/// Its version.
pub const CORE_VERSION: &str = "v1beta2";
/// Group of the objects of providers of infrastructure.
pub const INFRASTRUCTURE: &str = "infrastructure.cluster.x-k8s.io";
const BOOTSTRAP: &str = "bootstrap.cluster.x-k8s.io";
const CONTROL_PLANE: &str = "controlplane.cluster.x-k8s.io";

/// Kinds that may be left of a cluster that is gone: group, kind and plural.
pub const LEFT: [(&str, &str, &str); 3] = [
    (BOOTSTRAP, "KubeadmConfigTemplate", "kubeadmconfigtemplates"),
    (
        INFRASTRUCTURE,
        "OpenStackMachineTemplate",
        "openstackmachinetemplates",
    ),
    ("", "Secret", "secrets"),
];

/// Addresses of pods.
const PODS: &str = "192.168.0.0/16";

/// For whom and where a cluster is made.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The `CloudProvisioner`.
    pub provisioner: &'a str,
    /// The namespace of the objects.
    pub namespace: &'a str,
    /// The version of the infrastructure provider's API that the hub serves.
    pub infrastructure_version: &'a str,
}

/// The objects of a cluster, in the order in which they are to be made: the `Cluster`, which has the
/// record of all others, is the first.
pub fn objects(place: &Place<'_>, settings: &Settings, design: &Design) -> Vec<Value> {
    match &settings.infrastructure {
        Infrastructure::OpenStack(openstack) => {
            openstack::objects(place, settings, openstack, design)
        }
        Infrastructure::ClusterClass(class) => {
            vec![cluster_class::cluster(place, settings, class, design)]
        }
    }
}

/// The name of the objects of a pool. No pool of another cluster has it.
fn pool_name(design: &Design, flavor: &str) -> String {
    format!("{}--{}", design.cluster, dns_label(flavor))
}

/// The name of a template with this content: it cannot be changed, and one with another content is
/// another one.
fn template_name(name: &str, spec: &Value) -> String {
    let digest = Sha256::digest(spec.to_string());
    let first = digest.iter().take(4);
    let first = first.fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    format!("{name}-{first:08x}")
}

fn labels(place: &Place<'_>, design: &Design) -> Value {
    json!({ LABEL_PROVISIONER: place.provisioner, LABEL_CLUSTER: design.cluster })
}

fn pool_labels(place: &Place<'_>, design: &Design, flavor: &str) -> Value {
    let mut labels = labels(place, design);
    labels[LABEL_POOL] = dns_label(flavor).into();
    labels
}

/// An object without its spec.
fn object(api_version: &str, kind: &str, name: &str, place: &Place<'_>, labels: &Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": { "name": name, "namespace": place.namespace, "labels": labels },
    })
}

/// The `Cluster`, with its record.
fn cluster(place: &Place<'_>, design: &Design) -> Value {
    let api_version = format!("{CORE}/{CORE_VERSION}");
    let labels = labels(place, design);
    let mut cluster = object(&api_version, "Cluster", &design.cluster, place, &labels);
    let record = serde_json::to_string(design).unwrap_or_default();
    cluster["metadata"]["annotations"] = json!({ ANNOTATION_DESIGN: record });
    cluster["spec"] = json!({ "clusterNetwork": { "pods": { "cidrBlocks": [PODS] } } });
    cluster
}
