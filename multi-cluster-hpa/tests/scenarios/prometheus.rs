//! Metrics from Prometheus, of every type that there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use lab::e2e::{World, eventually, holds};
use lab::scenarios;
use serde_json::json;

use crate::monitoring::Monitoring;
use crate::scene::{autoscaler, by_cluster, deployment, ten_each, until_wanted, wants};

scenarios!(
    a_vector_by_cluster_and_a_prometheus_that_is_away,
    pods_object_and_external_metrics,
    traffic_divides_one_number,
);

async fn a_vector_by_cluster_and_a_prometheus_that_is_away(world: &World) -> Result<()> {
    let mut monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    let _operator = world.operator(&[&monitoring.flag()]).await?;
    monitoring.export("cluster1", "jobs_waiting 40");
    monitoring.export("cluster2", "jobs_waiting 10");
    world
        .apply(&deployment("hello", &["cluster1", "cluster2"]))
        .await?;
    let metric = ten_each("sum by (cluster_name) (jobs_waiting)");
    world.apply(&autoscaler("hello", &metric)).await?;
    until_wanted(world, "hello", &[("cluster1", 4), ("cluster2", 1)]).await?;
    world
        .until_replicas("hello", [Some(4), Some(1), None])
        .await?;

    monitoring.stop().await?;
    monitoring.export("cluster1", "jobs_waiting 20");
    let message = world
        .until_condition(
            "mchpa/hello",
            "ScalingActive",
            "False",
            "FailedGetPrometheusMetric",
        )
        .await?;
    ensure!(message.contains("did not answer"), "{message}");
    let wanted = wants(world, "hello").await?;
    ensure!(
        wanted == by_cluster(&[("cluster1", 4), ("cluster2", 1)]),
        "{wanted:?}"
    );

    monitoring.start_again()?;
    until_wanted(world, "hello", &[("cluster1", 2), ("cluster2", 1)]).await?;
    world
        .until_condition("mchpa/hello", "ScalingActive", "True", "ValidMetricFound")
        .await?;
    Ok(())
}

async fn pods_object_and_external_metrics(world: &World) -> Result<()> {
    let monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    let _operator = world.operator(&[&monitoring.flag()]).await?;
    let ten = json!({ "type": "AverageValue", "averageValue": "10" });
    let queue = json!({ "matchLabels": { "queue": "in" } });
    let metrics = [
        (
            "pods",
            json!({ "type": "Pods", "pods": { "metric": { "name": "requests" }, "target": ten } }),
        ),
        (
            "object",
            json!({ "type": "Object", "object": { "metric": { "name": "depth" }, "target": ten,
            "describedObject": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "queue" } } }),
        ),
        (
            "external",
            json!({ "type": "External", "external": {
            "metric": { "name": "mails", "selector": queue }, "target": ten } }),
        ),
    ];
    for (name, metric) in &metrics {
        world.apply(&deployment(name, &["cluster1"])).await?;
        world.apply(&autoscaler(name, metric)).await?;
    }
    let namespace = world.namespace();
    // What the pods of one app serve together, and what belongs to others and must not count.
    eventually("each has its replicas", async || {
        let pods = pods(world, "cluster1", "pods").await?;
        let mut page = format!(
            "depth{{namespace=\"{namespace}\",deployment=\"queue\"}} 50\n\
             depth{{namespace=\"{namespace}\",deployment=\"other\"}} 500\n\
             mails{{queue=\"in\"}} 30\nmails{{queue=\"out\"}} 300\n\
             requests{{namespace=\"other\",pod=\"pods-1\"}} 6000\n"
        );
        for pod in &pods {
            let share = 60 / pods.len();
            writeln!(
                page,
                "requests{{namespace=\"{namespace}\",pod=\"{pod}\"}} {share}"
            )?;
        }
        monitoring.export("cluster1", page);
        let mut now = Vec::new();
        for (name, _) in &metrics {
            now.push(wants(world, name).await?.get("cluster1").copied());
        }
        Ok(holds(now == [Some(6), Some(5), Some(3)], || {
            format!("{now:?}")
        }))
    })
    .await
}

async fn traffic_divides_one_number(world: &World) -> Result<()> {
    let monitoring = Monitoring::start(world).await?;
    let _scheduler = world.scheduler(&[]).await?;
    // The default, but of a shorter time.
    let traffic = "--pod-traffic-query=sum by (cluster_name, pod) (rate(container_network_receive_bytes_total{namespace=\"{namespace}\"}[10s]))";
    let _operator = world.operator(&[&monitoring.flag(), traffic]).await?;
    world
        .apply(&deployment("hello", &["cluster1", "cluster2"]))
        .await?;
    let mut object = autoscaler("hello", &ten_each("sum(jobs_waiting)"));
    object["spec"]["distribution"] = "Traffic".into();
    world.apply(&object).await?;
    let (namespace, mut received, mut last) = (world.namespace(), BTreeMap::new(), Instant::now());
    // Of twelve, ten and two; one replica more or less is no reason to pass it on.
    eventually("most are where most traffic arrives", async || {
        let passed = last.elapsed().as_secs_f64();
        last = Instant::now();
        for (cluster, bytes_a_second) in [("cluster1", 50_000.0), ("cluster2", 10_000.0)] {
            let pods = pods(world, cluster, "hello").await?;
            let mut page = "jobs_waiting 60\n".to_owned();
            for pod in &pods {
                let total = received.entry(pod.clone()).or_insert(0.0);
                *total += bytes_a_second * passed / pods.len() as f64;
                writeln!(page, "container_network_receive_bytes_total{{namespace=\"{namespace}\",pod=\"{pod}\"}} {total}")?;
            }
            monitoring.export(cluster, page);
        }
        let now = wants(world, "hello").await?;
        let most = now.get("cluster1").is_some_and(|here| (9..=11).contains(here));
        let twelve = now.values().sum::<u64>() == 12;
        Ok(holds(most && twelve, || format!("{now:?}")))
    })
    .await
}

/// The names of an app's pods on a member.
async fn pods(world: &World, member: &str, app: &str) -> Result<Vec<String>> {
    let client = world.lab.client(member).await?;
    let api: Api<Pod> = Api::namespaced(client, &world.namespace());
    let selection = ListParams::default().labels(&format!("app={app}"));
    let pods = api.list(&selection).await?.items;
    let alive = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(alive.map(Pod::name_any).collect())
}
