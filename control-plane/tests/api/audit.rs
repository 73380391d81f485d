//! The audit log.

use std::path::PathBuf;

use axum::body::Body;
use control_plane::{Audit, Options, User};
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::Fixture;

struct Audited {
    fixture: Fixture,
    folder: PathBuf,
}

impl Audited {
    async fn new(name: &str, policy: Option<&str>) -> Self {
        let folder = format!("control-plane-audit-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let audit = Audit::open(&folder.join("audit.log"), policy).unwrap();
        let fixture = Fixture::with(Options {
            tokens: [("bob".to_owned(), User::new("bob", &[]))].into(),
            audit: Some(audit.named("hub")),
            ..Options::default()
        })
        .await;
        Self { fixture, folder }
    }

    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("audit.log")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

#[tokio::test]
async fn who_did_what_is_recorded_without_bodies() {
    let audited = Audited::new("metadata", None).await;
    let fixture = &audited.fixture;
    let secret = json!({"metadata": {"name": "a"}, "stringData": {"k": "hunter2"}});
    fixture.post(SECRETS, &secret).await.expect(201);
    fixture.get("/healthz").await;
    let request = Request::get("/api/v1/pods?watch=1")
        .header("authorization", "Bearer bob")
        .header("impersonate-user", "jane");
    let request = request.body(Body::empty()).unwrap();
    fixture.plane.router().oneshot(request).await.unwrap();
    let nobody = Request::get(SECRETS).body(Body::empty()).unwrap();
    fixture.plane.router().oneshot(nobody).await.unwrap();
    let events = audited.events();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            let status = &event["responseStatus"];
            (
                event["user"]["username"].as_str().unwrap(),
                event["verb"].as_str().unwrap(),
                status["code"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("admin", "create", 201),
            ("bob", "watch", 403),
            ("", "list", 401)
        ]
    );
    let mut first = events[0].clone();
    for varying in ["auditID", "requestReceivedTimestamp", "stageTimestamp"] {
        assert!(first[varying].take().is_string(), "{varying}");
    }
    assert_eq!(
        first,
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": null, "stage": "ResponseComplete", "requestURI": SECRETS, "verb": "create",
            "user": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
            "userAgent": "test/1.0",
            "objectRef": {"resource": "secrets", "namespace": "default", "apiVersion": "v1"},
            "responseStatus": {"metadata": {}, "code": 201},
            "requestReceivedTimestamp": null, "stageTimestamp": null,
            "annotations": {"authorization.k8s.io/decision": "allow", "control-plane/name": "hub"},
        })
    );
    assert_eq!(events[1]["responseStatus"]["reason"], "Forbidden");
    let text = std::fs::read_to_string(audited.folder.join("audit.log")).unwrap();
    assert!(!text.contains("hunter2"));
}

#[tokio::test]
async fn a_policy_says_how_much() {
    let policy = "
        apiVersion: audit.k8s.io/v1
        kind: Policy
        rules:
        - {level: None, verbs: [get]}
        - {level: RequestResponse}
    ";
    let audited = Audited::new("policy", Some(policy)).await;
    let fixture = &audited.fixture;
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
    fixture.post(maps, &map).await.expect(201);
    fixture.get(&format!("{maps}/a")).await.expect(200);
    let secret = json!({"metadata": {"name": "a"}, "stringData": {"k": "hunter2"}});
    fixture.post(SECRETS, &secret).await.expect(201);
    let events = audited.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["requestObject"], map);
    assert_eq!(events[0]["responseObject"]["data"], json!({"k": "v"}));
    assert_eq!(events[1]["level"], "Metadata");
    assert_eq!(events[1].get("requestObject"), None);
}
