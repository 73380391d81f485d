//! Writes that the hub accepts, and writes that it always refuses: the scheduler against an API server
//! of one object.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use federation::api::FINALIZER;
use federation::operator::access_args::{AccessNamespaces, AccessRules};
use federation::operator::clock::VirtualClock;
use federation::operator::context::{OperatorContext, Substitutes};
use federation::operator::events::Recorder;
use federation::operator::fence::ApiRequests;
use federation::operator::http::Health;
use federation::operator::leader::Leadership;
use federation::operator::network::Network;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::index::FailoverSettings;
use crate::metrics::Metrics;
use crate::runtime::{Options, Scheduler};

const WORDS: &str = "ValidatingAdmissionPolicy 'no' with binding 'no' denied request: failed";
const OBJECT: &str = "/apis/fogguru.eu/v1/namespaces/default/multiclusterdeployments/web";

/// An API server of one object.
struct Hub {
    object: Value,
    /// Writes to a path that ends so get a 422.
    refused: &'static str,
    /// Another writer has put this sequence into the status, which the watch has not said.
    unseen_sequence: Option<i64>,
    /// Another writer puts these finalizers on right before the next JSON patch. The watch says so
    /// late.
    overtaking: Option<Value>,
    /// JSON patches whose test failed.
    untrue: usize,
    writes: Vec<String>,
    events: Vec<Value>,
}

impl Hub {
    fn new(refused: &'static str) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            object: json!({
                "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment",
                "metadata": {
                    "name": "web", "namespace": "default", "uid": "u-1", "resourceVersion": "5", "generation": 1,
                    "annotations": { "fogguru.eu/assignment": forged() },
                },
                "spec": { "replicas": 2, "placementPolicy": "worst_fit", "selector": { "matchLabels": { "app": "web" } }, "template": {} },
                "status": { "decision": { "sequence": 0, "key": "" } },
            }),
            refused,
            unseen_sequence: None,
            overtaking: None,
            untrue: 0,
            writes: Vec::new(),
            events: Vec::new(),
        }))
    }

    /// The object is being deleted, and waits for us.
    fn deleted(refused: &'static str) -> Arc<Mutex<Self>> {
        let hub = Self::new(refused);
        let metadata =
            json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FINALIZER] });
        json_patch::merge(&mut lock(&hub).object["metadata"], &metadata);
        hub
    }

    /// What a watch says in the end.
    fn said_late(&self, path: &str) -> Vec<u8> {
        if self.untrue == 0 || !path.ends_with("/multiclusterdeployments") {
            return Vec::new();
        }
        // The type first, as API servers say it.
        format!("{{\"type\":\"MODIFIED\",\"object\":{}}}\n", self.object).into_bytes()
    }

    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        let object = path.strip_prefix(OBJECT);
        match (method, object) {
            (&Method::GET, Some("")) => (200, self.object.clone()),
            (&Method::PATCH, Some(part)) => {
                self.writes.push(part.to_owned());
                if !self.refused.is_empty() && part == self.refused.trim_start_matches("object") {
                    return (422, failure(422, WORDS));
                }
                self.patch(body)
            }
            (&Method::GET, None) => {
                let items: &[Value] = if path.ends_with("/multiclusterdeployments") {
                    std::slice::from_ref(&self.object)
                } else {
                    &[]
                };
                let list = json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "5" }, "items": items });
                let answer = (200, list.clone());
                if let Some(sequence) = self.unseen_sequence.filter(|_| !items.is_empty()) {
                    self.object["status"]["decision"]["sequence"] = json!(sequence);
                    self.object["metadata"]["resourceVersion"] = json!("6");
                }
                answer
            }
            _ => {
                let event: Value = serde_json::from_slice(body).unwrap_or_default();
                self.events.push(event.clone());
                (201, event)
            }
        }
    }

    fn patch(&mut self, body: &[u8]) -> (u16, Value) {
        let patch: Value = serde_json::from_slice(body).unwrap();
        if let Some(finalizers) = self.overtaking.take_if(|_| patch.is_array()) {
            self.object["metadata"]["finalizers"] = finalizers;
            self.object["metadata"]["resourceVersion"] = json!("6");
        }
        let mut patched = self.object.clone();
        if patch.is_array() {
            let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
            if json_patch::patch(&mut patched, &patch).is_err() {
                self.untrue += 1;
                let words = "the server rejected our request due to an error in our request";
                return (422, failure(422, words));
            }
        } else {
            if patch["metadata"]["resourceVersion"] != self.object["metadata"]["resourceVersion"] {
                return (409, failure(409, "the object has been modified"));
            }
            json_patch::merge(&mut patched, &patch);
        }
        let version: u64 = patched["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        patched["metadata"]["resourceVersion"] = json!((version + 1).to_string());
        self.object = patched;
        (200, self.object.clone())
    }

    fn condition(&self, kind: &str) -> Value {
        let conditions = self.object["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions
            .find(|one| one["type"] == kind)
            .cloned()
            .unwrap_or_default()
    }

    fn rejections(&self) -> usize {
        let rejected = |event: &&Value| event["reason"] == "Rejected";
        let events = self.events.iter().filter(rejected);
        events
            .filter(|event| {
                event["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(WORDS))
            })
            .count()
    }
}

/// A record as the annotation of earlier releases held it, which every editor can write.
fn forged() -> String {
    json!({ "uid": "u-1", "assignment": {
        "decision": { "sequence": 50, "key": "k", "cursor": u64::MAX }, "policy": "worst_fit",
        "placements": [{ "cluster": "cluster3", "replicas": 2, "location": true, "why": "x" }],
        "unplaced": 0, "fallback": null, "obstacle": null,
    } })
    .to_string()
}

fn failure(code: u16, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": code, "message": message })
}

fn client(hub: &Arc<Mutex<Hub>>) -> Client {
    let hub = hub.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let hub = hub.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            if head
                .uri
                .query()
                .is_some_and(|query| query.contains("watch=true"))
            {
                // Nothing is said for long.
                tokio::time::sleep(Duration::from_secs(30)).await;
                let said = lock(&hub).said_late(head.uri.path());
                return Ok(Response::new(Body::from(said)));
            }
            let (code, answer) = lock(&hub).answer(&head.method, head.uri.path(), &body);
            let answer = Response::builder()
                .status(code)
                .body(Body::from(answer.to_string().into_bytes()));
            Ok::<_, std::convert::Infallible>(answer.unwrap())
        }
    });
    Client::new(service, "default")
}

fn lock(hub: &Arc<Mutex<Hub>>) -> MutexGuard<'_, Hub> {
    hub.lock().unwrap()
}

/// The scheduler at work, for so long.
async fn at_work(hub: &Arc<Mutex<Hub>>, time: Duration) -> Registry {
    let options = Options {
        failover: FailoverSettings {
            toleration: Duration::from_mins(5),
            per_minute: 6,
            threshold: 55,
        },
        unschedulable_after: Duration::from_mins(5),
        deletion_grace: Duration::from_secs(20),
        return_after: Duration::from_mins(1),
        reservation: Duration::from_mins(1),
        deadline: Duration::from_secs(10),
        probe_interval: Duration::from_secs(5),
        member_parallel: 4,
        parallel: 4,
        report_delay: Duration::from_millis(300),
    };
    let clock = Arc::new(VirtualClock::starting_at(
        "2026-01-01T00:00:00Z".parse().unwrap(),
    ));
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let (recorder, writer) = Recorder::new(
        client(hub),
        "test",
        "test",
        clock.clone(),
        Counter::default(),
    );
    let context = OperatorContext {
        network: Network::default(),
        hub: client(hub),
        hub_context: None,
        hub_uid: "hub".to_owned(),
        identity: "test".to_owned(),
        leadership: Leadership::always(),
        clock,
        health: Health::new(&[]),
        requests: ApiRequests::default(),
        recorder,
        kubeconfig: None,
        access: AccessRules {
            namespaces: AccessNamespaces::Only(Vec::new()),
            link_local: false,
        },
        deadline: options.deadline,
        concurrent_syncs: options.parallel,
        substitutes: Substitutes::default(),
    };
    let (scheduler, events) = Scheduler::new(&context, options, metrics, None);
    let (cancel, health) = (CancellationToken::new(), Health::new(&[]));
    let work = async {
        tokio::join!(
            Box::pin(scheduler.work(events, &health, &cancel)),
            writer.run(cancel.clone())
        );
    };
    assert!(
        tokio::time::timeout(time, work).await.is_err(),
        "it goes on"
    );
    registry
}

#[tokio::test(start_paused = true)]
async fn the_record_is_written_before_the_finalizer_and_an_annotation_is_none() {
    let hub = Hub::new("");
    at_work(&hub, Duration::from_secs(30)).await;
    let hub = lock(&hub);
    assert_eq!(hub.writes[..2], ["/status", ""], "{:?}", hub.writes);
    assert_eq!(
        hub.object["metadata"]["finalizers"],
        json!(["fogguru.eu/placement"])
    );
    assert_eq!(
        hub.object["metadata"]["annotations"],
        json!({}),
        "it is taken off"
    );
    let status = &hub.object["status"];
    assert_eq!(status["decision"]["sequence"], 1);
    assert_eq!(status["placements"], json!([]), "there is no member");
    assert_eq!(status["unplacedReplicas"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_the_hub_refuses_is_tried_with_patience_and_an_event_says_so() {
    let hub = Hub::new("/status");
    let registry = at_work(&hub, Duration::from_mins(2)).await;
    let hub = lock(&hub);
    assert!((5..=14).contains(&hub.writes.len()), "{:?}", hub.writes);
    assert!(hub.rejections() >= 1, "{:?}", hub.events);
    assert_eq!(
        hub.object["metadata"]["finalizers"],
        Value::Null,
        "nothing is on record"
    );
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains(r#"reconcile_errors_total{step="rejected"}"#),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_that_the_hub_refuses_is_tried_with_patience_and_a_condition_says_so() {
    let hub = Hub::new("object");
    at_work(&hub, Duration::from_mins(2)).await;
    let hub = lock(&hub);
    let finalizer = hub.writes.iter().filter(|part| part.is_empty()).count();
    assert!((5..=14).contains(&finalizer), "{:?}", hub.writes);
    let progressing = hub.condition("Progressing");
    assert_eq!(
        (&progressing["status"], &progressing["reason"]),
        (&json!("False"), &json!("Rejected"))
    );
    assert!(
        progressing["message"].as_str().unwrap().contains(WORDS),
        "{progressing}"
    );
    assert!(hub.rejections() >= 1, "{:?}", hub.events);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_missed_is_no_rejection_the_others_record_goes_on() {
    let hub = Hub::new("");
    lock(&hub).unseen_sequence = Some(7);
    at_work(&hub, Duration::from_secs(30)).await;
    let hub = lock(&hub);
    assert_eq!(hub.rejections(), 0, "{:?}", hub.events);
    assert_eq!(hub.object["status"]["decision"]["sequence"], 8);
    assert!(hub.writes.len() <= 6, "{:?}", hub.writes);
}

#[tokio::test(start_paused = true)]
async fn finalizers_that_changed_meanwhile_are_no_rejection_those_of_others_stay() {
    let hub = Hub::deleted("");
    lock(&hub).overtaking = Some(json!(["example.com/other", FINALIZER]));
    at_work(&hub, Duration::from_mins(2)).await;
    let hub = lock(&hub);
    assert!(hub.untrue >= 1, "{:?}", hub.writes);
    assert_eq!(hub.rejections(), 0, "{:?}", hub.events);
    assert_ne!(hub.condition("Progressing")["reason"], "Rejected");
    assert_eq!(
        hub.object["metadata"]["finalizers"],
        json!(["example.com/other"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_that_must_stay_by_a_rule_of_the_hub_is_a_rejection() {
    let hub = Hub::deleted("object");
    at_work(&hub, Duration::from_mins(2)).await;
    let hub = lock(&hub);
    let finalizer = hub.writes.iter().filter(|part| part.is_empty()).count();
    assert!((2..=14).contains(&finalizer), "{:?}", hub.writes);
    assert_eq!(hub.object["metadata"]["finalizers"], json!([FINALIZER]));
    let progressing = hub.condition("Progressing");
    assert_eq!(progressing["reason"], "Rejected", "{progressing}");
    assert!(
        progressing["message"].as_str().unwrap().contains(WORDS),
        "{progressing}"
    );
    assert!(hub.rejections() >= 1, "{:?}", hub.events);
}
