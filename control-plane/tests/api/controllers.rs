//! What the server sees to by itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use control_plane::{Options, Sources};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::fixture::Fixture;

/// Waits, in virtual time, until an answer has a code.
async fn answers(fixture: &Fixture, path: &str, code: u16) {
    let wait = async {
        while fixture.get(path).await.code != code {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
    assert!(waited.is_ok(), "{path} does not answer with {code}");
}

#[tokio::test(start_paused = true)]
async fn every_namespace_has_a_default_service_account() {
    let fixture = Fixture::new().await;
    let team = json!({"metadata": {"name": "team"}});
    fixture.post("/api/v1/namespaces", &team).await.expect(201);
    let account = "/api/v1/namespaces/team/serviceaccounts/default";
    answers(&fixture, account, 200).await;
    fixture.delete(account).await.expect(200);
    answers(&fixture, account, 200).await;
    answers(&fixture, "/api/v1/namespaces/default/services/kubernetes", 200).await;
}

#[tokio::test(start_paused = true)]
async fn events_are_kept_for_an_hour() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let now = Arc::new(Mutex::new(start));
    let clock = Arc::clone(&now);
    let fixture = Fixture::with(Options {
        sources: Sources {
            clock: Arc::new(move || *clock.lock().unwrap()),
            ..Sources::default()
        },
        ..Options::default()
    })
    .await;
    let events = "/api/v1/namespaces/default/events";
    let event = |name: &str| {
        json!({
            "metadata": {"name": name},
            "involvedObject": {"namespace": "default"},
        })
    };
    fixture.post(events, &event("old")).await.expect(201);
    fixture.post(events, &event("repeated")).await.expect(201);
    *now.lock().unwrap() += SignedDuration::from_mins(40);
    let repeated = format!("{events}/repeated");
    let again = json!({"count": 2});
    fixture.merge(&repeated, &again).await.expect(200);
    *now.lock().unwrap() += SignedDuration::from_mins(40);
    fixture.post(events, &event("new")).await.expect(201);
    answers(&fixture, &format!("{events}/old"), 404).await;
    answers(&fixture, &repeated, 200).await;
    answers(&fixture, &format!("{events}/new"), 200).await;
}
