//! What goes wrong with the autoscaler itself, and with who writes the same field.

use anyhow::{Result, ensure};
use lab::e2e::{Operator, World, eventually, holds};
use lab::scenarios;
use serde_json::json;

use crate::monitoring::Monitoring;
use crate::scene::{autoscaler, by_cluster, deployment, ten_each, until_wanted, wants};

scenarios!(
    killed_under_load_and_two_copies,
    a_person_who_owns_the_replicas_is_left_alone,
);

const QUERY: &str = "sum by (cluster_name) (jobs_waiting)";

async fn killed_under_load_and_two_copies(world: &World) -> Result<()> {
    let monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    let flag = monitoring.flag();
    let first = world.operator(&[&flag, "--identity=first"]).await?;
    let second = world.another(&[&flag, "--identity=second"]).await?;
    monitoring.export("cluster1", "jobs_waiting 30");
    world.apply(&deployment("hello", &["cluster1"])).await?;
    world.apply(&autoscaler("hello", &ten_each(QUERY))).await?;
    until_wanted(world, "hello", &[("cluster1", 3)]).await?;
    until_metrics(world, &first, 3).await?;
    ensure!(
        !second.get("/readyz").await?.starts_with("HTTP/1.1 200"),
        "a copy without the lease says that it is ready"
    );
    let metrics = second.get("/metrics").await?;
    ensure!(
        !metrics.contains("mck8s_hpa_evaluations_total{"),
        "a copy without the lease evaluates: {metrics}"
    );

    first.kill()?;
    monitoring.export("cluster1", "jobs_waiting 60");
    second.ready().await?;
    until_wanted(world, "hello", &[("cluster1", 6)]).await?;
    until_metrics(world, &second, 6).await?;

    // Nobody is left; then one is started under load.
    second.kill()?;
    monitoring.export("cluster1", "jobs_waiting 80");
    let third = world.operator(&[&flag, "--identity=third"]).await?;
    until_wanted(world, "hello", &[("cluster1", 8)]).await?;
    until_metrics(world, &third, 8).await
}

/// Waits until an operator's metrics say that the object wants so many replicas, by a fresh number.
async fn until_metrics(world: &World, operator: &Operator, replicas: u64) -> Result<()> {
    let namespace = world.namespace();
    ensure!(operator.get("/healthz").await?.starts_with("HTTP/1.1 200"));
    eventually("its metrics say so", async || {
        let answer = operator.get("/metrics").await?;
        let of = |name: &str| {
            let lines = answer.lines().filter(|line| {
                line.starts_with(&format!("{name}{{"))
                    && line.contains(&format!("namespace=\"{namespace}\""))
                    && line.contains("name=\"hello\"")
            });
            let mut values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            values.next()
        };
        let (current, desired) = (
            of("mck8s_hpa_current_replicas"),
            of("mck8s_hpa_desired_replicas"),
        );
        let age = of("mck8s_hpa_metric_age_seconds");
        let as_wanted = current == Some(replicas as f64) && desired == current;
        let fresh = age.is_some_and(|age| (0.0..60.0).contains(&age));
        Ok(holds(as_wanted && fresh, || answer.clone()))
    })
    .await
}

async fn a_person_who_owns_the_replicas_is_left_alone(world: &World) -> Result<()> {
    let monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    let _operator = world.operator(&[&monitoring.flag()]).await?;
    monitoring.export("cluster1", "jobs_waiting 50");
    let mut object = deployment("hello", &["cluster1"]);
    object["spec"]["clusterReplicas"] = json!([{ "cluster": "cluster1", "replicas": 2 }]);
    apply_as_ann(world, &object).await?;
    world.apply(&autoscaler("hello", &ten_each(QUERY))).await?;
    let message = world
        .until_condition("mchpa/hello", "AbleToScale", "False", "FieldConflict")
        .await?;
    ensure!(
        message.contains("\"ann\"") && message.contains("remove clusterReplicas from"),
        "{message}"
    );
    let wanted = wants(world, "hello").await?;
    ensure!(wanted == by_cluster(&[("cluster1", 2)]), "{wanted:?}");

    // As the message says.
    apply_as_ann(world, &deployment("hello", &["cluster1"])).await?;
    until_wanted(world, "hello", &[("cluster1", 5)]).await?;
    world
        .until_condition("mchpa/hello", "AbleToScale", "True", "ReadyForNewScale")
        .await?;
    Ok(())
}

/// Server-side apply, as a person called ann does it.
async fn apply_as_ann(world: &World, object: &serde_json::Value) -> Result<()> {
    let namespace = world.namespace();
    let arguments = [
        "-n",
        &namespace,
        "apply",
        "--server-side",
        "--field-manager=ann",
        "-f",
        "-",
    ];
    let applied = world
        .lab
        .kubectl_with_input(&arguments, &object.to_string())
        .await?;
    ensure!(applied.success(), "{}", applied.stderr);
    Ok(())
}
