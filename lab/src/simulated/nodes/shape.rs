//! A node as an object, and as the scheduler counts it.

use std::collections::BTreeMap;

use federation::capacity::{quantities, taint_effect};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Node, NodeAddress, NodeSpec, NodeStatus, NodeSystemInfo, Taint as NodeTaint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::core::ObjectMeta;
use placement::{Resources, Taint};

use super::conditions::{healthy, is_ready};
use crate::simulated::options::NodeGroup;

/// A node as its kubelet registers it.
pub(super) fn node(name: &str, number: usize, group: &NodeGroup, now: Timestamp) -> Node {
    let resources = amounts(group);
    Node {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels(name, group)),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            provider_id: Some(format!("simulated://{name}")),
            taints: (!group.taints.is_empty())
                .then(|| group.taints.iter().map(as_object).collect()),
            ..NodeSpec::default()
        }),
        status: Some(NodeStatus {
            addresses: Some(vec![
                address("InternalIP", &node_ip(number)),
                address("Hostname", name),
            ]),
            allocatable: Some(resources.clone()),
            capacity: Some(resources),
            conditions: Some(healthy(now)),
            node_info: Some(NodeSystemInfo {
                architecture: "amd64".to_owned(),
                container_runtime_version: "simulated://1".to_owned(),
                kernel_version: "simulated".to_owned(),
                kubelet_version: control_plane::KUBERNETES_VERSION.to_owned(),
                operating_system: "linux".to_owned(),
                os_image: "simulated".to_owned(),
                ..NodeSystemInfo::default()
            }),
            ..NodeStatus::default()
        }),
    }
}

/// The address of the node of this number, in 172.16.0.0/12.
fn node_ip(number: usize) -> String {
    format!(
        "172.{}.{}.{}",
        16 + ((number >> 16) & 15),
        (number >> 8) & 255,
        number & 255
    )
}

fn address(kind: &str, address: &str) -> NodeAddress {
    NodeAddress {
        type_: kind.to_owned(),
        address: address.to_owned(),
    }
}

fn labels(name: &str, group: &NodeGroup) -> BTreeMap<String, String> {
    let fixed = [
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("topology.kubernetes.io/region", &group.region),
        ("topology.kubernetes.io/zone", &group.zone),
    ];
    let fixed = fixed.map(|(key, value)| (key.to_owned(), value.to_owned()));
    fixed.into_iter().chain(group.labels.clone()).collect()
}

fn amounts(group: &NodeGroup) -> BTreeMap<String, Quantity> {
    let mut all = group.resources.clone();
    all.insert("cpu".to_owned(), group.cpu.clone());
    all.insert("memory".to_owned(), group.memory.clone());
    all.insert("pods".to_owned(), group.pods.to_string());
    all.into_iter()
        .map(|(name, amount)| (name, Quantity(amount)))
        .collect()
}

fn as_object(taint: &Taint) -> NodeTaint {
    NodeTaint {
        key: taint.key.clone(),
        value: (!taint.value.is_empty()).then(|| taint.value.clone()),
        effect: format!("{:?}", taint.effect),
        time_added: None,
    }
}

/// A taint of a node object; none if its effect is unknown.
pub(crate) fn taint_of(taint: &NodeTaint) -> Option<Taint> {
    Some(Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect: taint_effect(&taint.effect)?,
    })
}

/// A node object as the scheduler counts it.
pub(crate) fn as_placed(node: &Node) -> placement::Node {
    let spec = node.spec.as_ref();
    let taints = spec.and_then(|spec| spec.taints.as_deref());
    let status = node.status.as_ref();
    let allocatable = status.and_then(|status| status.allocatable.as_ref());
    placement::Node {
        name: node.metadata.name.clone().unwrap_or_default(),
        labels: node.metadata.labels.clone().unwrap_or_default(),
        taints: taints
            .unwrap_or_default()
            .iter()
            .filter_map(taint_of)
            .collect(),
        unschedulable: spec.and_then(|spec| spec.unschedulable) == Some(true),
        ready: is_ready(node),
        allocatable: allocatable.map(amounts_of).unwrap_or_default(),
    }
}

/// Amounts that are no quantities count as none: the API server takes no such node.
fn amounts_of(amounts: &BTreeMap<String, Quantity>) -> Resources {
    let amounts = amounts.iter();
    quantities(amounts.map(|(name, amount)| (name.as_str(), amount.0.as_str()))).unwrap_or_default()
}
