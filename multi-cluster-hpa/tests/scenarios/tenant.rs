//! A person who may edit the objects of one namespace, and nothing else: what they write scales
//! nothing of others, and stops nobody's autoscaler.

use anyhow::{Result, ensure};
use lab::e2e::{Operator, Tenant, World, eventually, holds};
use lab::scenarios;
use serde_json::json;

use crate::monitoring::Monitoring;
use crate::scene::{autoscaler, by_cluster, deployment, ten_each, until_wanted, wants};

scenarios!(a_tenant_scales_nothing_of_others);

async fn a_tenant_scales_nothing_of_others(world: &World) -> Result<()> {
    let monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    let operator = world.operator(&[&monitoring.flag()]).await?;
    let tenant = Tenant::new(world).await?;
    let played = attacks(world, &monitoring, &operator, &tenant).await;
    let cleared = tenant.clear().await;
    played.and(cleared)
}

async fn attacks(
    world: &World,
    monitoring: &Monitoring,
    operator: &Operator,
    tenant: &Tenant<'_>,
) -> Result<()> {
    let load = ten_each("sum by (cluster_name) (load)");
    monitoring.export("cluster1", "load 20");
    world.apply(&deployment("hello", &["cluster1"])).await?;
    world.apply(&autoscaler("hello", &load)).await?;
    until_wanted(world, "hello", &[("cluster1", 2)]).await?;
    let victim = world.get("cluster0", "mcd/hello").await?["metadata"]["uid"].clone();

    // A deployment of its name, with pods that say that they are the victim's.
    let mut marked = deployment("hello", &["cluster1", "cluster2"]);
    marked["spec"]["replicas"] = 9.into();
    let owner = json!({ "app": "hello", "fogguru.eu/owner": victim });
    marked["metadata"]["labels"] = owner.clone();
    marked["spec"]["template"]["metadata"]["labels"] = owner;
    tenant.create(&marked).await?;
    // Autoscalers: one that is as large as can be and stays, one of what is not there, and one whose
    // answer is no number.
    let mut huge = autoscaler("huge", &load);
    huge["metadata"]["annotations"] = json!({ "x": "a".repeat(262_084) });
    huge["metadata"]["finalizers"] = json!(["tenant.example/mine"]);
    let absent = autoscaler("absent", &load);
    let nothing = autoscaler("hello", &ten_each("vector(0) / 0"));
    for (name, mut object) in [("huge", huge), ("absent", absent), ("nothing", nothing)] {
        object["metadata"]["name"] = name.into();
        tenant.create(&object).await?;
    }
    tenant
        .until("mchpa/absent", "AbleToScale", "FailedGetScale")
        .await?;

    let before = evaluations(operator).await?;
    eventually("everything has been looked at some times", async || {
        let now = evaluations(operator).await?;
        Ok(holds(now >= before + 30, || format!("{before}, {now}")))
    })
    .await?;
    let wanted = wants(world, "hello").await?;
    ensure!(wanted == by_cluster(&[("cluster1", 2)]), "{wanted:?}");
    monitoring.export("cluster1", "load 40");
    until_wanted(world, "hello", &[("cluster1", 4)]).await
}

/// How many evaluations the operator counts.
async fn evaluations(operator: &Operator) -> Result<u64> {
    let metrics = operator.get("/metrics").await?;
    let counts = (metrics.lines()).filter(|line| line.starts_with("mck8s_hpa_evaluations_total{"));
    Ok(counts
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum())
}
