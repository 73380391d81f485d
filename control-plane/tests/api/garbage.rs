//! What follows from a deletion.

use serde_json::{Value, json};

use crate::fixture::Fixture;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Waits until all that was written before has been looked at: writes are in their order, so once
/// this pair is gone, everything else is done that can be.
async fn all_collected(fixture: &Fixture) {
    let last = json!({"metadata": {"name": "last"}});
    let last = fixture.post(MAPS, &last).await.expect(201);
    owned(fixture, "dependent-of-last", &last, true).await;
    let path = format!("{MAPS}/last?propagationPolicy=Foreground");
    fixture.delete(&path).await.expect(200);
    fixture.until(&format!("{MAPS}/last"), 404).await;
}

async fn owned(fixture: &Fixture, name: &str, owner: &Value, blocks: bool) {
    let reference = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": blocks,
    });
    let map = json!({"metadata": {"name": name, "ownerReferences": [reference]}});
    fixture.post(MAPS, &map).await.expect(201);
}

async fn owner(fixture: &Fixture) -> Value {
    fixture
        .post(MAPS, &json!({"metadata": {"name": "owner"}}))
        .await
        .expect(201)
}

#[tokio::test(start_paused = true)]
async fn dependents_follow_their_owner() {
    let fixture = Fixture::new().await;
    let owner = owner(&fixture).await;
    owned(&fixture, "child", &owner, false).await;
    fixture.delete(&format!("{MAPS}/owner")).await.expect(200);
    fixture.until(&format!("{MAPS}/child"), 404).await;
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_dependents_go_first() {
    let fixture = Fixture::new().await;
    let owner = owner(&fixture).await;
    owned(&fixture, "child", &owner, true).await;
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    let child = format!("{MAPS}/child");
    fixture.merge(&child, &hold).await.expect(200);
    let path = format!("{MAPS}/owner");
    let marked = fixture
        .delete(&format!("{path}?propagationPolicy=Foreground"))
        .await
        .expect(200);
    assert_eq!(
        marked["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );
    all_collected(&fixture).await;
    fixture.get(&path).await.expect(200);
    assert!(fixture.get(&child).await.expect(200)["metadata"]["deletionTimestamp"].is_string());
    fixture
        .merge(&child, &json!({"metadata": {"finalizers": null}}))
        .await
        .expect(200);
    fixture.until(&path, 404).await;
}

#[tokio::test(start_paused = true)]
async fn orphans_stay() {
    let fixture = Fixture::new().await;
    let owner = owner(&fixture).await;
    owned(&fixture, "child", &owner, true).await;
    let path = format!("{MAPS}/owner");
    fixture
        .delete(&format!("{path}?propagationPolicy=Orphan"))
        .await
        .expect(200);
    fixture.until(&path, 404).await;
    let child = fixture.get(&format!("{MAPS}/child")).await.expect(200);
    assert!(child["metadata"].get("ownerReferences").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_emptied_before_it_goes() {
    let fixture = Fixture::new().await;
    fixture
        .post("/api/v1/namespaces", &json!({"metadata": {"name": "team"}}))
        .await
        .expect(201);
    let maps = "/api/v1/namespaces/team/configmaps";
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    fixture.post(maps, &held).await.expect(201);
    fixture
        .post(maps, &json!({"metadata": {"name": "free"}}))
        .await
        .expect(201);
    let marked = fixture.delete("/api/v1/namespaces/team").await.expect(200);
    assert_eq!(marked["status"]["phase"], "Terminating");
    let answer = fixture
        .post(maps, &json!({"metadata": {"name": "late"}}))
        .await;
    assert_eq!(
        answer.message(),
        "configmaps \"late\" is forbidden: unable to create new content in namespace team because it is being terminated"
    );
    fixture.until(&format!("{maps}/free"), 404).await;
    fixture.get("/api/v1/namespaces/team").await.expect(200);
    fixture
        .merge(
            &format!("{maps}/held"),
            &json!({"metadata": {"finalizers": null}}),
        )
        .await
        .expect(200);
    fixture.until("/api/v1/namespaces/team", 404).await;
    let answer = fixture.delete("/api/v1/namespaces/default").await;
    assert_eq!(
        answer.message(),
        "namespaces \"default\" is forbidden: this namespace may not be deleted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_definition_takes_its_objects_with_it() {
    let fixture = Fixture::new().await;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    fixture
        .post(crds, &crate::fixture::widgets())
        .await
        .expect(201);
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    let widget =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}});
    fixture.post(widgets, &widget).await.expect(201);
    let path = format!("{crds}/widgets.example.com");
    fixture.delete(&path).await.expect(200);
    fixture.until(&path, 404).await;
    fixture.until(widgets, 404).await;
    fixture
        .post(crds, &crate::fixture::widgets())
        .await
        .expect(201);
    assert_eq!(fixture.get(widgets).await.expect(200)["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_definition_waits_for_an_object_that_is_held() {
    let fixture = Fixture::new().await;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    fixture
        .post(crds, &crate::fixture::widgets())
        .await
        .expect(201);
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    let widget = json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "held", "finalizers": ["example.com/hold"]},
    });
    fixture.post(widgets, &widget).await.expect(201);
    let path = format!("{crds}/widgets.example.com");
    fixture.delete(&path).await.expect(200);
    all_collected(&fixture).await;
    fixture.get(&path).await.expect(200);
    let held = format!("{widgets}/held");
    let released = json!({"metadata": {"finalizers": null}});
    fixture.merge(&held, &released).await.expect(200);
    fixture.until(&path, 404).await;
}
