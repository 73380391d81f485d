//! Room is what a member's scheduler will do: what is placed, runs. Members have five nodes in one
//! zone.

use anyhow::{Result, ensure};
use lab::e2e::World;
use lab::scenarios;
use serde_json::{Value, json};

use crate::main_job::deployment;

scenarios!(
    a_host_port_has_room_once_a_node,
    a_host_port_that_another_pod_holds_is_taken,
    replicas_that_keep_apart_by_zone_go_to_other_clusters,
    an_amount_that_no_node_has_is_refused,
);

/// A deployment of so many replicas that begins on cluster1.
fn web(name: &str, replicas: u32, pod: &Value) -> Value {
    let fields = json!({ "placementPolicy": "first_fit", "replicas": replicas });
    let mut object = deployment(name, &fields);
    let spec = &mut object["spec"]["template"]["spec"];
    for (key, value) in pod.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    object
}

/// Each scenario has a port of its own: pods of another may still be ending.
fn host_port(number: u16) -> Value {
    json!({ "containers": [{
        "name": "web", "image": "web:1", "ports": [{ "containerPort": 80, "hostPort": number }],
    }]})
}

async fn a_host_port_has_room_once_a_node(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    world.apply(&web("ports", 8, &host_port(8080))).await?;
    world
        .until_replicas("ports", [Some(5), Some(3), None])
        .await?;
    world
        .until_condition("mcd/ports", "Available", "True", "AllAvailable")
        .await?;
    // The ports are taken now, also for others.
    world.apply(&web("later", 4, &host_port(8080))).await?;
    world
        .until_replicas("later", [None, Some(2), Some(2)])
        .await?;
    world
        .until_condition("mcd/later", "Available", "True", "AllAvailable")
        .await?;
    Ok(())
}

async fn a_host_port_that_another_pod_holds_is_taken(world: &World) -> Result<()> {
    let namespace = world.namespace();
    world
        .on("cluster1", &["create", "namespace", &namespace])
        .await?;
    let nodes = world
        .on("cluster1", &["get", "nodes", "-o", "name"])
        .await?;
    for (number, node) in nodes.lines().take(3).enumerate() {
        let pod = json!({
            "nodeName": node.trim_start_matches("node/"),
            "containers": host_port(8081)["containers"],
        });
        let name = format!("holder{number}");
        let overrides = json!({ "apiVersion": "v1", "spec": pod }).to_string();
        let flag = format!("--overrides={overrides}");
        let arguments = ["-n", &namespace, "run", &name, "--image=web:1", &flag];
        world.on("cluster1", &arguments).await?;
    }
    let _operator = world.operator(&[]).await?;
    world.apply(&web("ports", 4, &host_port(8081))).await?;
    world
        .until_replicas("ports", [Some(2), Some(2), None])
        .await?;
    world
        .until_condition("mcd/ports", "Available", "True", "AllAvailable")
        .await?;
    Ok(())
}

async fn replicas_that_keep_apart_by_zone_go_to_other_clusters(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let apart = json!({ "affinity": { "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{
            "topologyKey": "topology.kubernetes.io/zone",
            "labelSelector": { "matchLabels": { "app": "apart" } },
        }],
    }}});
    world.apply(&web("apart", 4, &apart)).await?;
    world.until_replicas("apart", [Some(1); 3]).await?;
    world
        .until_condition("mcd/apart", "Placed", "False", "InsufficientCapacity")
        .await?;
    let status = world.get("cluster0", "mcd/apart").await?["status"].clone();
    ensure!(status["unplacedReplicas"] == 1, "{status}");
    // What a provisioner reads.
    let unplaced = &status["unplaced"];
    let is_told = unplaced.as_array().is_some_and(|all| all.len() == 1)
        && unplaced[0]["reason"] == "NoRoom"
        && unplaced[0]["replicas"] == 1
        && unplaced[0]["burstAllowed"].is_boolean()
        && unplaced[0]["since"].is_string();
    ensure!(is_told, "{unplaced}");
    Ok(())
}

async fn an_amount_that_no_node_has_is_refused(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    let sized = |amount: &str| {
        json!({ "containers": [{
            "name": "web", "image": "web:1", "resources": { "requests": { "memory": amount } },
        }]})
    };
    for (name, amount, why) in [
        ("huge", "1e2147483647", "more than any node has"),
        ("negative", "-1", "write 0 or more"),
    ] {
        world.apply(&web(name, 1, &sized(amount))).await?;
        let object = format!("mcd/{name}");
        let message = world
            .until_condition(&object, "Placed", "False", "InvalidSpec")
            .await?;
        ensure!(
            message.contains("containers[web].resources.requests.memory") && message.contains(why),
            "{message}"
        );
    }
    Ok(())
}
