//! The recorder against an Event service in memory, in paused time.

use super::*;
use crate::operator::clock::VirtualClock;
use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Events by path, the requests, and what the next requests are answered instead.
#[derive(Clone, Default)]
struct Hub(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    events: BTreeMap<String, Value>,
    failures: VecDeque<StatusCode>,
    requests: usize,
}

impl Hub {
    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Response {
        let mut stored = self.0.lock().unwrap();
        stored.requests += 1;
        if let Some(code) = stored.failures.pop_front() {
            return failure(code);
        }
        let body: Value = serde_json::from_slice(body).unwrap();
        let event = match *method {
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap();
                let path = format!("{path}/{name}");
                assert!(!stored.events.contains_key(&path), "{path}");
                stored.events.entry(path).or_insert(body)
            }
            Method::PATCH => {
                let Some(event) = stored.events.get_mut(path) else {
                    return failure(StatusCode::NOT_FOUND);
                };
                for field in ["count", "lastTimestamp", "message"] {
                    event[field] = body[field].clone();
                }
                event
            }
            _ => panic!("unexpected {method} {path}"),
        };
        event.to_string().into_response()
    }

    /// Path, reason and count of each Event.
    fn events(&self) -> Vec<(String, String, i64)> {
        let stored = self.0.lock().unwrap();
        let row = |(path, event): (&String, &Value)| {
            let reason = event["reason"].as_str().unwrap().to_owned();
            (path.clone(), reason, event["count"].as_i64().unwrap())
        };
        stored.events.iter().map(row).collect()
    }

    fn counts(&self) -> Vec<i64> {
        self.events()
            .into_iter()
            .map(|(_, _, count)| count)
            .collect()
    }
}

fn failure(code: StatusCode) -> Response {
    let reason = if code == StatusCode::NOT_FOUND {
        "NotFound"
    } else {
        "Other"
    };
    let body = json!({"kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code.as_u16()});
    (code, body.to_string()).into_response()
}

fn recorder(hub: &Hub) -> (Recorder, Writer) {
    let hub = hub.clone();
    let router = Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
        let answer = hub.answer(&method, uri.path(), &body);
        async move { answer }
    });
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    let clock = Arc::new(VirtualClock::starting_at(start));
    Recorder::new(
        Client::new(router, "default"),
        "multi-cluster-scheduler",
        "hub-0",
        clock,
        Counter::default(),
    )
}

fn deployment(name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("fogguru.eu/v1".to_owned()),
        kind: Some("MultiClusterDeployment".to_owned()),
        namespace: Some("shop".to_owned()),
        name: Some(name.to_owned()),
        uid: Some(format!("uid-of-{name}")),
        ..ObjectReference::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_news_is_counted_for_ten_minutes() {
    let hub = Hub::default();
    let (recorder, writer) = recorder(&hub);
    let stop = CancellationToken::new();
    let ended = tokio::spawn(writer.run(stop.clone()));
    let minute = Duration::from_mins(1);
    for _ in 0..3 {
        recorder.record(
            deployment("web"),
            EventType::Normal,
            "Placed",
            "2 replicas on fog1",
        );
        sleep(9 * minute).await;
    }
    assert_eq!(hub.counts(), [3]);
    recorder.record(
        deployment("web"),
        EventType::Normal,
        "Placed",
        "3 replicas on fog1",
    );
    recorder.record(
        deployment("db"),
        EventType::Normal,
        "Placed",
        "2 replicas on fog1",
    );
    recorder.record(
        deployment("web"),
        EventType::Warning,
        "Placed",
        "2 replicas on fog1",
    );
    sleep(2 * minute).await;
    recorder.record(
        deployment("web"),
        EventType::Normal,
        "Placed",
        "2 replicas on fog1",
    );
    stop.cancel();
    ended.await.unwrap();
    let mut counts = hub.counts();
    counts.sort_unstable();
    // The last came eleven minutes after the third, and began anew.
    assert_eq!(counts, [1, 1, 1, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn names_are_the_same_in_the_same_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let hub = Hub::default();
        let (recorder, writer) = recorder(&hub);
        recorder.record(deployment("web"), EventType::Normal, "Placed", "once");
        recorder.record(deployment("web"), EventType::Normal, "Ready", "twice");
        let cluster = ObjectReference {
            name: Some("fog1".to_owned()),
            ..ObjectReference::default()
        };
        recorder.record(cluster, EventType::Warning, "Unreachable", "no answer");
        let stop = CancellationToken::new();
        stop.cancel();
        writer.run(stop).await;
        runs.push(hub.events());
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0].len(), 3);
    assert!(
        runs[0][0]
            .0
            .starts_with("/api/v1/namespaces/default/events/fog1."),
        "{runs:?}"
    );
    assert!(
        runs[0][1]
            .0
            .starts_with("/api/v1/namespaces/shop/events/web."),
        "{runs:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_oldest_and_counts_it() {
    let hub = Hub::default();
    let (recorder, writer) = recorder(&hub);
    for number in 0..CAPACITY + 5 {
        recorder.record(
            deployment(&format!("web{number}")),
            EventType::Normal,
            &format!("R{number}"),
            "",
        );
    }
    assert_eq!(recorder.0.dropped.get(), 5);
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(stop).await;
    let events = hub.events();
    assert_eq!(events.len(), CAPACITY);
    assert!(events.iter().all(|(_, reason, _)| reason != "R4"));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_has_much_to_say_has_few_events() {
    let hub = Hub::default();
    let (recorder, writer) = recorder(&hub);
    for number in 0..1000 {
        let note = format!("{number} replicas on fog1");
        recorder.record(deployment("web"), EventType::Normal, "Placed", &note);
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let dropped = recorder.0.clone();
    writer.run(stop).await;
    let mut counts = hub.counts();
    counts.sort_unstable();
    // Nine messages, what was combined, and what was too much.
    assert_eq!(counts, [1, 1, 1, 1, 1, 1, 1, 1, 1, 16]);
    assert_eq!(dropped.dropped.get(), 1000 - 25);
    let stored = hub.0.lock().unwrap();
    let messages: Vec<_> = stored
        .events
        .values()
        .map(|event| &event["message"])
        .collect();
    let combined = "(combined from similar events): 24 replicas on fog1";
    assert!(
        messages.iter().any(|message| *message == combined),
        "{messages:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_hub_is_asked_again_and_a_refusal_is_not() {
    let hub = Hub::default();
    let (recorder, writer) = recorder(&hub);
    let stop = CancellationToken::new();
    let ended = tokio::spawn(writer.run(stop.clone()));
    let busy = StatusCode::TOO_MANY_REQUESTS;
    hub.0.lock().unwrap().failures.extend([busy, busy]);
    recorder.record(deployment("web"), EventType::Normal, "Placed", "");
    sleep(10 * PAUSE).await;
    assert_eq!(hub.counts(), [1]);
    assert_eq!(hub.0.lock().unwrap().requests, 3);

    hub.0
        .lock()
        .unwrap()
        .failures
        .push_back(StatusCode::FORBIDDEN);
    recorder.record(deployment("web"), EventType::Normal, "Placed", "");
    sleep(10 * PAUSE).await;
    assert_eq!(hub.0.lock().unwrap().requests, 4);
    assert_eq!(recorder.0.dropped.get(), 1);

    // Somebody has deleted the Event.
    hub.0.lock().unwrap().events.clear();
    recorder.record(deployment("web"), EventType::Normal, "Placed", "");
    stop.cancel();
    ended.await.unwrap();
    assert_eq!(hub.counts(), [1]);
}

#[test]
fn long_texts_are_cut_between_characters() {
    assert_eq!(cut("fog", 10), "fog");
    assert_eq!(cut("né", 2), "n");
}
