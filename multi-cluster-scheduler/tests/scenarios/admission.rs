//! What the hub's API server refuses, in words that say what to write.

use anyhow::{Result, ensure};
use lab::e2e::World;
use lab::scenarios;
use serde_json::json;

use crate::main_job::deployment;

scenarios!(
    bad_input_is_refused_with_what_to_write,
    objects_of_the_original_are_freed
);

async fn bad_input_is_refused_with_what_to_write(world: &World) -> Result<()> {
    for (fields, words) in [
        (
            json!({ "placementPolicy": "worst" }),
            "supported values: \"worst_fit\"",
        ),
        (
            json!({ "locatons": "cluster1" }),
            "unknown field \"spec.locatons\"",
        ),
        (json!({ "replicas": -1 }), "greater than or equal to 0"),
        (
            json!({ "numberOfLocations": 0 }),
            "greater than or equal to 1",
        ),
        (json!({ "locations": "" }), "names separated by commas"),
        (
            json!({ "locations": "cluster1,,cluster2" }),
            "names separated by commas",
        ),
        (json!({ "clusters": [] }), "at least 1 items"),
        (
            json!({ "clusters": ["cluster1"], "numberOfLocations": 2 }),
            "numberOfLocations contradicts clusters",
        ),
        (
            json!({ "clusters": ["cluster1"], "clusterReplicas": [{ "cluster": "cluster2", "replicas": 1 }] }),
            "add it there, or take it out here",
        ),
        (
            json!({ "replicaScheduling": "Total", "clusterReplicas": [{ "cluster": "cluster2", "replicas": 1 }] }),
            "use PerLocation",
        ),
        (
            json!({ "placementPolicy": "cluster_affinity" }),
            "needs the clusters",
        ),
        (
            json!({ "overflow": "Somewhere" }),
            "supported values: \"Nearest\"",
        ),
        (
            json!({ "selector": { "matchLabels": null } }),
            "the selector is empty: give matchLabels",
        ),
        (
            json!({ "selector": { "matchLabels": { "app": "other" } } }),
            "the selector does not match the template",
        ),
        (
            json!({ "selector": { "matchExpressions": [{ "key": "tier", "operator": "Exists" }] } }),
            "what selector.matchExpressions ask for",
        ),
        (
            json!({ "template": { "spec": { "containers": [] } } }),
            "at least 1 items",
        ),
    ] {
        let refused = world.refused(&deployment("bad", &fields)).await?;
        ensure!(
            refused.contains(words),
            "{fields}: {refused:?} does not say {words:?}"
        );
    }
    for policy in ["worst_fit", "worst-fit"] {
        world
            .apply(&deployment("good", &json!({ "placementPolicy": policy })))
            .await?;
    }
    let changed = world.refused(&deployment("good", &json!({
        "selector": { "matchLabels": { "app": "new" } }, "template": { "metadata": { "labels": { "app": "new" } } },
    }))).await?;
    ensure!(
        changed.contains("the selector cannot be changed"),
        "{changed}"
    );
    Ok(())
}

async fn objects_of_the_original_are_freed(world: &World) -> Result<()> {
    let mut object = deployment("old", &json!({ "locations": "cluster1" }));
    object["metadata"]["finalizers"] = json!(["kopf.zalando.org/KopfFinalizerMarker"]);
    object["metadata"]["annotations"] =
        json!({ "kopf.zalando.org/last-handled-configuration": "{}" });
    world.apply(&object).await?;
    object["metadata"]["name"] = json!("deleted");
    world.apply(&object).await?;
    world.delete("mcd/deleted").await?;
    let _operator = world.operator(&[]).await?;
    world.until_gone("mcd/deleted").await?;
    world.until_replicas("old", [Some(2), None, None]).await?;
    world.delete("mcd/old").await?;
    world.until_gone("mcd/old").await
}
