//! What it costs to play clusters.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use lab::simulated::{Cluster, Delay, Options, Random};
use serde_json::{Value, json};

use crate::fixture::{Lab, api_server, clock};

fn deployment(name: &str, replicas: usize) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "web", "image": "nginx",
                    "resources": { "requests": { "cpu": "200m", "memory": "256Mi" } },
                }] },
            },
        },
    })
}

/// Without Events, leases, and anything that differs from pod to pod.
fn quiet(nodes: usize) -> Options {
    Options {
        events: false,
        heartbeat: None,
        ..Options::uniform(nodes)
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_written_than_a_real_cluster_writes() {
    let lab = Lab::start(quiet(5), 1).await;
    let before = lab.store.revision();
    lab.create::<Deployment>(deployment("web", 10)).await;
    lab.pass(Duration::from_mins(1)).await;
    // The Deployment and its ReplicaSet are made, and 10 pods made, bound, and started. The
    // ReplicaSet's status is written as its pods are made and as they start; the Deployment's as
    // it begins, as its pods are made, and as they start.
    assert_eq!(lab.store.revision() - before, 2 + 30 + 2 + 3);
    let before = lab.store.revision();
    let api: Api<Deployment> = lab.api();
    api.delete("web", &DeleteParams::default()).await.unwrap();
    lab.pass(Duration::from_mins(1)).await;
    // The two go. Each pod is marked, marked as having no more time, and removed.
    assert_eq!(lab.store.revision() - before, 2 + 30);
}

/// 2,000 Deployments come and go in ten clusters of a hundred nodes over a day. In a release build
/// this is to take less than two minutes.
#[tokio::test(start_paused = true)]
#[ignore = "takes minutes without optimization: cargo test --release -p lab -- --ignored"]
async fn a_day_of_ten_clusters() {
    let begun = std::time::Instant::now();
    let clock = clock();
    let mut clusters = Vec::new();
    for number in 1..=10 {
        let (plane, client) = api_server(number, &clock).await;
        let options = Options {
            startup: Delay::Range(Duration::from_secs(1), Duration::from_secs(5)),
            ..Options::uniform(100)
        };
        let name = format!("cluster{number}");
        let shared = Arc::clone(&clock);
        let cluster = Cluster::start(&name, client.clone(), options, 1, shared);
        clusters.push((plane, cluster.await.unwrap(), client));
    }
    let mut random = Random::new(1, "workload");
    let mut lives = Vec::new();
    for number in 0..2000 {
        let (_, _, client) = &clusters[number % clusters.len()];
        let begin = Duration::from_secs_f64(random.fraction() * 20.0 * 3600.0);
        let stays = Duration::from_secs_f64(600.0 + random.fraction() * 3.0 * 3600.0);
        let replicas = 1 + random.below(10);
        lives.push(live(client.clone(), number, replicas, begin, stays));
    }
    join_all(lives).await;
    tokio::time::sleep(Duration::from_mins(30)).await;
    let mut writes = 0;
    for (plane, cluster, _) in &clusters {
        assert!(cluster.pods().is_empty());
        writes += plane.store().revision();
    }
    let took = begun.elapsed();
    // `cargo xtask bench control-plane` reads this line.
    let seconds = took.as_secs_f64();
    println!("a day of ten clusters: {seconds:.1} s, {writes} writes");
    assert!(cfg!(debug_assertions) || took < Duration::from_mins(2));
}

async fn live(client: Client, number: usize, replicas: usize, begin: Duration, stays: Duration) {
    let api: Api<Deployment> = Api::default_namespaced(client);
    tokio::time::sleep(begin).await;
    let name = format!("web{number}");
    let object = serde_json::from_value(deployment(&name, replicas)).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    tokio::time::sleep(stays).await;
    let status = api.get(&name).await.unwrap().status.unwrap();
    assert_eq!(
        status.available_replicas,
        i32::try_from(replicas).ok(),
        "{name}"
    );
    api.delete(&name, &DeleteParams::background())
        .await
        .unwrap();
}
