//! What is done to pods.

use serde_json::{Value, json};

use crate::fixture::Fixture;

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

async fn bind(fixture: &Fixture, name: &str) -> crate::fixture::Answer {
    let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "node"}});
    fixture
        .post(&format!("{PODS}/{name}/binding"), &binding)
        .await
}

#[tokio::test]
async fn a_pod_on_a_node_is_marked_and_the_kubelet_removes_it() {
    let fixture = Fixture::new().await;
    let path = format!("{PODS}/a");
    fixture.post(PODS, &pod("a")).await.expect(201);
    bind(&fixture, "a").await.expect(201);
    let answer = bind(&fixture, "a").await;
    assert_eq!(
        answer.message(),
        "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"node\""
    );
    let marked = fixture.delete(&path).await.expect(200);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    fixture.get(&path).await.expect(200);
    fixture
        .delete(&format!("{path}?gracePeriodSeconds=0"))
        .await
        .expect(200);
    fixture.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_pod_without_a_node_goes_at_once() {
    let fixture = Fixture::new().await;
    fixture.post(PODS, &pod("a")).await.expect(201);
    fixture.delete(&format!("{PODS}/a")).await.expect(200);
    fixture.get(&format!("{PODS}/a")).await.expect(404);
}

#[tokio::test]
async fn a_budget_stands_against_eviction() {
    let fixture = Fixture::new().await;
    fixture.post(PODS, &pod("a")).await.expect(201);
    bind(&fixture, "a").await.expect(201);
    let running = json!({"status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    fixture
        .merge(&format!("{PODS}/a/status"), &running)
        .await
        .expect(200);
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({
        "metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    });
    fixture.post(budgets, &budget).await.expect(201);
    let allow = |count: i64| {
        json!({"status": {
            "disruptionsAllowed": count, "observedGeneration": 1,
            "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1,
        }})
    };
    let status = format!("{budgets}/b/status");
    fixture.merge(&status, &allow(0)).await.expect(200);
    let evict = json!({"metadata": {"name": "a"}});
    let path = format!("{PODS}/a/eviction");
    let answer = fixture.post(&path, &evict).await;
    assert_eq!(
        answer.message(),
        "Cannot evict pod as it would violate the pod's disruption budget."
    );
    assert_eq!(answer.code, 429);
    fixture.merge(&status, &allow(1)).await.expect(200);
    fixture.post(&path, &evict).await.expect(201);
    let budget = fixture.get(&format!("{budgets}/b")).await.expect(200);
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
}

#[tokio::test]
async fn logs_need_a_source() {
    let fixture = Fixture::new().await;
    fixture.post(PODS, &pod("a")).await.expect(201);
    bind(&fixture, "a").await.expect(201);
    assert_eq!(fixture.get(&format!("{PODS}/a/log")).await.code, 501);
    assert_eq!(
        fixture.get(&format!("{PODS}/none/log")).await.message(),
        "pods \"none\" not found"
    );
}

#[tokio::test]
async fn a_binding_is_of_its_type() {
    let fixture = Fixture::new().await;
    fixture.post(PODS, &pod("a")).await.expect(201);
    let path = format!("{PODS}/a/binding");
    let binding = |metadata: &Value| json!({"metadata": metadata, "target": {"kind": "Node", "name": "node"}});
    for (metadata, code) in [
        (json!({"labels": {"team": 5}}), 400),
        (json!({"annotations": ["a"]}), 400),
        (json!("a"), 400),
        (json!({"labels": {"-": "a"}}), 422),
        (json!({"labels": {"team": "not a value"}}), 422),
        (json!({"annotations": {"a": "x".repeat(300_000)}}), 422),
    ] {
        let answer = fixture.post(&path, &binding(&metadata)).await;
        assert_eq!(answer.code, code, "{metadata}: {}", answer.text);
    }
    let target = json!({"target": {"kind": "Node", "name": 5}});
    assert_eq!(fixture.post(&path, &target).await.code, 400);
    let metadata = json!({"labels": {"team": null, "app": "db"}, "annotations": {"a": null}});
    fixture.post(&path, &binding(&metadata)).await.expect(201);
    let bound = fixture.get(&format!("{PODS}/a")).await.expect(200);
    assert_eq!(
        bound["metadata"]["labels"],
        json!({"app": "db", "team": ""})
    );
    assert_eq!(bound["metadata"]["annotations"], json!({"a": ""}));
}

#[tokio::test]
async fn options_that_cannot_be_read_evict_nothing() {
    let fixture = Fixture::new().await;
    fixture.post(PODS, &pod("a")).await.expect(201);
    let path = format!("{PODS}/a/eviction");
    for options in [
        json!("now"),
        json!([{"dryRun": ["All"]}]),
        json!({"gracePeriodSeconds": "5"}),
        json!({"dryRun": "All"}),
        json!({"preconditions": ["a"]}),
    ] {
        let eviction = json!({"metadata": {"name": "a"}, "deleteOptions": options});
        let answer = fixture.post(&path, &eviction).await;
        assert_eq!(answer.code, 400, "{options}: {}", answer.text);
        fixture.get(&format!("{PODS}/a")).await.expect(200);
    }
}
