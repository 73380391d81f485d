//! Lists and watches with one object among many that cannot be read, as an API server sends them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject};
use kube::client::Body;
use kube::runtime::watcher::Event;
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::watching::watch_with;
use super::*;

fn read<K: DeserializeOwned>(object: &Value) -> Read<K> {
    serde_json::from_str::<Item<K>>(&object.to_string())
        .unwrap()
        .0
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "default", "uid": format!("uid-of-{name}"), "resourceVersion": "7" },
        "spec": { "containers": [{ "name": "c" }] },
    })
}

#[test]
fn what_can_be_read_of_metadata_is() {
    let mut object = pod("web");
    object["metadata"]["labels"] = json!({ "app": "x", "team": null });
    object["metadata"]["finalizers"] = json!([null, "a/b"]);
    object["metadata"]["generation"] = json!(9_223_372_036_854_775_808_u64);
    let unreadable = read::<DynamicObject>(&object).unwrap_err();
    assert_eq!(unreadable.metadata.name.as_deref(), Some("web"));
    assert_eq!(unreadable.metadata.resource_version.as_deref(), Some("7"));
    assert!(
        unreadable.problem.contains("metadata."),
        "{}",
        unreadable.problem
    );
    assert!(
        unreadable.problem.contains("2 more"),
        "{}",
        unreadable.problem
    );
    let mended: DynamicObject = unreadable.mended().unwrap();
    assert_eq!(
        mended.labels(),
        &BTreeMap::from([("app".to_owned(), "x".to_owned())])
    );
    assert_eq!(mended.finalizers(), ["a/b"]);
    assert_eq!(mended.data["spec"]["containers"][0]["name"], "c");
}

#[test]
fn what_is_wrong_elsewhere_cannot_be_mended_and_is_not_repeated() {
    let mut object = pod("web");
    object["spec"]["activeDeadlineSeconds"] = json!("hunter2");
    let unreadable = read::<Pod>(&object).unwrap_err();
    assert_eq!(unreadable.metadata.uid.as_deref(), Some("uid-of-web"));
    assert!(unreadable.mended::<Pod>().is_none());
    assert!(
        !unreadable.problem.contains("hunter2"),
        "{}",
        unreadable.problem
    );
    // Not even an object, or nested deeper than anything reads: still an item of its own.
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in ["5", "null", r#"{"metadata":5}"#, deep.as_str()] {
        assert!(serde_json::from_str::<Item<Pod>>(text).unwrap().0.is_err());
    }
}

/// An API server of pods: a list, and then one watch that sends these lines and stays open.
fn server(list: Value, lines: Vec<String>) -> Client {
    let lines = Arc::new(Mutex::new(Some(lines)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let (list, lines) = (list.clone(), lines.clone());
        async move {
            let body = if query.contains("watch=true") {
                let sent = lines.lock().unwrap().take().unwrap_or_default();
                if sent.is_empty() {
                    // Nothing more happens.
                    tokio::time::sleep(Duration::from_hours(1)).await;
                }
                sent.concat()
            } else {
                list.to_string()
            };
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(body.into_bytes())))
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn one_unreadable_object_stops_nobody() {
    let mut bad = pod("bad");
    bad["spec"]["terminationGracePeriodSeconds"] = json!(9_223_372_036_854_775_808_u64);
    let list = json!({
        "apiVersion": "v1", "kind": "PodList", "metadata": { "resourceVersion": "10" },
        "items": [pod("a"), bad, pod("b")],
    });
    let line =
        |kind: &str, object: &Value| format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
    let lines = vec![
        line("MODIFIED", &bad),
        line("MODIFIED", &pod("a")),
        line("DELETED", &bad),
        line("ADDED", &pod("c")),
    ];
    let api: Api<Item<Pod>> = Api::all(server(list, lines));
    let cancel = CancellationToken::new();
    let mut seen = Vec::new();
    let mut failures = 0;
    let handle = |event: Event<Read<Pod>>| {
        let name = |object: &Read<Pod>| {
            let text = if object.is_ok() { "" } else { "?" };
            format!(
                "{}{text}",
                metadata(object).name.clone().unwrap_or_default()
            )
        };
        seen.push(match &event {
            Event::Init => "list".to_owned(),
            Event::InitApply(object) => name(object),
            Event::InitDone => "listed".to_owned(),
            Event::Apply(object) => format!("+{}", name(object)),
            Event::Delete(object) => format!("-{}", name(object)),
        });
        if seen.last().is_some_and(|last| last == "+c") {
            cancel.cancel();
        }
    };
    watch_with(api, handle, |_| failures += 1, &cancel).await;
    assert_eq!(
        seen,
        [
            "list", "a", "bad?", "b", "listed", "+bad?", "+a", "-bad?", "+c"
        ]
    );
    assert_eq!(failures, 0);
}
