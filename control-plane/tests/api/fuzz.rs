//! No request brings the server down, and the store stays in order.

use axum::body::Body;
use http::{Method, Request};
use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Builder;

use crate::fixture::Fixture;

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("api".to_owned()),
        Just("apis".to_owned()),
        Just("v1".to_owned()),
        Just("apps".to_owned()),
        Just("namespaces".to_owned()),
        Just("default".to_owned()),
        Just("configmaps".to_owned()),
        Just("pods".to_owned()),
        Just("deployments".to_owned()),
        Just("customresourcedefinitions".to_owned()),
        Just("apiextensions.k8s.io".to_owned()),
        Just("status".to_owned()),
        Just("scale".to_owned()),
        Just("watch".to_owned()),
        Just("a".to_owned()),
        "[a-z%.-]{0,6}",
    ];
    prop::collection::vec(part, 0..7).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn query() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("labelSelector"),
        Just("fieldSelector"),
        Just("limit"),
        Just("continue"),
        Just("resourceVersion"),
        Just("resourceVersionMatch"),
        Just("dryRun"),
        Just("fieldValidation"),
        Just("fieldManager"),
        Just("propagationPolicy"),
        Just("gracePeriodSeconds"),
        Just("includeObject"),
    ];
    let value = prop_oneof![
        "[ -~]{0,12}".prop_map(|text| text.replace(
            [' ', '#', '"', '<', '>', '`', '{', '}', '|', '\\', '^'],
            "%2C"
        )),
        Just("1".to_owned()),
        Just("All".to_owned()),
        Just("Exact".to_owned()),
        Just("metadata.name%3Da".to_owned()),
    ];
    prop::collection::vec((name, value), 0..3).prop_map(|pairs| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        "[a-z$/.0-9-]{0,8}".prop_map(|value| json!(value)),
    ];
    let name = prop_oneof![
        Just("metadata".to_owned()),
        Just("name".to_owned()),
        Just("spec".to_owned()),
        Just("status".to_owned()),
        Just("data".to_owned()),
        Just("labels".to_owned()),
        Just("finalizers".to_owned()),
        Just("ownerReferences".to_owned()),
        Just("managedFields".to_owned()),
        Just("versions".to_owned()),
        Just("names".to_owned()),
        Just("template".to_owned()),
        Just("containers".to_owned()),
        "[a-z$]{1,6}",
    ];
    let json = leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(|fields| json!(fields)),
        ]
    });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        json.prop_map(|value| value.to_string().into_bytes()),
    ]
}

fn header() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "application/json",
        "application/yaml",
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/vnd.kubernetes.protobuf",
        ";;,=",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_request_is_answered(
        requests in prop::collection::vec((0..7_usize, path(), query(), header(), header(), body()), 1..5),
    ) {
        let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            for (method, path, query, content_type, accept, body) in requests {
                let request = Request::builder()
                    .method(methods[method].clone())
                    .uri(format!("{path}?{query}"))
                    .header("content-type", content_type)
                    .header("accept", accept)
                    .body(Body::from(body));
                // What is no URI never gets here.
                let Ok(request) = request else { continue };
                let answer = fixture.send(request).await;
                assert!(answer.code < 600);
                assert!(answer.code != 500 || !answer.message().contains("can't be"), "{}", answer.text);
            }
            let list = fixture.get("/api/v1/namespaces").await.expect(200);
            assert!(list["items"].as_array().unwrap().len() >= 4);
        });
    }
}
