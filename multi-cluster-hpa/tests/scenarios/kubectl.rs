//! What people see of an autoscaler.

use anyhow::{Result, ensure};
use lab::e2e::{World, eventually, holds};
use lab::scenarios;
use serde_json::json;

use crate::monitoring::Monitoring;
use crate::scene::{autoscaler, deployment, ten_each, until_wanted};

scenarios!(what_kubectl_shows, one_number_for_all_clusters);

async fn what_kubectl_shows(world: &World) -> Result<()> {
    let monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    let _operator = world.operator(&[&monitoring.flag()]).await?;
    monitoring.export("cluster1", "jobs_waiting 40");
    monitoring.export("cluster2", "jobs_waiting 20");
    world
        .apply(&deployment("hello", &["cluster1", "cluster2"]))
        .await?;
    let metric = ten_each("sum by (cluster_name) (jobs_waiting)");
    world.apply(&autoscaler("hello", &metric)).await?;
    until_wanted(world, "hello", &[("cluster1", 4), ("cluster2", 2)]).await?;

    let namespace = world.namespace();
    eventually("kubectl get mchpa shows it", async || {
        let table = world.kubectl(&["-n", &namespace, "get", "mchpa"]).await?;
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect()
            })
            .collect();
        let [head, row] = &rows[..] else {
            return Ok(Err(table));
        };
        let columns = ["NAME", "TARGET", "METRICS", "MIN", "MAX", "REPLICAS", "AGE"];
        // It has no minReplicas of its own.
        let known = [
            "hello",
            "hello",
            "sum by (cluster_name) (jobs_waiting): 10/10 (avg)",
            "20",
            "6",
        ];
        Ok(holds(*head == columns && row.starts_with(&known), || {
            table.clone()
        }))
    })
    .await?;
    let text = world
        .kubectl(&["-n", &namespace, "describe", "mchpa", "hello"])
        .await?;
    for line in [
        "Cluster:  cluster1",
        "Current:  4",
        "Desired:  4",
        "10/10 (avg), asks for 4",
        "10/10 (avg), asks for 2",
        "ValidMetricFound",
        "SuccessfulRescale",
        "cluster1 1 → 4",
        "cluster2 1 → 2",
        "; reason: sum by (cluster_name) (jobs_waiting) above target",
    ] {
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(plain.contains(&line), "no {line:?} in {text}");
    }
    Ok(())
}

/// The deployment divides one number. What happens twice is one Event that says so; and an autoscaler
/// that the original has served can be deleted.
async fn one_number_for_all_clusters(world: &World) -> Result<()> {
    let monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    let _operator = world.operator(&[&monitoring.flag()]).await?;
    monitoring.export("cluster1", "jobs_waiting 30");
    let mut object = deployment("hello", &["cluster1", "cluster2"]);
    object["spec"]["replicaScheduling"] = "Total".into();
    world.apply(&object).await?;
    let mut scaled = autoscaler("hello", &ten_each("sum(jobs_waiting)"));
    scaled["spec"]["scope"] = "Global".into();
    scaled["metadata"]["finalizers"] = json!(["kopf.zalando.org/KopfFinalizerMarker"]);
    world.apply(&scaled).await?;
    for (jobs, replicas) in [(30, 3), (10, 1), (30, 3)] {
        monitoring.export("cluster1", format!("jobs_waiting {jobs}"));
        eventually(&format!("{replicas} replicas in all"), async || {
            let object = world.get("cluster0", "mcd/hello").await?;
            Ok(holds(object["spec"]["replicas"] == replicas, || {
                object["spec"]["replicas"].to_string()
            }))
        })
        .await?;
    }
    eventually("what has happened twice is one Event", async || {
        let all = world.get("cluster0", "events").await?;
        let events = all["items"].as_array().into_iter().flatten();
        let about = |one: &&serde_json::Value| {
            let message = one["message"].as_str().unwrap_or_default();
            one["reason"] == "SuccessfulRescale" && message.starts_with("New size: 3")
        };
        let counts: Vec<_> = events.filter(about).map(|one| &one["count"]).collect();
        Ok(holds(counts == [2], || all.to_string()))
    })
    .await?;
    world.delete("mchpa/hello").await?;
    world.until_gone("mchpa/hello").await
}
