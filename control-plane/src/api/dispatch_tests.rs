//! What requests over a connection may take together, and how long one may take.

use axum::body::Body;
use axum::{Extension, Router};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::serving::Limits;
use crate::store::fake_disk::FakeDisk;
use crate::store::{Key, Lookup, Options as StoreOptions, Store, WriteError};
use crate::{ControlPlane, Options};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

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

async fn json(response: Response) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

/// Gives bob a cluster role.
async fn bind(admin: &Router, role: &str) {
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": {"name": "bob"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": "bob", "apiGroup": group}],
    });
    let bindings = format!("/apis/{group}/v1/clusterrolebindings");
    let bound = send(admin, Method::POST, &bindings, &binding).await;
    assert_eq!(bound.status(), 201);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_takes_too_long_is_answered_and_still_done() {
    let disk = FakeDisk::default();
    let plane = ControlPlane::start(Store::on_fake(&disk), Options::default());
    let plane = plane.await.unwrap();
    let limits = Arc::new(Limits::with_answers(1, 1024));
    let router = served(plane.router_for(User::new("bob", &[])), &limits);
    bind(&plane.router_for(User::admin()), "cluster-admin").await;
    let key = Key::new("/configmaps", Some("default"), "slow");
    let mut watch = plane
        .store()
        .watch_object(&key, plane.store().revision())
        .unwrap();
    let held = disk.hold();
    let map = json!({"metadata": {"name": "slow"}});
    let answer = send(&router, Method::POST, MAPS, &map).await;
    assert_eq!(answer.status(), 504);
    let status = json(answer).await;
    assert_eq!(status["reason"], "Timeout");
    assert_eq!(
        status["message"],
        "Timeout: request did not complete within the allotted timeout"
    );
    // It is under way all the same, and counts as such.
    assert_eq!(limits.under_way().1, 1);
    assert_eq!(get(&router, &format!("{MAPS}/slow")).await.status(), 404);
    drop(held);
    assert!(watch.next().await.unwrap().is_ok());
    assert_eq!(get(&router, &format!("{MAPS}/slow")).await.status(), 200);
}

#[tokio::test]
async fn a_server_is_ready_again_without_a_write() {
    let disk = FakeDisk::default();
    let plane = ControlPlane::start(Store::on_fake(&disk), Options::default());
    let router = plane.await.unwrap().router_for(User::admin());
    disk.platter().room = Some(30);
    let map = json!({"metadata": {"name": "a"}});
    assert_eq!(send(&router, Method::POST, MAPS, &map).await.status(), 500);
    assert_eq!(get(&router, "/readyz").await.status(), 500);
    disk.platter().room = None;
    let ready = async {
        while get(&router, "/readyz").await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), ready).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lists_that_fill_the_memory_for_answers_wait_and_are_refused() {
    let store = Store::memory(StoreOptions::default());
    let plane = ControlPlane::start(store, Options::default())
        .await
        .unwrap();
    let limits = Arc::new(Limits::with_answers(1, 1024));
    let admin = served(plane.router_for(User::admin()), &limits);
    bind(&admin, "view").await;
    for number in 0..16 {
        let map = json!({
            "metadata": {"name": format!("map-{number}")}, "data": {"x": "x".repeat(100_000)},
        });
        assert_eq!(send(&admin, Method::POST, MAPS, &map).await.status(), 201);
    }
    let router = served(plane.router_for(User::new("bob", &[])), &limits);
    // More than there is memory, and alone.
    let first = get(&router, MAPS).await;
    assert_eq!(first.status(), 200);
    for path in [MAPS.to_owned(), format!("{MAPS}/map-1")] {
        let refused = get(&router, &path).await;
        assert_eq!(refused.status(), 429, "{path}");
        assert_eq!(refused.headers()["retry-after"], "1");
        assert_eq!(json(refused).await["reason"], "TooManyRequests");
    }
    // What is small, administrators and watches are let in.
    let namespaces = get(&router, "/api/v1/namespaces").await;
    assert_eq!(namespaces.status(), 200);
    assert_eq!(get(&admin, MAPS).await.status(), 200);
    assert_eq!(get(&router, &format!("{MAPS}?watch=1")).await.status(), 200);
    // Once it is read, it takes nothing.
    assert_eq!(json(first).await["items"].as_array().unwrap().len(), 16);
    assert_eq!(get(&router, MAPS).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_must_go_on_passes_while_all_places_are_taken() {
    let store = Store::memory(StoreOptions::default());
    let plane = ControlPlane::start(store, Options::default()).await;
    let plane = plane.unwrap();
    let limits = Arc::new(Limits::with_answers(1, 1024));
    let admin = served(plane.router_for(User::admin()), &limits);
    bind(&admin, "cluster-admin").await;
    let bob = served(plane.router_for(User::new("bob", &[])), &limits);
    let anonymous = served(plane.router(), &limits);
    let mut held = Vec::new();
    for sort in [Sort::Reading, Sort::Writing] {
        while let Ok(place) = limits.enter(sort) {
            held.push(place);
        }
    }
    let object = |name: &str| json!({"metadata": {"name": name}});
    for refused in [
        get(&bob, MAPS).await,
        get(&bob, "/apis").await,
        send(&bob, Method::POST, MAPS, &object("a")).await,
        send(&bob, Method::DELETE, &format!("{MAPS}/a"), &json!({})).await,
    ] {
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        let status = json(refused).await;
        assert_eq!(status["reason"], "TooManyRequests");
        assert_eq!(status["details"]["retryAfterSeconds"], 1);
    }
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = send(&bob, Method::POST, leases, &object("a")).await;
    assert_eq!(lease.status(), 201);
    let path = format!("{leases}/a");
    let renewed = send(&bob, Method::PUT, &path, &json(lease).await).await;
    assert_eq!(renewed.status(), 200);
    assert_eq!(get(&bob, &path).await.status(), 200);
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(get(&anonymous, path).await.status(), 200, "{path}");
    }
    let watched = get(&bob, &format!("{MAPS}?watch=1")).await;
    assert_eq!(watched.status(), 200);
    let made = send(&admin, Method::POST, MAPS, &object("a")).await;
    assert_eq!(made.status(), 201);
    assert_eq!(get(&admin, MAPS).await.status(), 200);
    drop(held);
    assert_eq!(get(&bob, MAPS).await.status(), 200);
    let deleted = send(&bob, Method::DELETE, &format!("{MAPS}/a"), &json!({})).await;
    assert_eq!(deleted.status(), 200);
}

#[tokio::test]
async fn a_server_whose_writer_has_ended_is_not_alive() {
    let plane = ControlPlane::start(Store::on_fake(&FakeDisk::default()), Options::default());
    let plane = plane.await.unwrap();
    let router = plane.router_for(User::admin());
    assert_eq!(get(&router, "/livez").await.status(), 200);
    let key = Key::new("/configmaps", Some("default"), "a");
    let panics = Box::new(|_: &dyn Lookup, _: &mut Value| panic!("of the test"));
    let refused = plane.store().create_checked(key, json!({}), panics).await;
    assert!(matches!(refused, Err(WriteError::Closed)));
    let ended = async {
        while get(&router, "/livez").await.status() != 500 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), ended).await.unwrap();
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(get(&router, path).await.status(), 500, "{path}");
    }
    // What is there can be read, and nothing can be written.
    assert_eq!(get(&router, MAPS).await.status(), 200);
    let map = json!({"metadata": {"name": "b"}});
    let refused = send(&router, Method::POST, MAPS, &map).await;
    assert_eq!(refused.status(), 500);
}
