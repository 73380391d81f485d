//! A member that is removed from the registry is drained before it is forgotten.

use anyhow::{Result, ensure};
use lab::e2e::{World, condition, eventually, holds};
use lab::scenarios;
use serde_json::json;

use crate::identity::write_kubeconfig;
use crate::main_job::deployment;

scenarios!(
    a_member_that_is_removed_is_drained_first,
    an_unreachable_member_that_is_removed_can_be_forced,
);

const ALL: [(&str, &str); 4] = [
    ("cluster0", "cluster0"),
    ("cluster1", "cluster1"),
    ("cluster2", "cluster2"),
    ("cluster3", "cluster3"),
];

async fn a_member_that_is_removed_is_drained_first(world: &World) -> Result<()> {
    let kubeconfig = write_kubeconfig(world, "leaving", &ALL).await?;
    let operator = world.candidate(&kubeconfig, &[])?;
    operator.ready().await?;
    let two = json!({ "clusters": ["cluster1", "cluster2"], "overflow": "Nearest" });
    world.apply(&deployment("hello", &two)).await?;
    world
        .apply(&json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterService",
            "metadata": { "name": "hello" },
            "spec": {
                "clusters": ["cluster1", "cluster2"], "selector": { "app": "hello" },
                "ports": [{ "port": 80 }],
            },
        }))
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    eventually("the member says what is placed there", async || {
        let found = world.get("cluster0", "membercluster/cluster2").await?;
        let placed = &found["status"]["placements"];
        let is_told = *placed == json!({ "objects": 2, "replicas": 2 })
            && condition(&found, "Drained")["reason"] == "InUse"
            && found["metadata"]["finalizers"] == json!(["fogguru.eu/member"]);
        Ok(holds(is_told, || found.to_string()))
    })
    .await?;

    write_kubeconfig(world, "leaving", &[ALL[0], ALL[1], ALL[3]]).await?;
    let mut ready = Vec::new();
    eventually("the member is forgotten", async || {
        let found = world.get("cluster0", "mcd/hello").await?;
        ready.push(found["status"]["readyReplicas"].as_u64().unwrap_or(0));
        let member = world.get("cluster0", "membercluster/cluster2").await?;
        Ok(holds(member.is_null(), || member["status"].to_string()))
    })
    .await?;
    ensure!(ready.iter().all(|ready| *ready >= 4), "{ready:?}");
    let left = world.left_on("cluster2").await?;
    ensure!(left.trim().is_empty(), "{left}");
    // The others are connected anew, because the file has other tokens.
    eventually("four go on running", async || {
        let status = world.get("cluster0", "mcd/hello").await?["status"].clone();
        Ok(holds(status["readyReplicas"] == 4, || status.to_string()))
    })
    .await
}

async fn an_unreachable_member_that_is_removed_can_be_forced(world: &World) -> Result<()> {
    let kubeconfig = write_kubeconfig(world, "leaving-away", &ALL).await?;
    let operator = world.candidate(&kubeconfig, &["--deletion-grace=1h"])?;
    operator.ready().await?;
    let one = json!({ "numberOfLocations": 1, "placementPolicy": "first_fit" });
    world.apply(&deployment("hello", &one)).await?;
    world.until_replicas("hello", [Some(2), None, None]).await?;
    world.lab.cluster("cluster1")?.stop().await?;
    world
        .until_condition("membercluster/cluster1", "Ready", "False", "Unreachable")
        .await?;
    write_kubeconfig(world, "leaving-away", &[ALL[0], ALL[2], ALL[3]]).await?;
    // It is not lost yet, and its replicas are placed elsewhere all the same.
    eventually("the replicas run on cluster2", async || {
        let found = world.get("cluster2", "deployment/hello").await?;
        let available = &found["status"]["availableReplicas"];
        Ok(holds(*available == 2, || found.to_string()))
    })
    .await?;
    let message = world
        .until_condition("membercluster/cluster1", "Drained", "False", "Unknown")
        .await?;
    ensure!(message.contains("does not answer"), "{message}");
    world
        .patch(
            "membercluster/cluster1",
            &json!({ "metadata": { "finalizers": null } }),
        )
        .await?;
    world.until_gone("membercluster/cluster1").await?;
    eventually("it is on no record", async || {
        let found = world.get("cluster0", "mcd/hello").await?;
        Ok(holds(found["status"]["clusters"] == "cluster2", || {
            found["status"].to_string()
        }))
    })
    .await?;
    world.lab.cluster("cluster1")?.start().await?;
    Ok(())
}
