//! The same clusters by a clock that is not paused, and when they are stopped.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use lab::simulated::{Delay, Options};
use serde_json::json;

use crate::fixture::{Lab, node_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_and_real_time_come_to_the_same() {
    let options = Options {
        startup: Delay::Fixed(Duration::from_millis(50)),
        ..Options::uniform(3)
    };
    let lab = Lab::start(options, 1).await;
    for number in 0..5 {
        let name = format!("web{number}");
        lab.create::<Deployment>(json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": 6,
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name } },
                    "spec": { "containers": [{
                        "name": "web", "image": "nginx",
                        "resources": { "requests": { "cpu": "300m" } },
                    }] },
                },
            },
        }))
        .await;
    }
    lab.until("all Deployments available", || async {
        let api: kube::Api<Deployment> = lab.api();
        let all = api.list(&kube::api::ListParams::default()).await.unwrap();
        let available = all.iter().filter(|one| {
            let status = one.status.as_ref();
            status.and_then(|status| status.available_replicas) == Some(6)
        });
        (available.count() == 5).then_some(())
    })
    .await;
    assert_eq!(lab.pods().await.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_dropped_does_nothing_more() {
    let lab = Lab::new().await;
    let Lab {
        cluster, client, ..
    } = lab;
    drop(cluster);
    let pods: kube::Api<Pod> = kube::Api::default_namespaced(client);
    let pod = json!({
        "metadata": { "name": "web" },
        "spec": { "containers": [{ "name": "web", "image": "nginx" }] },
    });
    let pod = serde_json::from_value(pod).unwrap();
    pods.create(&kube::api::PostParams::default(), &pod)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(node_of(&pods.get("web").await.unwrap()), None);
}
