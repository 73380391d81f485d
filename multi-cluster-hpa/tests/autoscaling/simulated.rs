//! Metrics from the simulated Prometheus, which knows the load.

use serde_json::{Value, json};

use crate::fixture::{AUTOSCALER, Beginning, DEPLOYMENT, Scene, play, replicas, yaml};

/// What is wanted at the height of the crowd.
fn wanted_of(change: impl FnOnce(&mut Value)) -> std::collections::BTreeMap<String, u64> {
    play(async {
        let beginning = Beginning {
            knows_the_load: true,
            ..Beginning::default()
        };
        let scene = Scene::begin(beginning).await;
        scene.apply(&yaml(DEPLOYMENT)).await;
        let mut autoscaler = yaml(AUTOSCALER);
        change(&mut autoscaler["spec"]);
        scene.apply(&autoscaler).await;
        scene.until(25, 0).await;
        scene.wanted().await
    })
}

#[test]
fn requests_of_each_pod_scale_each_cluster() {
    let wanted = wanted_of(|spec| {
        spec["metrics"] = json!([{ "type": "Pods", "pods": {
            "metric": { "name": "http_requests_per_second" },
            "target": { "type": "AverageValue", "averageValue": "100" },
        } }]);
    });
    assert_eq!(wanted, replicas(&[("cluster2", 6), ("cluster3", 2)]));
}

#[test]
fn replicas_follow_the_traffic_that_the_usual_query_finds() {
    let wanted = wanted_of(|spec| spec["distribution"] = "Traffic".into());
    // Seven are at 54 %, which is near enough; 600 and 150 requests a second are 5.6 and 1.4 of them.
    assert_eq!(wanted, replicas(&[("cluster2", 5), ("cluster3", 2)]));
}
