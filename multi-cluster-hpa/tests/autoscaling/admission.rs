//! What cannot be meant is refused by the API server, or by a condition; either way with what to
//! write instead.

use serde_json::{Value, json};

use crate::fixture::{AUTOSCALER, Beginning, Scene, condition, play, yaml};

fn prometheus(query: &str) -> Value {
    json!([{ "type": "Prometheus", "prometheus": { "query": query,
        "target": { "type": "AverageValue", "averageValue": "100" } } }])
}

/// The example with these fields of the spec.
fn autoscaler(spec: &Value) -> Value {
    let mut autoscaler = yaml(AUTOSCALER);
    for (field, value) in spec.as_object().unwrap() {
        autoscaler["spec"][field] = value.clone();
    }
    autoscaler
}

#[test]
fn what_contradicts_itself_is_refused() {
    let cases = [
        (
            json!({ "minReplicas": 11 }),
            "minReplicas (default 1) is above maxReplicas",
        ),
        (
            json!({ "minReplicas": 0 }),
            "write at least 1, or add a metric of type External, Object or Prometheus",
        ),
        (
            json!({ "minReplicasPerCluster": 11 }),
            "minReplicasPerCluster is above maxReplicas",
        ),
        (
            json!({ "minReplicasPerCluster": 0 }),
            "zero replicas would never be left again",
        ),
        (
            json!({ "scope": "Global", "minReplicasPerCluster": 1 }),
            "leave minReplicasPerCluster out",
        ),
        (
            json!({ "scope": "Global", "distribution": "Traffic" }),
            "leave distribution out",
        ),
        (
            json!({ "schedules": [{ "schedule": "0 8 * * *", "duration": "1h" }] }),
            "the schedule changes nothing",
        ),
        (
            json!({ "schedules": [{ "schedule": "0 8 * * *", "duration": "1h", "minReplicas": 3, "maxReplicas": 2 }] }),
            "minReplicas of the schedule is above",
        ),
        (
            json!({ "scaleTargetRef": { "kind": "Deployment", "name": "hello" } }),
            "write kind: MultiClusterDeployment",
        ),
        (
            json!({ "metrics": [{ "type": "Pods" }] }),
            "a metric of type Pods has the field pods and no other",
        ),
        (
            json!({ "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization" } } }] }),
            "the target's type names the one field",
        ),
        (
            json!({ "metrics": prometheus(" \n") }),
            "the query is empty: write PromQL",
        ),
    ];
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        for (spec, wanted) in cases {
            let refused = scene.try_apply(&autoscaler(&spec)).await;
            let message = refused.expect_err(wanted).to_string();
            assert!(message.contains(wanted), "{message}");
        }
    });
}

#[test]
fn what_the_api_server_cannot_judge_is_a_condition() {
    let cases = [
        (
            json!({ "metrics": prometheus("sum by (cluster_name) (rate(a[1m])") }),
            "at character 35 of",
        ),
        (
            json!({ "schedules": [{ "schedule": "at eight", "duration": "1h", "minReplicas": 3 }] }),
            "write minute, hour",
        ),
        (
            json!({ "schedules": [{ "schedule": "0 8 * * *", "duration": "1h", "minReplicas": 30 }] }),
            "above maxReplicas 10: give both",
        ),
        (
            json!({ "behavior": { "scaleUp": { "selectPolicy": "Most" } } }),
            "write one of Max, Min, Disabled",
        ),
    ];
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        for (number, (spec, wanted)) in cases.into_iter().enumerate() {
            let mut object = autoscaler(&spec);
            let name = format!("hello{number}");
            object["metadata"]["name"] = name.clone().into();
            object["spec"]["scaleTargetRef"]["name"] = name.clone().into();
            scene.apply(&object).await;
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            let (able, reason, message) = condition(&scene.status_of(&name).await, "AbleToScale");
            assert_eq!((able.as_str(), reason.as_str()), ("False", "InvalidSpec"));
            assert!(message.contains(wanted), "{message}");
        }
    });
}
