//! Bad input, from the border of the API to the border of the sizes.

use axum::body::Body;
use http::{Method, Request};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{Answer, Fixture};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MIB: usize = 1024 * 1024;

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

async fn send(fixture: &Fixture, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", kind).body(Body::from(body));
    fixture.send(request.unwrap()).await
}

#[rstest]
#[case(Method::POST, MAPS, "application/json")]
#[case(
    Method::PUT,
    "/api/v1/namespaces/default/configmaps/a",
    "application/json"
)]
#[case(
    Method::PATCH,
    "/api/v1/namespaces/default/configmaps/a",
    "application/merge-patch+json"
)]
#[case(
    Method::PATCH,
    "/api/v1/namespaces/default/configmaps/a",
    "application/apply-patch+yaml"
)]
#[case(
    Method::DELETE,
    "/api/v1/namespaces/default/configmaps/a",
    "application/json"
)]
#[tokio::test]
async fn a_body_over_3_mib_is_too_large(
    #[case] method: Method,
    #[case] path: &str,
    #[case] kind: &str,
) {
    let fixture = Fixture::new().await;
    fixture.post(MAPS, &map("a")).await.expect(201);
    let answer = send(&fixture, method, path, kind, vec![b' '; 3 * MIB + 1]).await;
    assert_eq!(
        (answer.code, answer.message().as_str()),
        (413, "Request entity too large: limit is 3145728")
    );
    assert_eq!(answer.json()["reason"], "RequestEntityTooLarge");
    fixture.get(&format!("{MAPS}/a")).await.expect(200);
}

#[tokio::test]
async fn who_sends_too_much_before_reading_sees_why_it_was_refused() {
    let fixture = Fixture::new().await;
    let mut stream = TcpStream::connect(fixture.listen().await).await.unwrap();
    let length = 16 * MIB;
    let head = format!("POST {MAPS} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(" 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_of_3_mib_is_read() {
    let fixture = Fixture::new().await;
    let mut body = map("a").to_string().into_bytes();
    body.resize(3 * MIB, b' ');
    let answer = send(&fixture, Method::POST, MAPS, "application/json", body).await;
    answer.expect(201);
}

#[tokio::test]
async fn annotations_have_256_kib_at_most() {
    let fixture = Fixture::new().await;
    let annotated = |size: usize| {
        let mut map = map("a");
        // The key has one byte.
        map["metadata"]["annotations"] = json!({"a": "x".repeat(size - 1)});
        map
    };
    let answer = fixture.post(MAPS, &annotated(256 * 1024 + 1)).await;
    assert_eq!(
        (answer.code, answer.message().as_str()),
        (
            422,
            "ConfigMap \"a\" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes"
        )
    );
    let created = fixture.post(MAPS, &annotated(256 * 1024)).await;
    created.expect(201);
    let more = json!({"metadata": {"annotations": {"b": ""}}});
    let answer = fixture.merge(&format!("{MAPS}/a"), &more).await;
    assert_eq!(answer.code, 422, "{}", answer.text);
}

#[tokio::test]
async fn protobuf_is_read_where_it_is_known_and_refused_where_not() {
    let fixture = Fixture::new().await;
    let kind = "application/vnd.kubernetes.protobuf";
    let post = |body: Vec<u8>| send(&fixture, Method::POST, MAPS, kind, body);
    // TypeMeta { v1, ConfigMap }, raw { metadata { name: a } }.
    let known = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x05\x0a\x03\x0a\x01a".to_vec();
    let created = post(known.clone()).await.expect(201);
    assert_eq!(created["metadata"]["name"], "a");
    let unknown = b"k8s\0\x0a\x0c\x0a\x02v9\x12\x06Cheese\x12\x00".to_vec();
    let answer = post(unknown).await;
    assert_eq!(
        (answer.code, answer.json()["reason"].as_str()),
        (415, Some("UnsupportedMediaType"))
    );
    assert_eq!(
        answer.message(),
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml"
    );
    for length in [0, 3, 9, known.len() - 1] {
        let answer = post(known[..length].to_vec()).await;
        assert_eq!(answer.code, 400, "{length}: {}", answer.text);
    }
    // A custom resource has no messages.
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    fixture
        .post(crds, &crate::fixture::widgets())
        .await
        .expect(201);
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    let body = b"k8s\0\x0a\x18\x0a\x0eexample.com/v1\x12\x06Widget\x12\x00".to_vec();
    let answer = send(&fixture, Method::POST, widgets, kind, body).await;
    assert_eq!(answer.code, 415, "{}", answer.text);
}

#[rstest]
#[case(Method::POST, "text/plain", 415)]
#[case(Method::POST, "application/x-www-form-urlencoded", 415)]
#[case(Method::POST, "application/json; charset=utf-8", 201)]
#[case(Method::PUT, "image/png", 415)]
#[case(Method::PATCH, "application/json", 415)]
#[case(Method::PATCH, "", 415)]
#[tokio::test]
async fn a_content_type_says_what_is_sent(
    #[case] method: Method,
    #[case] kind: &str,
    #[case] code: u16,
) {
    let fixture = Fixture::new().await;
    fixture.post(MAPS, &map("a")).await.expect(201);
    let (path, body) = match method {
        Method::POST => (MAPS.to_owned(), map("b")),
        _ => (format!("{MAPS}/a"), map("a")),
    };
    let body = body.to_string().into_bytes();
    let answer = send(&fixture, method, &path, kind, body).await;
    assert_eq!(answer.code, code, "{}", answer.text);
    let reason = answer.json()["reason"].as_str().map(str::to_owned);
    assert!(code == 201 || reason.as_deref() == Some("UnsupportedMediaType"));
}

#[rstest]
#[case("/nothing", 404)]
#[case("/api/v2/pods", 404)]
#[case("/api/v1/cheeses", 404)]
#[case("/apis/none.example.com/v1/things", 404)]
#[case("/apis/apps/v1/namespaces/default/deployments/a/b/c", 404)]
#[case("/api/v1/namespaces/default/configmaps/a/status", 404)]
#[case("/%ff", 400)]
#[tokio::test]
async fn an_unknown_path_is_not_found(#[case] path: &str, #[case] code: u16) {
    let fixture = Fixture::new().await;
    let answer = fixture.get(path).await;
    assert_eq!(answer.code, code, "{}", answer.text);
}

#[rstest]
#[case("A")]
#[case("a_b")]
#[case("-a")]
#[case("a.")]
#[case("a/b")]
#[case("ä")]
#[case(&"a".repeat(254))]
#[tokio::test]
async fn an_invalid_name_is_refused(#[case] name: &str) {
    let fixture = Fixture::new().await;
    let answer = fixture.post(MAPS, &map(name)).await;
    assert_eq!(answer.code, 422, "{}", answer.text);
    let cause = &answer.json()["details"]["causes"][0];
    assert_eq!(
        (&cause["field"], &cause["reason"]),
        (&json!("metadata.name"), &json!("FieldValueInvalid"))
    );
    let list = fixture.get(MAPS).await.expect(200);
    assert_eq!(list["items"], json!([]));
}
