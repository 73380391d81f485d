//! The members' nodes: `Node` objects that KWOK keeps alive.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Client, Error as KubeError};

use super::options::{Member, NodeSize};

/// Creates the nodes of a member.
pub(crate) async fn create(
    client: &Client,
    cluster: &str,
    member: &Member,
) -> Result<(), KubeError> {
    let nodes = (1..=member.nodes).map(|index| {
        let name = format!("{cluster}-node{index}");
        node(&name, &member.node, &member.region, &member.zone)
    });
    try_join_all(nodes.map(|node| create_one(client, node))).await?;
    Ok(())
}

/// Creates one node.
pub(crate) async fn create_one(client: &Client, node: Node) -> Result<(), KubeError> {
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.create(&PostParams::default(), &node).await?;
    Ok(())
}

/// A node as it is created; KWOK and the node controller add the rest.
pub(crate) fn node(name: &str, size: &NodeSize, region: &str, zone: &str) -> Node {
    let labels = [
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("topology.kubernetes.io/region", region),
        ("topology.kubernetes.io/zone", zone),
        ("type", "kwok"),
    ];
    let resources: BTreeMap<_, _> = [
        ("cpu", size.cpu.clone()),
        ("memory", size.memory.clone()),
        ("pods", size.pods.to_string()),
    ]
    .into_iter()
    .map(|(name, quantity)| (name.to_owned(), Quantity(quantity)))
    .collect();
    Node {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some(metrics_path(name)),
            labels: Some(
                labels
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec::default()),
        status: Some(NodeStatus {
            allocatable: Some(resources.clone()),
            capacity: Some(resources),
            ..NodeStatus::default()
        }),
    }
}

/// Where metrics-server finds a node's usage: KWOK serves all nodes at one address.
fn metrics_path(node: &str) -> BTreeMap<String, String> {
    let path = format!("/metrics/nodes/{node}/metrics/resource");
    BTreeMap::from([("metrics.k8s.io/resource-metrics-path".to_owned(), path)])
}

/// How many nodes there are, and how many of them take pods.
pub(crate) async fn count(client: &Client) -> Result<(usize, usize), KubeError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await?.items;
    let ready = nodes.iter().filter(|node| takes_pods(node)).count();
    Ok((nodes.len(), ready))
}

/// Ready, and the node controller has taken its taint away: until then the
/// scheduler passes the node by.
fn takes_pods(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref());
    let ready = conditions
        .unwrap_or_default()
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref());
    let tainted = taints
        .unwrap_or_default()
        .iter()
        .any(|taint| taint.key.starts_with("node.kubernetes.io/"));
    ready && !tainted
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{NodeCondition, Taint};

    use super::*;

    #[test]
    fn a_ready_node_with_its_first_taint_takes_no_pods() {
        let mut ready = node("n", &NodeSize::default(), "r", "z");
        assert!(!takes_pods(&ready));
        if let Some(status) = &mut ready.status {
            status.conditions = Some(vec![NodeCondition {
                type_: "Ready".to_owned(),
                status: "True".to_owned(),
                ..NodeCondition::default()
            }]);
        }
        assert!(takes_pods(&ready));
        if let Some(spec) = &mut ready.spec {
            spec.taints = Some(vec![Taint {
                key: "node.kubernetes.io/not-ready".to_owned(),
                effect: "NoSchedule".to_owned(),
                ..Taint::default()
            }]);
        }
        assert!(!takes_pods(&ready));
    }
}
