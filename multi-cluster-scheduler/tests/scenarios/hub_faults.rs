//! What goes wrong with the hub. The last scenario leaves it empty.

use anyhow::{Result, ensure};
use lab::e2e::{MEMBERS, World, eventually};
use lab::scenarios;
use serde_json::json;

use crate::main_job::deployment;

scenarios!(
    watches_that_end_with_410,
    the_hub_restarts,
    a_hub_restored_empty_deletes_nothing
);

async fn watches_that_end_with_410(world: &World) -> Result<()> {
    // The hub is away for some seconds.
    let operator = world
        .operator(&["--lease-duration=60s", "--lease-renew=2s"])
        .await?;
    world
        .apply(&deployment("hello", &json!({ "clusters": MEMBERS })))
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    // What goes while nobody watches is brought again: the operator's connections end before, and
    // when it looks again, the deletion is forgotten.
    let (cluster2, namespace) = (world.lab.cluster("cluster2")?, world.namespace());
    let uid = async || -> Result<_> {
        Ok(world.get("cluster2", "deployment/hello").await?["metadata"]["uid"].clone())
    };
    let before = uid().await?;
    operator.suspend()?;
    cluster2.expire_history().await?;
    let delete = ["-n", &namespace, "delete", "deployment", "hello"];
    world.on("cluster2", &delete).await?;
    cluster2.expire_history().await?;
    operator.resume()?;
    eventually("another one in its place", async || {
        let now = uid().await?;
        let again = !now.is_null() && now != before;
        Ok(if again { Ok(()) } else { Err(now.to_string()) })
    })
    .await?;
    world.lab.cluster("cluster0")?.expire_history().await?;
    world
        .patch("mcd/hello", &json!({ "spec": { "replicas": 3 } }))
        .await?;
    world.until_replicas("hello", [Some(3); 3]).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    Ok(())
}

async fn the_hub_restarts(world: &World) -> Result<()> {
    // The lease outlives the restart, as it does with the flags' defaults.
    let _operator = world
        .operator(&["--lease-duration=60s", "--lease-renew=2s"])
        .await?;
    world
        .apply(&deployment("hello", &json!({ "clusters": MEMBERS })))
        .await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    world.lab.cluster("cluster0")?.restart().await?;
    world
        .patch("mcd/hello", &json!({ "spec": { "replicas": 3 } }))
        .await?;
    world.until_replicas("hello", [Some(3); 3]).await?;
    world.delete("mcd/hello").await?;
    world.until_gone("mcd/hello").await?;
    world.until_replicas("hello", [None; 3]).await
}

async fn a_hub_restored_empty_deletes_nothing(world: &World) -> Result<()> {
    let mut operator = world
        .operator(&["--lease-duration=60s", "--lease-renew=2s"])
        .await?;
    world
        .apply(&deployment("hello", &json!({ "clusters": MEMBERS })))
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    world.lab.cluster("cluster0")?.wipe_and_restart().await?;
    let ended = operator.ended().await?;
    ensure!(
        !ended.success(),
        "it went on with a hub that is another one"
    );
    world.install_crds().await?;
    world.make_accounts().await?;
    let _again = world.operator(&[]).await?;
    // It is at work: something new is placed, and the name that is taken is a conflict.
    let namespace = world.namespace();
    world.kubectl(&["create", "namespace", &namespace]).await?;
    world
        .apply(&deployment("new", &json!({ "clusters": MEMBERS })))
        .await?;
    world.until_replicas("new", [Some(2); 3]).await?;
    world
        .apply(&deployment(
            "hello",
            &json!({ "clusters": MEMBERS, "replicas": 1 }),
        ))
        .await?;
    world
        .until_condition("mcd/hello", "Conflict", "True", "ForeignObject")
        .await?;
    let kept = world.replicas("hello").await?;
    ensure!(kept == [Some(2); 3], "the members were touched: {kept:?}");
    Ok(())
}
