//! Watches, in virtual time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use control_plane::User;
use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options};
use futures::StreamExt;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::Fixture;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn watch(fixture: &Fixture, query: &str) -> BodyDataStream {
    let router = fixture.plane.router_for(User::admin());
    let uri = format!("{MAPS}?watch=true&{query}");
    let request = Request::get(uri).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().into_data_stream()
}

async fn next(stream: &mut BodyDataStream) -> Value {
    serde_json::from_slice(&stream.next().await.unwrap().unwrap()).unwrap()
}

async fn seen(stream: &mut BodyDataStream) -> (String, String) {
    let event = next(stream).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&event["type"]),
        text(&event["object"]["metadata"]["name"]),
    )
}

fn map(name: &str, label: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"show": label}}})
}

#[tokio::test(start_paused = true)]
async fn a_selector_lets_objects_come_and_go() {
    let fixture = Fixture::new().await;
    let mut stream = watch(&fixture, "labelSelector=show%3Dyes&resourceVersion=1").await;
    fixture.post(MAPS, &map("a", "no")).await.expect(201);
    let path = format!("{MAPS}/a");
    for label in ["yes", "yes!", "yes"] {
        let change = json!({"metadata": {"labels": {"show": label.trim_end_matches('!')}, "annotations": {"a": label}}});
        fixture.merge(&path, &change).await.expect(200);
    }
    fixture
        .merge(&path, &json!({"metadata": {"labels": {"show": "no"}}}))
        .await
        .expect(200);
    fixture.delete(&path).await.expect(200);
    fixture.post(MAPS, &map("b", "yes")).await.expect(201);
    let mut kinds = Vec::new();
    for _ in 0..5 {
        kinds.push(seen(&mut stream).await.0);
    }
    assert_eq!(kinds, ["ADDED", "MODIFIED", "MODIFIED", "DELETED", "ADDED"]);
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_with_a_bookmark() {
    let fixture = Fixture::new().await;
    fixture.post(MAPS, &map("a", "x")).await.expect(201);
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut stream = watch(&fixture, query).await;
    assert_eq!(
        seen(&mut stream).await,
        ("ADDED".to_owned(), "a".to_owned())
    );
    let bookmark = next(&mut stream).await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_by_the_minute_and_the_end_by_the_timeout() {
    let fixture = Fixture::new().await;
    let begun = tokio::time::Instant::now();
    let mut stream = watch(
        &fixture,
        "allowWatchBookmarks=true&timeoutSeconds=150&resourceVersion=1",
    )
    .await;
    // The last one comes shortly before the end.
    for seconds in [60, 120, 148] {
        assert_eq!(next(&mut stream).await["type"], "BOOKMARK");
        assert_eq!(begun.elapsed().as_secs(), seconds);
    }
    assert!(stream.next().await.is_none());
    assert!(begun.elapsed() >= Duration::from_secs(150));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_or_too_slow_has_expired() {
    let options = StoreOptions {
        history: 2,
        backlog: 2,
        ..StoreOptions::default()
    };
    let plane = ControlPlane::start(Store::memory(options), Options::default())
        .await
        .unwrap();
    let fixture = Fixture::of(plane);
    let mut old = watch(&fixture, "resourceVersion=0").await;
    for name in ["a", "b", "c", "d"] {
        fixture.post(MAPS, &map(name, "x")).await.expect(201);
    }
    let event = next(&mut old).await;
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert!(old.next().await.is_none());
    let mut late = watch(&fixture, "resourceVersion=1").await;
    assert_eq!(next(&mut late).await["object"]["reason"], "Expired");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_idle_watches_are_served_and_end_in_time() {
    let fixture = Fixture::new().await;
    let mut streams = Vec::new();
    for number in 0..10_000 {
        let query = format!(
            "resourceVersion=1&timeoutSeconds=600&fieldSelector=metadata.name%3Dmap-{number}"
        );
        streams.push(watch(&fixture, &query).await);
    }
    for number in [0, 7, 9_999] {
        let name = format!("map-{number}");
        fixture.post(MAPS, &map(&name, "x")).await.expect(201);
        let event = seen(&mut streams[number]).await;
        assert_eq!(event, ("ADDED".to_owned(), name));
    }
    let begun = tokio::time::Instant::now();
    for stream in &mut streams {
        assert!(stream.next().await.is_none());
    }
    assert_eq!(begun.elapsed().as_secs(), 600);
}
