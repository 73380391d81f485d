//! `WorkloadMove`: replicas change clusters because somebody asks for it, and return by themselves.

use anyhow::{Result, ensure};
use lab::e2e::{World, condition, eventually, holds};
use lab::scenarios;
use serde_json::{Value, json};

use crate::main_job::deployment;

scenarios!(
    replicas_move_when_they_are_asked_to,
    a_move_that_cannot_be_made_says_why,
    what_was_moved_from_a_location_returns,
);

fn move_of(name: &str, workload: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "WorkloadMove",
        "metadata": { "name": name },
        "spec": {
            "workload": { "name": workload }, "from": "cluster1", "to": "cluster2",
            "replicas": replicas,
        },
    })
}

/// Four replicas of a deployment of cluster1 run there.
async fn begin(world: &World, name: &str) -> Result<()> {
    let fields = json!({ "clusters": ["cluster1"], "replicas": 4 });
    world.apply(&deployment(name, &fields)).await?;
    world
        .until_condition(&format!("mcd/{name}"), "Available", "True", "AllAvailable")
        .await?;
    Ok(())
}

async fn replicas_move_when_they_are_asked_to(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    begin(world, "hello").await?;
    world.apply(&move_of("two", "hello", 2)).await?;
    let mut ready = Vec::new();
    eventually("the move has succeeded", async || {
        let found = world.get("cluster0", "mcd/hello").await?;
        ready.push(found["status"]["readyReplicas"].as_u64().unwrap_or(0));
        let found = world.get("cluster0", "move/two").await?;
        let status = &found["status"];
        let has_ended = status["phase"] == "Succeeded" && status["replicas"] == 2;
        let says_so = condition(&found, "Succeeded")["reason"] == "Moved";
        Ok(holds(has_ended && says_so, || status.to_string()))
    })
    .await?;
    ensure!(ready.iter().all(|ready| *ready >= 4), "{ready:?}");
    world
        .until_replicas("hello", [Some(2), Some(2), None])
        .await?;
    eventually("the record of the move is gone", async || {
        let found = world.get("cluster0", "mcd/hello").await?;
        let record = &found["status"]["decision"]["move"];
        Ok(holds(record.is_null(), || record.to_string()))
    })
    .await?;
    // More replicas go to the location, and what was moved stays.
    world
        .patch("mcd/hello", &json!({ "spec": { "replicas": 5 } }))
        .await?;
    world
        .until_replicas("hello", [Some(3), Some(2), None])
        .await?;
    let namespace = world.namespace();
    let table = world.kubectl(&["-n", &namespace, "get", "moves"]).await?;
    let expected = ["WORKLOAD", "FROM", "TO", "REPLICAS", "STRATEGY", "PHASE"];
    ensure!(expected.iter().all(|one| table.contains(one)), "{table}");
    ensure!(table.contains("Succeeded"), "{table}");
    let events = world
        .kubectl(&["-n", &namespace, "get", "events", "-o", "json"])
        .await?;
    ensure!(events.contains("MoveStarted") && events.contains("MoveSucceeded"));
    Ok(())
}

async fn a_move_that_cannot_be_made_says_why(world: &World) -> Result<()> {
    let _operator = world.operator(&[]).await?;
    begin(world, "hello").await?;
    for (name, workload, replicas, reason) in [
        ("too-many", "hello", 5, "MoreThanThere"),
        ("nobody", "nobody", 1, "NotFound"),
    ] {
        world.apply(&move_of(name, workload, replicas)).await?;
        let object = format!("move/{name}");
        world
            .until_condition(&object, "Succeeded", "False", reason)
            .await?;
        let found = world.get("cluster0", &object).await?;
        ensure!(found["status"]["phase"] == "Refused", "{found}");
    }
    world.until_replicas("hello", [Some(4), None, None]).await?;
    let mut same = move_of("same", "hello", 1);
    same["spec"]["to"] = json!("cluster1");
    let refusal = world.refused(&same).await?;
    ensure!(refusal.contains("from a cluster to itself"), "{refusal}");
    let mut changed = move_of("too-many", "hello", 1);
    changed["spec"]["reason"] = json!("another");
    let refusal = world.refused(&changed).await?;
    ensure!(refusal.contains("a move cannot be changed"), "{refusal}");
    let mut brief = move_of("brief", "hello", 5);
    brief["spec"]["ttlSecondsAfterFinished"] = json!(1);
    world.apply(&brief).await?;
    world.until_gone("move/brief").await
}

/// While the move is there it is in force; without it, the replicas go home by a move of the scheduler.
async fn what_was_moved_from_a_location_returns(world: &World) -> Result<()> {
    let _operator = world.operator(&["--return-after=1s"]).await?;
    begin(world, "hello").await?;
    world.apply(&move_of("two", "hello", 2)).await?;
    world
        .until_condition("move/two", "Succeeded", "True", "Moved")
        .await?;
    world
        .until_replicas("hello", [Some(2), Some(2), None])
        .await?;
    world.delete("move/two").await?;
    world.until_replicas("hello", [Some(4), None, None]).await?;
    let namespace = world.namespace();
    eventually("the scheduler says that it moved them", async || {
        let all = world
            .kubectl(&["-n", &namespace, "get", "moves", "-o", "json"])
            .await?;
        let all: Value = serde_json::from_str(&all)?;
        let own = &all["items"][0];
        let is_own = own["spec"]["strategy"] == "ReturnHome" && own["spec"]["to"] == "cluster1";
        let has_ended = own["status"]["phase"] == "Succeeded";
        Ok(holds(is_own && has_ended, || all.to_string()))
    })
    .await?;
    Ok(())
}
