//! One cluster, one name.

use anyhow::{Context as _, Result, ensure};
use lab::e2e::{World, eventually};
use lab::scenarios;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

use crate::main_job::deployment;

scenarios!(
    one_cluster_under_two_names_serves_once,
    the_hub_is_no_member_unless_it_says_so,
    a_cluster_that_is_replaced_is_noticed_and_nothing_is_deleted,
);

/// A copy of the lab's kubeconfig with other contexts: name, and the cluster that it leads to.
pub(crate) async fn write_kubeconfig(
    world: &World,
    file: &str,
    contexts: &[(&str, &str)],
) -> Result<PathBuf> {
    let path = world.lab.directory().join(file);
    let whole = std::fs::read_to_string(world.lab.kubeconfig())?;
    let mut config: Value = serde_json::from_str(&whole)?;
    let user = config["contexts"][0]["context"]["user"].clone();
    let context = |(name, cluster): &(&str, &str)| json!({ "name": name, "context": { "cluster": cluster, "user": user } });
    config["contexts"] = contexts.iter().map(context).collect();
    world.write_as_operator(&path, &config.to_string()).await?;
    Ok(path)
}

async fn operator(world: &World, kubeconfig: &Path) -> Result<lab::e2e::Operator> {
    let operator = world.candidate(kubeconfig, &[])?;
    operator.ready().await?;
    Ok(operator)
}

/// The uid of the cluster itself.
async fn uid_of(world: &World, cluster: &str) -> Result<String> {
    let uid = "jsonpath={.metadata.uid}";
    world
        .on(cluster, &["get", "namespace", "kube-system", "-o", uid])
        .await
}

/// What shows whether a Deployment was made again or fought over.
async fn life_of(world: &World, cluster: &str, name: &str) -> Result<(Value, Value)> {
    let found = world.get(cluster, &format!("deployment/{name}")).await?;
    ensure!(!found.is_null(), "{name} is not on {cluster}");
    let metadata = &found["metadata"];
    Ok((metadata["uid"].clone(), metadata["generation"].clone()))
}

async fn one_cluster_under_two_names_serves_once(world: &World) -> Result<()> {
    let all = [
        ("cluster0", "cluster0"),
        ("cluster1", "cluster1"),
        ("cluster2", "cluster2"),
        ("cluster3", "cluster3"),
        ("twin", "cluster1"),
    ];
    let kubeconfig = write_kubeconfig(world, "two-names", &all).await?;
    let _operator = operator(world, &kubeconfig).await?;
    let message = world
        .until_condition("membercluster/twin", "Ready", "False", "DuplicateCluster")
        .await?;
    ensure!(message.contains("cluster1"), "{message}");
    world
        .until_condition("membercluster/cluster1", "Ready", "True", "Synced")
        .await?;
    let recorded = world.get("cluster0", "membercluster/cluster1").await?;
    let uid = uid_of(world, "cluster1").await?;
    ensure!(recorded["status"]["clusterUID"] == uid, "{recorded}");
    let twin = world.get("cluster0", "membercluster/twin").await?["status"].clone();
    ensure!(twin["nodes"] == 0 && twin["free"].is_null(), "{twin}");

    // There are three clusters, not four.
    let four = json!({ "numberOfLocations": 4, "placementPolicy": "first_fit" });
    world.apply(&deployment("four", &four)).await?;
    world.until_replicas("four", [Some(2); 3]).await?;
    world
        .until_condition("mcd/four", "Placed", "False", "InsufficientCapacity")
        .await?;

    let both = json!({
        "replicas": 3, "clusters": ["cluster1", "twin"], "overflow": "None",
        "clusterReplicas": [{ "cluster": "cluster1", "replicas": 3 }, { "cluster": "twin", "replicas": 1 }],
    });
    world.apply(&deployment("both", &both)).await?;
    let message = world
        .until_condition("mcd/both", "Placed", "False", "UnknownCluster")
        .await?;
    ensure!(message.contains("twin"), "{message}");
    world.until_replicas("both", [Some(3), None, None]).await?;
    let before = life_of(world, "cluster1", "both").await?;
    let one = json!({ "spec": { "clusters": ["cluster1"], "clusterReplicas": [{ "cluster": "cluster1", "replicas": 3 }] } });
    world.patch("mcd/both", &one).await?;
    world
        .until_condition("mcd/both", "Placed", "True", "AllPlaced")
        .await?;
    world
        .until_condition("mcd/both", "Available", "True", "AllAvailable")
        .await?;
    ensure!(
        life_of(world, "cluster1", "both").await? == before,
        "the Deployment was written"
    );
    // Nobody waits for the name that serves nothing.
    world.delete("mcd/four").await?;
    world.until_gone("mcd/four").await?;
    world.delete("mcd/both").await?;
    world.until_gone("mcd/both").await?;

    // When the first has gone, the second serves.
    let rest: Vec<_> = (all.iter().copied())
        .filter(|(name, _)| *name != "cluster1")
        .collect();
    write_kubeconfig(world, "two-names", &rest).await?;
    world
        .until_condition("membercluster/twin", "Ready", "True", "Synced")
        .await?;
    Ok(())
}

async fn the_hub_is_no_member_unless_it_says_so(world: &World) -> Result<()> {
    let contexts = [
        ("cluster0", "cluster0"),
        ("cluster1", "cluster1"),
        ("spare", "cluster0"),
    ];
    let kubeconfig = write_kubeconfig(world, "hub-as-member", &contexts).await?;
    let _operator = operator(world, &kubeconfig).await?;
    let message = world
        .until_condition("membercluster/spare", "Ready", "False", "HubCluster")
        .await?;
    ensure!(message.contains("spec.allowHub"), "{message}");
    world
        .patch(
            "membercluster/spare",
            &json!({ "spec": { "allowHub": true } }),
        )
        .await?;
    world
        .until_condition("membercluster/spare", "Ready", "True", "Synced")
        .await?;
    Ok(())
}

async fn a_cluster_that_is_replaced_is_noticed_and_nothing_is_deleted(world: &World) -> Result<()> {
    let contexts = |edge| {
        [
            ("cluster0", "cluster0"),
            ("cluster1", "cluster1"),
            ("edge", edge),
        ]
    };
    let kubeconfig = write_kubeconfig(world, "replaced", &contexts("cluster2")).await?;
    let _operator = operator(world, &kubeconfig).await?;
    let both = json!({ "clusters": ["cluster1", "edge"], "overflow": "None" });
    world.apply(&deployment("hello", &both)).await?;
    world
        .until_replicas("hello", [Some(2), Some(2), None])
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    let old = life_of(world, "cluster2", "hello").await?;
    let other = life_of(world, "cluster1", "hello").await?;

    write_kubeconfig(world, "replaced", &contexts("cluster3")).await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    let member = world.get("cluster0", "membercluster/edge").await?;
    let (was, is) = (
        uid_of(world, "cluster2").await?,
        uid_of(world, "cluster3").await?,
    );
    ensure!(member["status"]["clusterUID"] == is, "{member}");
    let uid = member["metadata"]["uid"].as_str().context("no uid")?;
    eventually("an Event says so", async || {
        let selector = format!("involvedObject.uid={uid},reason=ClusterReplaced");
        let events = world
            .kubectl(&[
                "get",
                "events",
                "-A",
                "--field-selector",
                &selector,
                "-o",
                "jsonpath={.items[*].message}",
            ])
            .await?;
        Ok(lab::e2e::holds(
            events.contains(&was) && events.contains(&is),
            || events.clone(),
        ))
    })
    .await?;
    ensure!(
        life_of(world, "cluster2", "hello").await? == old
            && life_of(world, "cluster1", "hello").await? == other,
        "what ran was touched"
    );

    // What ends on the hub ends on the cluster that has the name, and on no other.
    world.delete("mcd/hello").await?;
    world.until_gone("mcd/hello").await?;
    ensure!(
        world.replicas("hello").await? == [None, Some(2), None],
        "{:?}",
        world.replicas("hello").await?
    );
    Ok(())
}
