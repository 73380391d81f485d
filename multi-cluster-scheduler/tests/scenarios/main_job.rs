//! The main job: a deployment is placed, follows its spec, and leaves nothing behind.

use anyhow::{Result, ensure};
use lab::e2e::{MEMBERS, World, eventually, repository};
use lab::scenarios;
use serde_json::{Value, json};

scenarios!(
    the_example_is_placed_and_follows_its_spec,
    a_graceful_stop_and_probes
);

async fn the_example_is_placed_and_follows_its_spec(world: &World) -> Result<()> {
    let operator = world.operator(&[]).await?;
    let namespace = world.namespace();
    let example = repository().join("manifests/examples/02_example_deployment_worst_fit.yaml");
    world
        .kubectl(&["-n", &namespace, "apply", "-f", &example.to_string_lossy()])
        .await?;
    world.until_replicas("hello", [Some(2); 3]).await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    world
        .until_condition("mcd/hello", "Progressing", "False", "Complete")
        .await?;

    let table = world.kubectl(&["-n", &namespace, "get", "mcd"]).await?;
    let cells: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    ensure!(
        cells[0]
            == [
                "NAME", "POLICY", "CLUSTERS", "PLACED", "UNPLACED", "READY", "AGE"
            ],
        "{table}"
    );
    ensure!(
        cells[1][..6]
            == [
                "hello",
                "worst_fit",
                "cluster1,cluster2,cluster3",
                "6",
                "0",
                "6"
            ],
        "{table}"
    );
    let text = world
        .kubectl(&["-n", &namespace, "describe", "mcd", "hello"])
        .await?;
    for words in [
        "2 replicas: chosen by worst_fit, rank 1",
        "room for 20",
        "AllPlaced",
    ] {
        ensure!(
            text.contains(words),
            "describe does not say {words:?}:\n{text}"
        );
    }
    eventually(
        "the table of members says that they are ready",
        async || {
            let clusters = world.kubectl(&["get", "memberclusters"]).await?;
            let first = clusters.lines().nth(1).unwrap_or_default();
            let row: Vec<&str> = first.split_whitespace().collect();
            let known = row.starts_with(&["cluster1", "OnPremises"]);
            let ready = row.contains(&"True") && row.contains(&"v1.34.3");
            Ok((known && ready).then_some(()).ok_or(clusters))
        },
    )
    .await?;

    world
        .patch("mcd/hello", &json!({ "spec": { "replicas": 3 } }))
        .await?;
    world.until_replicas("hello", [Some(3); 3]).await?;
    world.patch("mcd/hello", &json!({ "spec": { "template": { "spec": { "containers": [{ "name": "hello", "image": "hello:2" }] } } } })).await?;
    eventually("every member runs the new image", async || {
        let mut images = Vec::new();
        for member in MEMBERS {
            images.push(world.get(member, "deployment/hello").await?["spec"]["template"]["spec"]["containers"][0]["image"].clone());
        }
        Ok(if images == [json!("hello:2"), json!("hello:2"), json!("hello:2")] { Ok(()) } else { Err(format!("{images:?}")) })
    })
    .await?;
    world
        .patch(
            "mcd/hello",
            &json!({ "spec": { "placementPolicy": "first_fit", "numberOfLocations": 1 } }),
        )
        .await?;
    world.until_replicas("hello", [Some(3), None, None]).await?;
    world.patch("mcd/hello", &json!({ "spec": { "placementPolicy": null, "numberOfLocations": null, "locations": "cluster2, cluster3", "replicaOverrides": "1,2" } })).await?;
    world
        .until_replicas("hello", [None, Some(1), Some(2)])
        .await?;
    world
        .kubectl(&[
            "-n",
            &namespace,
            "patch",
            "mcd",
            "hello",
            "--type=json",
            "-p",
            r#"[{"op":"remove","path":"/spec/replicaOverrides"}]"#,
        ])
        .await?;
    world
        .kubectl(&["-n", &namespace, "scale", "mcd", "hello", "--replicas=2"])
        .await?;
    world
        .until_replicas("hello", [None, Some(2), Some(2)])
        .await?;

    world.delete("mcd/hello").await?;
    world.until_gone("mcd/hello").await?;
    for member in MEMBERS {
        let left = world.left_on(member).await?;
        ensure!(left.is_empty(), "{member} still has {left}");
    }
    drop(operator);
    Ok(())
}

async fn a_graceful_stop_and_probes(world: &World) -> Result<()> {
    const LINES: [&str; 5] = [
        r#"mck8s_scheduler_placements_total{policy="worst_fit",result="placed"} 1"#,
        r#"mck8s_scheduler_member_ready{cluster="cluster1"} 1"#,
        "mck8s_scheduler_decision_seconds_count",
        "mck8s_scheduler_placement_seconds_count 1",
        "mck8s_scheduler_pending_objects 0",
    ];
    let operator = world.operator(&[]).await?;
    world
        .apply(&deployment(
            "hello",
            &json!({ "numberOfLocations": 2, "placementPolicy": "worst-fit" }),
        ))
        .await?;
    world
        .until_condition("mcd/hello", "Available", "True", "AllAvailable")
        .await?;
    ensure!(
        operator.get("/healthz").await?.starts_with("HTTP/1.1 200"),
        "not alive"
    );
    eventually("the metrics tell of it", async || {
        let metrics = operator.get("/metrics").await?;
        let missing = LINES.iter().find(|line| !metrics.contains(**line));
        Ok(missing.map_or(Ok(()), |line| Err(format!("no {line} in\n{metrics}"))))
    })
    .await?;
    let status = operator.stop().await?;
    ensure!(status.success(), "{status}");
    let log = world.last_log();
    ensure!(!log.contains('\u{1b}'), "colours in a file: {log}");
    let lease = world
        .kubectl(&[
            "-n",
            "mck8s-system",
            "get",
            "lease",
            "multi-cluster-scheduler",
            "-o",
            "jsonpath={.spec.holderIdentity}",
        ])
        .await?;
    ensure!(lease.is_empty(), "the lease was not released: {lease}");
    Ok(())
}

/// A deployment of two small replicas a location, with these fields besides.
pub(crate) fn deployment(name: &str, fields: &Value) -> Value {
    let mut spec = json!({
        "replicas": 2,
        "selector": { "matchLabels": { "app": name } },
        "template": {
            "metadata": { "labels": { "app": name } },
            "spec": { "containers": [{
                "name": "hello", "image": "hello:1",
                "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
            }] },
        },
    });
    merge(&mut spec, fields);
    json!({ "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment", "metadata": { "name": name }, "spec": spec })
}

/// Fields that ask for all members, whether they are there or not.
pub(crate) fn everywhere() -> Value {
    json!({ "clusters": MEMBERS, "overflow": "None" })
}

/// The fields of `from` over those of `into`.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
