//! What is served, and how it is found.

use axum::body::Body;
use control_plane::Host;
use http::Request;
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use crate::fixture::{Fixture, widgets};

#[tokio::test]
async fn groups_and_resources_are_listed() {
    let fixture = Fixture::new().await;
    let groups = fixture.get("/apis").await.expect(200);
    let names: Vec<_> = groups["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"apps") && names.contains(&"rbac.authorization.k8s.io"));
    let core = fixture.get("/api/v1").await.expect(200);
    let resources = core["resources"].as_array().unwrap();
    let maps = resources
        .iter()
        .find(|resource| resource["name"] == "configmaps")
        .unwrap();
    assert_eq!(
        (&maps["shortNames"], &maps["storageVersionHash"]),
        (&json!(["cm"]), &json!("qFsyl6wFWjQ="))
    );
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let all = fixture.get_as("/apis", accept).await;
    assert_eq!(
        all.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    assert_eq!(all.expect(200)["kind"], "APIGroupDiscoveryList");
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let fixture = Fixture::new().await;
    for path in ["/foo", "/apis/none", "/apis/none/v1", "/apis/none/v1/foos"] {
        let answer = fixture.get(path).await;
        assert_eq!(
            (answer.code, answer.text.as_str()),
            (404, "404 page not found\n"),
            "{path}"
        );
    }
    for path in [
        "/api/v2",
        "/apis/apps/v9",
        "/api/v1/foos",
        "/apis/apps/v1/deployments/x",
    ] {
        let answer = fixture.get(path).await;
        assert_eq!(
            answer.message(),
            "the server could not find the requested resource",
            "{path}"
        );
    }
}

#[tokio::test]
async fn schemas_are_documented() {
    let fixture = Fixture::new().await;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let before = fixture.get("/openapi/v3").await.expect(200);
    fixture.post(crds, &widgets()).await.expect(201);
    let index = fixture.get("/openapi/v3").await.expect(200);
    assert!(before["paths"].get("apis/example.com/v1").is_none());
    let url = index["paths"]["apis/example.com/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    let document = fixture.get(url).await.expect(200);
    assert!(
        document["components"]["schemas"]["com.example.v1.Widget"]["properties"]["metadata"]
            .is_object()
    );
    let document = fixture.get("/openapi/v3/apis/apps/v1").await.expect(200);
    let patch =
        &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert!(patch["parameters"].to_string().contains("fieldValidation"));
    // kubectl reads the old document in protobuf; what it makes of it is in tests/kubectl.rs.
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    assert_eq!(fixture.get_as("/openapi/v2", accept).await.code, 200);
}

#[tokio::test]
async fn many_control_planes_share_a_listener() {
    let (one, two) = (Fixture::new().await, Fixture::new().await);
    let host = Host::new();
    host.insert("one", one.plane.router_for(control_plane::User::admin()));
    host.insert("two", two.plane.router_for(control_plane::User::admin()));
    one.post("/api/v1/namespaces", &json!({"metadata": {"name": "here"}}))
        .await
        .expect(201);
    let code = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = host.router().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        code
    };
    assert_eq!(code("/clusters/one/api/v1/namespaces/here").await, 200);
    assert_eq!(code("/clusters/two/api/v1/namespaces/here").await, 404);
    assert_eq!(code("/clusters/three/api").await, 404);
    host.remove("one");
    assert_eq!(code("/clusters/one/api").await, 404);
}
