//! Events expire, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options, Sources};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::fixture::Fixture;

const EVENTS: &str = "/api/v1/namespaces/default/events";

/// A clock that goes with the runtime's, which begins here.
fn options(start: Timestamp) -> Options {
    let begun = Instant::now();
    Options {
        sources: Sources {
            clock: Arc::new(move || start + begun.elapsed()),
            ..Sources::default()
        },
        ..Options::default()
    }
}

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn event(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "a"},
        "reason": "Tested", "type": "Normal",
    })
}

async fn names(fixture: &Fixture) -> Vec<String> {
    let list = fixture.get(EVENTS).await.expect(200);
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn pass(minutes: u64) {
    sleep(Duration::from_mins(minutes)).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_goes_an_hour_after_it_was_last_written() {
    let fixture = Fixture::with(options(start())).await;
    fixture.post(EVENTS, &event("once")).await.expect(201);
    fixture.post(EVENTS, &event("again")).await.expect(201);
    let map = json!({"metadata": {"name": "stays"}});
    let maps = "/api/v1/namespaces/default/configmaps";
    fixture.post(maps, &map).await.expect(201);
    pass(50).await;
    let again = format!("{EVENTS}/again");
    fixture
        .merge(&again, &json!({"count": 2}))
        .await
        .expect(200);
    pass(9).await;
    assert_eq!(names(&fixture).await, ["again", "once"]);
    pass(2).await;
    assert_eq!(names(&fixture).await, ["again"]);
    pass(48).await;
    assert_eq!(names(&fixture).await, ["again"]);
    pass(2).await;
    assert!(names(&fixture).await.is_empty());
    fixture.get(&format!("{maps}/stays")).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn of_more_than_ten_thousand_events_those_written_last_stay() {
    let fixture = Fixture::with(options(start())).await;
    for number in 0..10_020 {
        let name = format!("e{number:05}");
        fixture.post(EVENTS, &event(&name)).await.expect(201);
    }
    pass(1).await;
    fixture
        .merge(&format!("{EVENTS}/e00100"), &json!({"count": 2}))
        .await
        .expect(200);
    for number in 10_020..10_120 {
        let name = format!("e{number:05}");
        fixture.post(EVENTS, &event(&name)).await.expect(201);
    }
    pass(1).await;
    let names = names(&fixture).await;
    assert_eq!(names.len(), 10_000);
    // The one that was written again is younger than its neighbours.
    assert_eq!(names[..2], ["e00100", "e00121"]);
}

#[tokio::test(start_paused = true)]
async fn events_expire_in_the_events_api_too_and_a_watch_sees_it() {
    let fixture = Fixture::with(options(start())).await;
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    let event = json!({
        "metadata": {"name": "new"}, "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.com/c", "reportingInstance": "c-1",
        "action": "Test", "reason": "Tested", "type": "Normal",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "a"},
    });
    fixture.post(path, &event).await.expect(201);
    let watched = fixture
        .get(&format!("{path}?watch=true&timeoutSeconds=3700"))
        .await;
    let kinds: Vec<Value> = watched
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
        .collect();
    assert_eq!(kinds, ["ADDED", "DELETED"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_hour_counts_from_the_last_time_that_an_event_tells() {
    let store = Store::memory(StoreOptions::default());
    let plane = ControlPlane::start(store.clone(), options(start()));
    let fixture = Fixture::of(plane.await.unwrap());
    fixture.post(EVENTS, &event("old")).await.expect(201);
    let recurring = json!({"lastTimestamp": "2026-01-01T00:30:00Z"});
    fixture.post(EVENTS, &event("recurring")).await.expect(201);
    fixture
        .merge(&format!("{EVENTS}/recurring"), &recurring)
        .await
        .expect(200);
    drop(fixture);
    let later = start() + Duration::from_mins(45);
    let plane = ControlPlane::start(store, options(later)).await.unwrap();
    let fixture = Fixture::of(plane);
    pass(14).await;
    assert_eq!(names(&fixture).await, ["old", "recurring"]);
    pass(2).await;
    assert_eq!(names(&fixture).await, ["recurring"]);
    pass(30).await;
    assert!(names(&fixture).await.is_empty());
}
