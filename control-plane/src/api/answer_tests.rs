//! Large answers take memory and a turn at the workbench.

use axum::body::Body;
use axum::{Extension, Router};
use http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::serving::Served;
use crate::store::{Options as StoreOptions, Store};
use crate::work::Workbench;
use crate::{ControlPlane, Options};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn plane() -> ControlPlane {
    let store = Store::memory(StoreOptions::default());
    let plane = ControlPlane::start(store, Options::default());
    plane.await.unwrap()
}

/// What comes over a connection with these limits.
fn served(router: Router, limits: &Arc<Limits>) -> Router {
    router.layer(Extension(Served(Arc::clone(limits))))
}

async fn send(router: &Router, method: Method, path: &str, body: &Value) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn get(router: &Router, path: &str) -> Response {
    let request = Request::get(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

fn map(number: usize) -> Value {
    json!({"metadata": {"name": format!("map-{number}")}, "data": {"x": "x".repeat(50_000)}})
}

#[tokio::test(start_paused = true)]
async fn what_a_collection_is_deleted_with_waits_for_memory() {
    let plane = plane().await;
    let limits = Arc::new(Limits::with_answers(1, 1024));
    let admin = plane.router_for(User::admin());
    let role = json!({
        "metadata": {"name": "bob"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin",
        },
        "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let bound = send(&admin, Method::POST, bindings, &role).await;
    assert_eq!(bound.status(), 201);
    for number in 0..32 {
        let made = send(&admin, Method::POST, MAPS, &map(number)).await;
        assert_eq!(made.status(), 201);
    }
    let router = served(plane.router_for(User::new("bob", &[])), &limits);
    let held = get(&router, MAPS).await;
    assert_eq!(held.status(), 200);
    let refused = send(&router, Method::DELETE, MAPS, &Value::Null).await;
    assert_eq!(refused.status(), 429);
    // Nothing was deleted without an answer.
    assert_eq!(get(&admin, &format!("{MAPS}/map-0")).await.status(), 200);
    drop(held);
    let deleted = send(&router, Method::DELETE, MAPS, &Value::Null).await;
    assert_eq!(deleted.status(), 200);
    assert_eq!(get(&admin, &format!("{MAPS}/map-0")).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn large_answers_take_a_turn_at_the_workbench() {
    let plane = plane().await.with_workbench(Workbench::busy());
    let admin = plane.router_for(User::admin());
    let limits = Arc::new(Limits::with_answers(1, 1024));
    let router = served(admin.clone(), &limits);
    for number in 0..2 {
        let made = send(&admin, Method::POST, MAPS, &map(number)).await;
        assert_eq!(made.status(), 201);
    }
    for number in 0..80 {
        let secret = json!({"metadata": {"name": format!("s-{number}"), "labels": {"a": "b"}}});
        let secrets = "/api/v1/namespaces/default/secrets";
        let made = send(&admin, Method::POST, secrets, &secret).await;
        assert_eq!(made.status(), 201);
    }
    for path in [
        MAPS,
        "/api/v1/namespaces/default/secrets?labelSelector=a%3Dc",
        "/openapi/v2",
        "/openapi/v3/apis/apps/v1",
    ] {
        assert_eq!(get(&router, path).await.status(), 429, "{path}");
        assert_eq!(get(&admin, path).await.status(), 200, "{path}");
    }
    for path in [&format!("{MAPS}/map-1"), "/api/v1/namespaces"] {
        assert_eq!(get(&router, path).await.status(), 200, "{path}");
    }
}
