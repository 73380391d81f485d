//! Clients that go away: what they have asked for comes to its end, with all that follows from it,
//! or was never begun.

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;

use axum::body::Body;
use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options};
use http::{Method, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{Fixture, settle, widgets};

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

/// Connections that end after each byte of a request, and of its answer.
#[tokio::test]
async fn a_connection_that_ends_at_any_byte_leaves_nothing_half_done() {
    let fixture = durable("gone-bytes").await;
    let address = fixture.listen().await;
    let request = |method: &str, path: &str, body: &str| {
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let cut = async |request: &str, sent: usize, read: usize| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let bytes = request.as_bytes();
        let _ = stream.write_all(&bytes[..sent.min(bytes.len())]).await;
        if sent > bytes.len() {
            let mut answer = vec![0; read];
            let _ = stream.read_exact(&mut answer).await;
        }
    };
    let all = |number: usize| {
        let space = namespace(&format!("space-{number}")).to_string();
        request("POST", NAMESPACES, &space)
    };
    let length = all(100).len();
    for sent in 0..=length {
        cut(&all(sent), sent, 0).await;
    }
    for read in 0..length {
        cut(&all(1000 + read), usize::MAX, read).await;
        let kind = definition(read).to_string();
        if read % 16 == 0 {
            cut(&request("POST", DEFINITIONS, &kind), usize::MAX, read).await;
        }
    }
    settled(&fixture).await;
    let spaces = items(&fixture, NAMESPACES).await;
    // Whole requests were done, and parts of one were not.
    assert!(spaces.len() >= length, "{}", spaces.len());
    for (number, space) in spaces.iter().enumerate() {
        let path = format!("{NAMESPACES}/{}", name(space));
        if name(space).starts_with("space-") {
            cut(&request("DELETE", &path, ""), usize::MAX, number).await;
        }
    }
    settled(&fixture).await;
    for space in items(&fixture, NAMESPACES).await {
        assert!(!name(&space).starts_with("space-1"), "{}", name(&space));
    }
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
