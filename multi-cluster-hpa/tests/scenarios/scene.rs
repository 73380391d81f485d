//! What is scaled, by what, and what came of it.

use std::collections::BTreeMap;

use anyhow::Result;
use lab::e2e::{World, eventually, holds};
use serde_json::{Value, json};

/// A deployment of one replica on each of these clusters.
pub(crate) fn deployment(name: &str, clusters: &[&str]) -> Value {
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment", "metadata": { "name": name },
        "spec": {
            "clusters": clusters,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "main:1" }] },
            },
        },
    })
}

/// An autoscaler of the deployment of its name, that looks every second and acts at once.
pub(crate) fn autoscaler(name: &str, metric: &Value) -> Value {
    let at_once = json!({
        "stabilizationWindowSeconds": 0,
        "policies": [{ "type": "Pods", "value": 20, "periodSeconds": 1 }],
    });
    json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterHorizontalPodAutoscaler",
        "metadata": { "name": name },
        "spec": {
            "scaleTargetRef": { "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment", "name": name },
            "maxReplicas": 20, "metrics": [metric], "evaluationIntervalSeconds": 1,
            "behavior": { "scaleUp": at_once, "scaleDown": at_once },
        },
    })
}

/// A metric of type Prometheus, of which there shall be ten for each replica.
pub(crate) fn ten_each(query: &str) -> Value {
    let target = json!({ "type": "AverageValue", "averageValue": "10" });
    json!({ "type": "Prometheus", "prometheus": { "query": query, "target": target } })
}

/// Waits until the spec of a deployment wants so many replicas by cluster.
pub(crate) async fn until_wanted(world: &World, name: &str, wanted: &[(&str, u64)]) -> Result<()> {
    let wanted = by_cluster(wanted);
    eventually(&format!("{name} wants {wanted:?}"), async || {
        let now = wants(world, name).await?;
        let status = world.get("cluster0", &format!("mchpa/{name}")).await?["status"].clone();
        Ok(holds(now == wanted, || format!("{now:?}; {status}")))
    })
    .await
}

/// Replicas by cluster as the spec of a deployment wants them.
pub(crate) async fn wants(world: &World, name: &str) -> Result<BTreeMap<String, u64>> {
    let object = world.get("cluster0", &format!("mcd/{name}")).await?;
    Ok(numbers(&object["spec"]["clusterReplicas"]))
}

/// Replicas by cluster as the scheduler placed them.
pub(crate) async fn placed(world: &World, name: &str) -> Result<BTreeMap<String, u64>> {
    let object = world.get("cluster0", &format!("mcd/{name}")).await?;
    Ok(numbers(&object["status"]["placements"]))
}

fn numbers(entries: &Value) -> BTreeMap<String, u64> {
    let entries = entries.as_array().into_iter().flatten();
    let entries = entries.filter_map(|one| {
        let cluster = one["cluster"].as_str()?.to_owned();
        Some((cluster, one["replicas"].as_u64()?))
    });
    entries.filter(|(_, replicas)| *replicas > 0).collect()
}

pub(crate) fn by_cluster(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let entries = entries.iter();
    entries
        .map(|(cluster, replicas)| ((*cluster).to_owned(), *replicas))
        .collect()
}
