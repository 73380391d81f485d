//! What people see of an autoscaler.

use anyhow::{Result, ensure};
use lab::e2e::{World, eventually, holds};
use lab::scenarios;

use crate::monitoring::Monitoring;
use crate::scene::{autoscaler, deployment, ten_each, until_wanted};

scenarios!(what_kubectl_shows);

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
