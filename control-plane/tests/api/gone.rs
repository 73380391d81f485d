//! Clients that go away: what they have asked for comes to its end, with all that follows from it,
//! or was never begun. So it does when the control plane itself goes away.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;

use axum::body::Body;
use control_plane::store::{Key, Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options};
use http::{Method, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{Fixture, settle, widgets};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const NAMESPACES: &str = "/api/v1/namespaces";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A control plane whose writes wait for a disk.
pub async fn durable(name: &str) -> Fixture {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    let store = Store::open(&folder, StoreOptions::default()).unwrap();
    let plane = ControlPlane::start(store, Options::default()).await;
    Fixture::of(plane.unwrap())
}

fn namespace(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

/// A definition of a kind of its own.
fn definition(number: usize) -> Value {
    let mut definition = widgets();
    definition["metadata"]["name"] = json!(format!("widgets{number}.example.com"));
    definition["spec"]["names"] =
        json!({"plural": format!("widgets{number}"), "kind": format!("Widget{number}")});
    definition
}

/// Works on something so many times, and then no more.
async fn abandon(work: impl Future, polls: usize) {
    let mut work = pin!(work);
    for _ in 0..polls {
        let done = poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await;
        if done {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn items(fixture: &Fixture, path: &str) -> Vec<Value> {
    let list = fixture.get(path).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// What hangs: what a control plane sees to itself, and has not.
async fn hanging(fixture: &Fixture) -> Vec<String> {
    let mut hanging = Vec::new();
    for namespace in items(fixture, NAMESPACES).await {
        let name = name(&namespace);
        if namespace["metadata"]["deletionTimestamp"].is_string() {
            hanging.push(format!("namespace {name} is Terminating"));
            continue;
        }
        let account = format!("{NAMESPACES}/{name}/serviceaccounts/default");
        if fixture.get(&account).await.code != 200 {
            hanging.push(format!("namespace {name} has no default service account"));
        }
    }
    for definition in items(fixture, DEFINITIONS).await {
        let conditions = definition["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let established = conditions
            .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
        let going = definition["metadata"]["deletionTimestamp"].is_string();
        if going || !established {
            hanging.push(format!("definition {} hangs", name(&definition)));
        }
    }
    hanging
}

/// Waits until nothing hangs.
async fn settled(fixture: &Fixture) {
    let wrong = async || {
        let hanging = hanging(fixture).await;
        (!hanging.is_empty()).then(|| format!("{hanging:#?}"))
    };
    settle(wrong).await;
}

/// Requests that are dropped at each of their await points.
#[tokio::test]
async fn what_was_committed_has_its_consequences_whoever_waits() {
    const POINTS: usize = 8;
    let fixture = durable("gone-points").await;
    for polls in 0..POINTS {
        let space = namespace(&format!("space-{polls}"));
        abandon(fixture.post(NAMESPACES, &space), polls).await;
        abandon(fixture.post(DEFINITIONS, &definition(polls)), polls).await;
    }
    settled(&fixture).await;
    assert!(items(&fixture, NAMESPACES).await.len() > 4);
    assert!(!items(&fixture, DEFINITIONS).await.is_empty());
    for polls in 0..POINTS {
        let space = format!("{NAMESPACES}/space-{polls}");
        fixture
            .post(&format!("{space}/configmaps"), &namespace("a"))
            .await;
        abandon(fixture.delete(&space), polls).await;
        let definition = format!("{DEFINITIONS}/widgets{polls}.example.com");
        abandon(fixture.delete(&definition), polls).await;
    }
    settled(&fixture).await;
    let last = format!("{NAMESPACES}/space-{}", POINTS - 1);
    fixture.until(&last, 404).await;
}

/// A request as it goes over a connection of its own.
fn request(method: &str, path: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Sends so many bytes of a request; if that is all of it, reads so many bytes of the answer. Then
/// the connection ends.
async fn cut(address: SocketAddr, request: &str, sent: usize, read: usize) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let bytes = request.as_bytes();
    let _ = stream.write_all(&bytes[..sent.min(bytes.len())]).await;
    if sent >= bytes.len() {
        let mut answer = vec![0; read];
        let _ = stream.read_exact(&mut answer).await;
    }
}

/// How many bytes the answer to a request has.
async fn length_of_answer(address: SocketAddr, request: &str) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 20"), "{text}");
    answer.len()
}

/// Connections that end after each byte of a request, and of its answer.
#[tokio::test]
async fn a_connection_that_ends_at_any_byte_leaves_nothing_half_done() {
    let fixture = durable("gone-bytes").await;
    let address = fixture.listen().await;
    let all = |name: &str| {
        let space = namespace(name).to_string();
        request("POST", NAMESPACES, JSON, &space)
    };
    let length = all("part-100").len();
    for sent in 0..length {
        cut(address, &all(&format!("part-{}", 100 + sent)), sent, 0).await;
    }
    let answer = length_of_answer(address, &all("measured")).await;
    for read in 0..=answer {
        cut(address, &all(&format!("space-{read}")), usize::MAX, read).await;
    }
    settled(&fixture).await;
    // Whole requests were done, and parts of one were not.
    let spaces = items(&fixture, NAMESPACES).await;
    let count = |start: &str| {
        let names = spaces.iter().map(name);
        names.filter(|name| name.starts_with(start)).count()
    };
    assert_eq!((count("space-"), count("part-")), (answer + 1, 0));
    for read in 0..=answer {
        let path = format!("{NAMESPACES}/space-{read}");
        cut(
            address,
            &request("DELETE", &path, JSON, ""),
            usize::MAX,
            read,
        )
        .await;
    }
    let left = async || {
        let spaces = items(&fixture, NAMESPACES).await;
        let space = spaces
            .iter()
            .find(|space| name(space).starts_with("space-"));
        space.map(|space| format!("{} is left", name(space)))
    };
    settle(left).await;
}

/// A change of an object's annotation `number`, as a request.
async fn change(
    fixture: &Fixture,
    path: &str,
    (method, kind): (&str, &str),
    number: usize,
) -> String {
    let annotations = json!({"number": number.to_string()});
    let object = fixture.get(path).await.expect(200);
    let mut body = json!({"metadata": {"annotations": annotations}});
    match (method, kind) {
        ("PUT", _) => {
            body = object;
            body["metadata"]["annotations"] = annotations;
        }
        (_, MERGE) => {}
        _ => {
            for field in ["apiVersion", "kind"] {
                body[field] = object[field].clone();
            }
            body["metadata"]["name"] = object["metadata"]["name"].clone();
        }
    }
    let path = if kind == APPLY {
        format!("{path}?fieldManager=m&force=true")
    } else {
        path.to_owned()
    };
    request(method, &path, kind, &body.to_string())
}

/// Writes an object in all ways, cutting each request and each answer at every so many bytes.
async fn cut_writes(fixture: &Fixture, folder: &str, object: &Value, stride: usize) {
    let address = fixture.listen().await;
    let path = format!("{folder}/{}", name(object));
    let create = request("POST", folder, JSON, &object.to_string());
    let delete = request("DELETE", &path, JSON, "");
    let parts = async |write: &str| {
        let before = fixture.get(&path).await;
        for sent in (0..write.len()).step_by(stride) {
            cut(address, write, sent, 0).await;
        }
        let after = fixture.get(&path).await;
        assert_eq!((after.code, after.text), (before.code, before.text));
    };
    parts(&create).await;
    fixture.post(folder, object).await.expect(201);
    let mut number = 0;
    for how in [("PUT", JSON), ("PATCH", MERGE), ("PATCH", APPLY)] {
        number += 1;
        parts(&change(fixture, &path, how, usize::MAX).await).await;
        let write = change(fixture, &path, how, number).await;
        let answer = length_of_answer(address, &write).await;
        for read in (0..answer).step_by(stride) {
            number += 1;
            let write = change(fixture, &path, how, number).await;
            cut(address, &write, usize::MAX, read).await;
            let wanted = json!(number.to_string());
            let wrong = async || {
                let found = fixture.get(&path).await.expect(200);
                let found = &found["metadata"]["annotations"]["number"];
                (*found != wanted).then(|| format!("{found}, not {wanted}: {how:?}"))
            };
            settle(wrong).await;
        }
    }
    parts(&delete).await;
    let answer = length_of_answer(address, &delete).await;
    fixture.until(&path, 404).await;
    for read in (0..answer).step_by(stride) {
        cut(address, &create, usize::MAX, read).await;
        fixture.until(&path, 200).await;
        cut(address, &delete, usize::MAX, read).await;
        fixture.until(&path, 404).await;
    }
}

#[tokio::test]
async fn a_write_is_done_wherever_its_answer_is_cut() {
    let fixture = durable("gone-answers").await;
    let maps = "/api/v1/namespaces/default/configmaps";
    cut_writes(&fixture, maps, &namespace("map"), 5).await;
    cut_writes(&fixture, DEFINITIONS, &definition(0), 41).await;
    settled(&fixture).await;
}

/// Deletions of collections and evictions are several writes.
#[tokio::test]
async fn a_collection_is_deleted_to_its_end() {
    let fixture = durable("gone-collection").await;
    let maps = "/api/v1/namespaces/default/configmaps";
    for number in 0..20 {
        let map = namespace(&format!("map-{number}"));
        fixture.post(maps, &map).await.expect(201);
    }
    abandon(fixture.delete(maps), 2).await;
    for number in 0..20 {
        fixture.until(&format!("{maps}/map-{number}"), 404).await;
    }
}

#[tokio::test]
async fn services_that_are_made_at_once_get_addresses_and_ports_of_their_own() {
    const SERVICES: usize = 40;
    let fixture = durable("gone-services").await;
    let services = "/api/v1/namespaces/default/services";
    let made = (0..SERVICES).map(|number| {
        let service = json!({
            "metadata": {"name": format!("service-{number}")},
            "spec": {"type": "NodePort", "ports": [{"port": 80}]},
        });
        let fixture = &fixture;
        async move { fixture.post(services, &service).await.expect(201) }
    });
    let made = futures::future::join_all(made).await;
    let distinct = |pointer: &str| {
        let all = made.iter().map(|service| service.pointer(pointer).unwrap());
        all.map(Value::to_string)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    assert_eq!(distinct("/spec/clusterIP"), SERVICES);
    assert_eq!(distinct("/spec/clusterIPs/0"), SERVICES);
    assert_eq!(distinct("/spec/ports/0/nodePort"), SERVICES);
    // An address that two want at once goes to one of them.
    let wanted = (0..2).map(|number| {
        let service = json!({
            "metadata": {"name": format!("wanted-{number}")},
            "spec": {"clusterIP": "10.96.100.1", "ports": [{"port": 80}]},
        });
        let fixture = &fixture;
        async move { fixture.post(services, &service).await.code }
    });
    let mut codes = futures::future::join_all(wanted).await;
    codes.sort_unstable();
    assert_eq!(codes, [201, 422]);
}

fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap();
    text.parse().unwrap()
}

#[tokio::test]
async fn what_is_going_takes_nothing_that_was_on_its_way() {
    let fixture = durable("gone-going").await;
    let space = format!("{NAMESPACES}/space");
    fixture
        .post(NAMESPACES, &namespace("space"))
        .await
        .expect(201);
    fixture.post(DEFINITIONS, &definition(0)).await.expect(201);
    let maps = format!("{space}/configmaps");
    let widgets = "/apis/example.com/v1/namespaces/default/widgets0";
    let widget = |number: usize| {
        json!({
            "apiVersion": "example.com/v1", "kind": "Widget0",
            "metadata": {"name": format!("widget-{number}")},
        })
    };
    let made = (0..20).map(|number| {
        let map = namespace(&format!("map-{number}"));
        let (fixture, maps, widget) = (&fixture, &maps, widget(number));
        async move {
            (
                fixture.post(maps, &map).await,
                fixture.post(widgets, &widget).await,
            )
        }
    });
    let definition = format!("{DEFINITIONS}/widgets0.example.com");
    let (space, definition, made) = tokio::join!(
        fixture.delete(&space),
        fixture.delete(&definition),
        futures::future::join_all(made),
    );
    let (space, definition) = (
        version(&space.expect(200)),
        version(&definition.expect(200)),
    );
    for (map, widget) in made {
        for (answer, marked) in [(map, space), (widget, definition)] {
            match answer.code {
                201 => assert!(version(&answer.json()) < marked, "{}", answer.text),
                code => assert!(matches!(code, 403 | 404), "{}", answer.text),
            }
        }
    }
    fixture.until(&format!("{NAMESPACES}/space"), 404).await;
    assert!(items(&fixture, "/api/v1/configmaps").await.is_empty());
}

/// A request that is given up before its body has come is not done.
#[tokio::test]
async fn half_a_body_is_no_request() {
    let fixture = Fixture::new().await;
    let chunks = futures::stream::iter([
        Ok(r#"{"metadata": {"name": "space"}}"#),
        Err(std::io::Error::other("gone")),
    ]);
    let request = Request::builder()
        .method(Method::POST)
        .uri(NAMESPACES)
        .header("content-type", "application/json")
        .body(Body::from_stream(chunks))
        .unwrap();
    assert_eq!(fixture.send(request).await.code, 400);
    fixture
        .get(&format!("{NAMESPACES}/space"))
        .await
        .expect(404);
}

/// A controller that has fallen too far behind begins with what is there.
#[tokio::test]
async fn what_was_written_too_fast_to_be_followed_has_its_consequences() {
    let options = StoreOptions {
        backlog: 2,
        ..StoreOptions::default()
    };
    let plane = ControlPlane::start(Store::memory(options), Options::default()).await;
    let fixture = Fixture::of(plane.unwrap());
    let made = (0..50).map(|number| {
        let (fixture, space) = (&fixture, namespace(&format!("space-{number}")));
        async move {
            fixture.post(NAMESPACES, &space).await.expect(201);
            fixture
                .post(DEFINITIONS, &definition(number))
                .await
                .expect(201);
        }
    });
    futures::future::join_all(made).await;
    settled(&fixture).await;
    let gone = (0..50).map(|number| {
        let (fixture, space) = (&fixture, format!("{NAMESPACES}/space-{number}"));
        async move { fixture.delete(&space).await.expect(200) }
    });
    futures::future::join_all(gone).await;
    settled(&fixture).await;
}

/// An object as it is stored, with metadata of its own.
fn stored(group_version: &str, kind: &str, mut object: Value, more: &Value) -> Value {
    object["apiVersion"] = json!(group_version);
    object["kind"] = json!(kind);
    let name = name(&object).to_owned();
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.insert("uid".to_owned(), json!(format!("uid-of-{name}")));
    metadata.insert("creationTimestamp".to_owned(), json!(WRITTEN));
    metadata.extend(more.as_object().unwrap().clone());
    object
}

/// When the objects of a store were written, and deleted.
const WRITTEN: &str = "2026-01-01T00:00:00Z";

fn in_space(space: &str) -> Value {
    json!({"namespace": space})
}

/// What a control plane leaves behind that ends after each first write of several: by table,
/// namespace and name.
fn half_done() -> Vec<(&'static str, Option<&'static str>, Value)> {
    let space = |name: &str, more: &Value| {
        let mut space = namespace(name);
        space["spec"] = json!({"finalizers": ["kubernetes"]});
        space["status"] = json!({"phase": "Active"});
        stored("v1", "Namespace", space, more)
    };
    let map = |name: &str, more: &Value| {
        let mut more = more.clone();
        more["namespace"] = more.get("namespace").cloned().unwrap_or(json!("default"));
        stored("v1", "ConfigMap", namespace(name), &more)
    };
    let deleted = |finalizers: &[&str]| match finalizers {
        [] => json!({"deletionTimestamp": WRITTEN}),
        some => json!({"deletionTimestamp": WRITTEN, "finalizers": some}),
    };
    let owned_by = |owner: &str, blocks: bool| {
        let owner = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner,
            "uid": format!("uid-of-{owner}"), "blockOwnerDeletion": blocks,
        });
        json!({"ownerReferences": [owner]})
    };
    let kind = |number: usize, more: &Value| {
        let kind = definition(number);
        stored(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            kind,
            more,
        )
    };
    let widget = |number: usize, name: &str, space: &str| {
        let kind = format!("Widget{number}");
        stored("example.com/v1", &kind, namespace(name), &in_space(space))
    };
    let (default, going) = (Some("default"), Some("going"));
    let (spaces, maps) = ("/namespaces", "/configmaps");
    let kinds = "apiextensions.k8s.io/customresourcedefinitions";
    vec![
        (spaces, None, space("new", &json!({}))),
        (spaces, None, space("going", &deleted(&[]))),
        (maps, going, map("content", &in_space("going"))),
        ("example.com/widgets0", going, widget(0, "content", "going")),
        (kinds, None, kind(0, &json!({}))),
        (
            "example.com/widgets0",
            default,
            widget(0, "kept", "default"),
        ),
        (
            kinds,
            None,
            kind(1, &deleted(&["customresourcecleanup.apiextensions.k8s.io"])),
        ),
        (
            "example.com/widgets1",
            default,
            widget(1, "lost", "default"),
        ),
        (maps, default, map("orphan", &owned_by("nobody", false))),
        (
            maps,
            default,
            map("owner", &deleted(&["foregroundDeletion"])),
        ),
        (maps, default, map("dependent", &owned_by("owner", true))),
        (maps, default, map("leaving", &deleted(&["orphan"]))),
        (maps, default, map("stays", &owned_by("leaving", false))),
    ]
}

/// Whoever wrote it, and whenever.
#[tokio::test]
async fn what_was_half_done_is_finished_after_a_restart() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gone-restart");
    let _ = std::fs::remove_dir_all(&folder);
    let open = || Store::open(&folder, StoreOptions::default()).unwrap();
    let store = open();
    for (table, space, object) in half_done() {
        let key = Key::new(table, space, name(&object));
        store.create(key, object).await.unwrap();
    }
    drop(store);
    let plane = ControlPlane::start(open(), Options::default()).await;
    let fixture = Fixture::of(plane.unwrap());
    // What is defined is served from the start.
    let widgets = "/apis/example.com/v1/namespaces/default/widgets0";
    fixture.get(&format!("{widgets}/kept")).await.expect(200);
    settled(&fixture).await;
    fixture
        .get(&format!("{NAMESPACES}/new/serviceaccounts/default"))
        .await
        .expect(200);
    let maps = format!("{NAMESPACES}/default/configmaps");
    for gone in [
        format!("{NAMESPACES}/going"),
        format!("{NAMESPACES}/going/configmaps/content"),
        "/apis/example.com/v1/namespaces/going/widgets0/content".to_owned(),
        format!("{DEFINITIONS}/widgets1.example.com"),
        format!("{maps}/orphan"),
        format!("{maps}/owner"),
        format!("{maps}/dependent"),
        format!("{maps}/leaving"),
    ] {
        fixture.until(&gone, 404).await;
    }
    let stays = fixture.get(&format!("{maps}/stays")).await.expect(200);
    assert_eq!(stays["metadata"].get("ownerReferences"), None);
    // Of the kind that is gone nothing is stored.
    let lost = Key::new("example.com/widgets1", Some("default"), "lost");
    assert!(fixture.plane.store().get(&lost).is_none());
}
