//! Nodes that come, go, and come back.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use lab::simulated::{Cluster, NodeGroup, Options};
use placement::{Taint, TaintEffect};
use serde_json::{Value, json};

use crate::fixture::{Lab, api_server, clock, condition, node_of, phase};

fn pod(name: &str, cpu: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "containers": [{
                "name": "web", "image": "nginx",
                "resources": { "requests": { "cpu": cpu } },
            }],
            "tolerations": [
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists",
                  "effect": "NoExecute", "tolerationSeconds": 300 },
            ],
        },
    })
}

async fn node(lab: &Lab, name: &str) -> Node {
    let nodes: Api<Node> = Api::all(lab.client.clone());
    nodes.get(name).await.unwrap()
}

fn ready(node: &Node) -> String {
    let conditions = node.status.clone().unwrap().conditions.unwrap();
    let ready = conditions.into_iter().find(|one| one.type_ == "Ready");
    ready.unwrap().status
}

fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.clone().unwrap().taints.unwrap_or_default();
    let taints = taints.iter();
    taints
        .map(|taint| format!("{}:{}", taint.key, taint.effect))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn nodes_are_made_from_configuration_and_keep_their_leases() {
    let lab = Lab::new().await;
    lab.pass(Duration::from_mins(11)).await;
    let nodes: Api<Node> = Api::all(lab.client.clone());
    let nodes = nodes.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(nodes.len(), 5);
    for node in &nodes {
        assert_eq!(ready(node), "True");
        let status = node.status.as_ref().unwrap();
        assert_eq!(status.allocatable.as_ref().unwrap()["cpu"].0, "4");
        assert_eq!(
            node.metadata.labels.as_ref().unwrap()["topology.kubernetes.io/region"],
            "region1"
        );
    }
    let leases: Api<Lease> = Api::namespaced(lab.client.clone(), "kube-node-lease");
    let lease = leases.get("c1-node1").await.unwrap().spec.unwrap();
    let age = lab.clock.now().duration_since(lease.renew_time.unwrap().0);
    assert!(age.as_secs() < 300, "{age}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_is_not_ready_after_40_seconds_and_its_pods_go_five_minutes_later() {
    let lab = Lab::start(Options::uniform(2), 1).await;
    lab.create::<Pod>(pod("web", "1")).await;
    lab.pass(Duration::from_secs(5)).await;
    let lost = node_of(&lab.pod("web").await).unwrap().to_owned();
    lab.cluster.lose_node(&lost);
    lab.pass(Duration::from_secs(39)).await;
    assert_eq!(ready(&node(&lab, &lost).await), "True");
    lab.pass(Duration::from_secs(2)).await;
    let seen = node(&lab, &lost).await;
    assert_eq!(ready(&seen), "Unknown");
    assert_eq!(
        taints(&seen),
        [
            "node.kubernetes.io/unreachable:NoSchedule",
            "node.kubernetes.io/unreachable:NoExecute"
        ]
    );
    assert_eq!(condition(&lab.pod("web").await, "Ready").0, "False");
    lab.pass(Duration::from_secs(297)).await;
    assert!(lab.pod("web").await.metadata.deletion_timestamp.is_none());
    lab.pass(Duration::from_secs(4)).await;
    // Nobody is there to remove it.
    assert!(lab.pod("web").await.metadata.deletion_timestamp.is_some());
    lab.pass(Duration::from_hours(1)).await;
    assert!(lab.pod("web").await.metadata.deletion_timestamp.is_some());
    lab.cluster.return_node(&lost);
    lab.pass(Duration::from_secs(3)).await;
    assert!(lab.api::<Pod>().get_opt("web").await.unwrap().is_none());
    let seen = node(&lab, &lost).await;
    assert_eq!((ready(&seen), taints(&seen)), ("True".to_owned(), vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_back_in_time_goes_on_with_its_pods() {
    let lab = Lab::start(Options::uniform(1), 1).await;
    lab.create::<Pod>(pod("web", "1")).await;
    lab.pass(Duration::from_secs(5)).await;
    lab.cluster.lose_node("c1-node1");
    lab.pass(Duration::from_mins(2)).await;
    lab.create::<Pod>(pod("late", "1")).await;
    lab.pass(Duration::from_secs(1)).await;
    assert_eq!(node_of(&lab.pod("late").await), None);
    lab.cluster.return_node("c1-node1");
    lab.pass(Duration::from_secs(3)).await;
    let web = lab.pod("web").await;
    assert_eq!(
        (phase(&web), condition(&web, "Ready").0.as_str()),
        ("Running", "True")
    );
    assert_eq!(phase(&lab.pod("late").await), "Running");
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_deleted_node_are_collected() {
    let lab = Lab::start(Options::uniform(1), 1).await;
    lab.create::<Pod>(pod("web", "1")).await;
    lab.pass(Duration::from_secs(5)).await;
    let nodes: Api<Node> = Api::all(lab.client.clone());
    nodes
        .delete("c1-node1", &DeleteParams::default())
        .await
        .unwrap();
    lab.pass(Duration::from_secs(45)).await;
    assert!(lab.pods().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_node_is_not_the_lost_one_of_its_name() {
    let lab = Lab::start(Options::uniform(1), 1).await;
    lab.cluster.lose_node("c1-node1");
    lab.pass(Duration::from_mins(1)).await;
    let nodes: Api<Node> = Api::all(lab.client.clone());
    nodes
        .delete("c1-node1", &DeleteParams::default())
        .await
        .unwrap();
    lab.pass(Duration::from_secs(1)).await;
    let group = NodeGroup {
        count: 1,
        ..NodeGroup::default()
    };
    let names = lab.cluster.add_nodes(&group).await.unwrap();
    assert_eq!(names, ["c1-node1"]);
    lab.pass(Duration::from_mins(2)).await;
    assert_eq!(ready(&node(&lab, "c1-node1").await), "True");
    lab.create::<Pod>(pod("web", "1")).await;
    lab.pass(Duration::from_secs(5)).await;
    assert_eq!(phase(&lab.pod("web").await), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_is_empty_and_takes_nothing() {
    let lab = Lab::start(Options::uniform(1), 1).await;
    lab.create::<Pod>(pod("web", "1")).await;
    lab.pass(Duration::from_secs(5)).await;
    assert_eq!(
        lab.cluster.drain("c1-node1").await.unwrap(),
        Vec::<String>::new()
    );
    lab.pass(Duration::from_secs(5)).await;
    assert!(lab.pods().await.is_empty());
    let seen = node(&lab, "c1-node1").await;
    assert_eq!(
        taints(&seen),
        ["node.kubernetes.io/unschedulable:NoSchedule"]
    );
    lab.create::<Pod>(pod("late", "1")).await;
    lab.pass(Duration::from_secs(5)).await;
    assert_eq!(node_of(&lab.pod("late").await), None);
    lab.cluster.cordon("c1-node1", false).await.unwrap();
    lab.pass(Duration::from_secs(5)).await;
    assert_eq!(phase(&lab.pod("late").await), "Running");
}

#[tokio::test(start_paused = true)]
async fn added_nodes_take_what_was_waiting() {
    let lab = Lab::start(Options::uniform(1), 1).await;
    lab.create::<Pod>(pod("big", "6")).await;
    lab.pass(Duration::from_secs(5)).await;
    let group = NodeGroup {
        count: 2,
        cpu: "8".to_owned(),
        ..NodeGroup::default()
    };
    let names = lab.cluster.add_nodes(&group).await.unwrap();
    assert_eq!(names, ["c1-node2", "c1-node3"]);
    lab.pass(Duration::from_secs(5)).await;
    assert_eq!(phase(&lab.pod("big").await), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_second_start_makes_the_nodes_what_is_asked_for_now() {
    let clock = clock();
    let (_plane, client) = api_server(1, &clock).await;
    let start = async |nodes: Vec<NodeGroup>| {
        let options = Options {
            nodes,
            ..Options::default()
        };
        let cluster = Cluster::start("c1", client.clone(), options, 1, Arc::clone(&clock));
        cluster.await.unwrap()
    };
    let group = |count, cpu: &str, taint: &str| NodeGroup {
        count,
        cpu: cpu.to_owned(),
        taints: vec![Taint {
            key: taint.to_owned(),
            value: String::new(),
            effect: TaintEffect::PreferNoSchedule,
        }],
        ..NodeGroup::default()
    };
    let api: Api<Node> = Api::all(client.clone());
    let seen = async || -> Vec<(String, String, Vec<String>)> {
        let nodes = api.list(&ListParams::default()).await.unwrap();
        let nodes = nodes.iter().map(|node| {
            let allocatable = node.status.as_ref().unwrap().allocatable.as_ref().unwrap();
            let taints = node.spec.as_ref().unwrap().taints.iter().flatten();
            let taints = taints.map(|taint| taint.key.clone()).collect();
            (node.name_any(), allocatable["cpu"].0.clone(), taints)
        });
        nodes.collect()
    };
    let first = start(vec![group(2, "4", "old"), group(1, "8", "old")]).await;
    // What people add stays: a label, a taint, a node.
    let patch = json!({
        "metadata": { "labels": { "mine": "yes" } },
        "spec": { "taints": [
            { "key": "mine", "effect": "PreferNoSchedule" },
            { "key": "old", "effect": "PreferNoSchedule" },
        ] },
    });
    let patch = Patch::Strategic(patch);
    api.patch("c1-node1", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let added = NodeGroup {
        count: 1,
        taints: Vec::new(),
        ..NodeGroup::default()
    };
    first.add_nodes(&added).await.unwrap();
    drop(first);
    let again = start(vec![group(2, "4", "old"), group(1, "8", "old")]).await;
    let node = |name: &str, cpu: &str, taints: &[&str]| {
        let taints = taints.iter().map(|&taint| taint.to_owned()).collect();
        (name.to_owned(), cpu.to_owned(), taints)
    };
    let unchanged = [
        node("c1-node1", "4", &["mine", "old"]),
        node("c1-node2", "4", &["old"]),
        node("c1-node3", "8", &["old"]),
        node("c1-node4", "4", &[]),
    ];
    assert_eq!(seen().await, unchanged);
    drop(again);
    let _smaller = start(vec![group(1, "2", "new")]).await;
    let smaller = [
        node("c1-node1", "2", &["mine", "new"]),
        node("c1-node4", "4", &[]),
    ];
    assert_eq!(seen().await, smaller);
    let labels = api.get("c1-node1").await.unwrap().labels().clone();
    assert_eq!(labels["mine"], "yes");
}
