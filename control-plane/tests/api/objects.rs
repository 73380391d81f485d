//! Creating, changing and deleting.

use std::time::Duration;

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Fixture, widgets};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": "1"}})
}

#[rstest]
#[case(
    "",
    400,
    "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"
)]
#[case(
    "x",
    400,
    "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'x' looking for beginning of value (78)"
)]
#[case(
    "{}",
    422,
    "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"
)]
#[case(
    r#"{"kind": "Pod", "apiVersion": "v1"}"#,
    400,
    "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion"
)]
#[case(
    r#"{"kind": "Foo", "apiVersion": "v1"}"#,
    400,
    "Foo in version \"v1\" cannot be handled as a ConfigMap: no kind \"Foo\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:110\""
)]
#[case(
    r#"{"metadata": {"name": "a", "namespace": "b"}}"#,
    400,
    "the namespace of the provided object does not match the namespace sent on the request"
)]
#[case(
    r#"{"metadata": {"name": "a"}, "data": {"x": 1}}"#,
    400,
    "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
)]
#[case(
    r#"{"metadata": {"name": "a", "resourceVersion": "5"}}"#,
    500,
    "resourceVersion should not be set on objects to be created"
)]
#[tokio::test]
async fn what_is_wrong_is_refused(#[case] body: &str, #[case] code: u16, #[case] message: &str) {
    let fixture = Fixture::new().await;
    let answer = fixture
        .call(Method::POST, MAPS, "application/json", body)
        .await;
    assert_eq!((answer.code, answer.message().as_str()), (code, message));
}

#[tokio::test]
async fn a_namespace_must_be_there() {
    let fixture = Fixture::new().await;
    let answer = fixture
        .post("/api/v1/namespaces/none/configmaps", &map("a"))
        .await;
    assert_eq!(answer.message(), "namespaces \"none\" not found");
}

#[tokio::test]
async fn unknown_fields_are_refused_or_reported() {
    let fixture = Fixture::new().await;
    let body = r#"{"metadata": {"name": "a", "foo": 1}, "data": {"x": "1", "x": "2"}, "zip": 1}"#;
    let path = format!("{MAPS}?fieldValidation=Strict");
    let answer = fixture
        .call(Method::POST, &path, "application/json", body)
        .await;
    assert_eq!(
        answer.message(),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"metadata.foo\", duplicate field \"data.x\", unknown field \"zip\""
    );
    let answer = fixture
        .call(Method::POST, MAPS, "application/json", body)
        .await;
    let warnings: Vec<_> = answer.headers.get_all("warning").iter().collect();
    assert_eq!(
        warnings,
        [
            "299 - \"unknown field \\\"metadata.foo\\\"\"",
            "299 - \"duplicate field \\\"data.x\\\"\"",
            "299 - \"unknown field \\\"zip\\\"\"",
        ]
    );
    assert_eq!(answer.expect(201)["data"], json!({"x": "2"}));
}

#[tokio::test]
async fn an_update_names_what_it_replaces() {
    let fixture = Fixture::new().await;
    let path = format!("{MAPS}/a");
    let first = fixture.post(MAPS, &map("a")).await.expect(201);
    let mut second = first.clone();
    second["data"]["x"] = json!("2");
    let second = fixture.put(&path, &second).await.expect(200);
    let mut stale = first.clone();
    stale["data"]["x"] = json!("3");
    let answer = fixture.put(&path, &stale).await;
    assert_eq!(
        answer.message(),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let again = fixture.put(&path, &second).await.expect(200);
    assert_eq!(
        again["metadata"]["resourceVersion"],
        second["metadata"]["resourceVersion"]
    );
    let answer = fixture.put(&format!("{MAPS}/b"), &second).await;
    assert_eq!(
        answer.message(),
        "the name of the object (a) does not match the name on the URL (b)"
    );
}

#[tokio::test]
async fn a_dry_run_leaves_nothing() {
    let fixture = Fixture::new().await;
    let created = fixture
        .post(&format!("{MAPS}?dryRun=All"), &map("a"))
        .await
        .expect(201);
    assert!(created["metadata"]["uid"].is_string());
    fixture.get(&format!("{MAPS}/a")).await.expect(404);
}

#[tokio::test]
async fn the_generation_counts_the_spec() {
    let fixture = Fixture::new().await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    });
    fixture.post(path, &deployment).await.expect(201);
    let path = format!("{path}/d");
    let generation = |value: Value| value["metadata"]["generation"].as_i64().unwrap();
    let changed = |change: Value| {
        let (fixture, path) = (&fixture, &path);
        async move { generation(fixture.merge(path, &change).await.expect(200)) }
    };
    assert_eq!(
        changed(json!({"metadata": {"labels": {"x": "y"}}})).await,
        1
    );
    assert_eq!(changed(json!({"status": {"replicas": 7}})).await, 1);
    assert_eq!(changed(json!({"spec": {"replicas": 4}})).await, 2);
    let status = json!({"status": {"replicas": 4}, "spec": {"replicas": 9}});
    let after = fixture
        .merge(&format!("{path}/status"), &status)
        .await
        .expect(200);
    assert_eq!(
        (after["spec"]["replicas"].as_i64(), generation(after)),
        (Some(4), 2)
    );
    let scale = fixture
        .merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 5}}))
        .await
        .expect(200);
    assert_eq!(scale["spec"]["replicas"], 5);
    assert_eq!(scale["status"]["selector"], "a=b");
    assert_eq!(generation(fixture.get(&path).await.expect(200)), 3);
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let fixture = Fixture::new().await;
    let mut held = map("a");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    fixture.post(MAPS, &held).await.expect(201);
    let path = format!("{MAPS}/a");
    let marked = fixture.delete(&path).await.expect(200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let answer = fixture.post(MAPS, &map("a")).await;
    assert_eq!(
        answer.message(),
        "object is being deleted: configmaps \"a\" already exists"
    );
    fixture
        .merge(&path, &json!({"metadata": {"finalizers": null}}))
        .await
        .expect(200);
    fixture.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_deletion_may_have_conditions() {
    let fixture = Fixture::new().await;
    fixture.post(MAPS, &map("a")).await.expect(201);
    let path = format!("{MAPS}/a");
    let options = json!({"preconditions": {"uid": "other"}}).to_string();
    let answer = fixture
        .call(Method::DELETE, &path, "application/json", &options)
        .await;
    assert_eq!(answer.code, 409);
    let status = fixture.delete(&path).await.expect(200);
    assert_eq!(
        (&status["status"], &status["details"]["kind"]),
        (&json!("Success"), &json!("configmaps"))
    );
}

#[tokio::test]
async fn appliers_own_what_they_apply() {
    let fixture = Fixture::new().await;
    let path = format!("{MAPS}/a");
    let apply = |manager: &str, value: &str, force: bool| {
        let path = format!("{path}?fieldManager={manager}&force={force}");
        let body = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{x: \"{value}\"}}\n"
        );
        let fixture = &fixture;
        async move {
            fixture
                .call(Method::PATCH, &path, "application/apply-patch+yaml", &body)
                .await
        }
    };
    apply("one", "1", false).await.expect(201);
    apply("one", "1", false).await.expect(200);
    let answer = apply("two", "2", false).await;
    assert_eq!(
        (answer.code, answer.message().as_str()),
        (
            409,
            "Apply failed with 1 conflict: conflict with \"one\": .data.x"
        )
    );
    assert_eq!(apply("two", "2", true).await.expect(200)["data"]["x"], "2");
}

#[tokio::test]
async fn generated_names_are_unique() {
    let fixture = Fixture::new().await;
    let body = json!({"metadata": {"generateName": "map-"}});
    let one = fixture.post(MAPS, &body).await.expect(201);
    let two = fixture.post(MAPS, &body).await.expect(201);
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
    assert_eq!(
        one["metadata"]["name"].as_str().unwrap().len(),
        "map-".len() + 5
    );
}

#[tokio::test]
async fn services_get_addresses() {
    let fixture = Fixture::new().await;
    let path = "/api/v1/namespaces/default/services";
    let service =
        |name: &str| json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    let one = fixture.post(path, &service("one")).await.expect(201);
    let two = fixture.post(path, &service("two")).await.expect(201);
    assert_ne!(one["spec"]["clusterIP"], two["spec"]["clusterIP"]);
    let mut taken = service("three");
    taken["spec"]["clusterIP"] = one["spec"]["clusterIP"].clone();
    fixture.post(path, &taken).await.expect(422);
}

/// In more than one thread, what one has gathered must not take the place of what another has
/// gathered later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kind_is_not_served_when_its_definition_is_gone() {
    let fixture = Fixture::new().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition = widgets();
    let gone = async |path: &str| {
        let wait = async {
            while fixture.get(path).await.code != 404 {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
        assert!(waited.is_ok(), "{path} is still there");
    };
    for _ in 0..50 {
        fixture.post(definitions, &definition).await.expect(201);
        let path = format!("{definitions}/widgets.example.com");
        fixture.delete(&path).await.expect(200);
        gone(&path).await;
        gone("/apis/example.com/v1").await;
    }
}

/// `spec.finalizers` are those of namespaces; another kind may call anything so.
#[tokio::test]
async fn a_custom_resource_goes_with_its_last_finalizer_whatever_its_spec_says() {
    let fixture = Fixture::new().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    fixture.post(definitions, &widgets()).await.expect(201);
    let all = "/apis/example.com/v1/namespaces/default/widgets";
    let widget = json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "a", "finalizers": ["example.com/hold"]},
        "spec": {"finalizers": ["mine"]},
    });
    fixture.post(all, &widget).await.expect(201);
    let path = format!("{all}/a");
    fixture.delete(&path).await.expect(200);
    let released = json!({"metadata": {"finalizers": null}});
    fixture.merge(&path, &released).await.expect(200);
    fixture.get(&path).await.expect(404);
}

/// Names that another definition of the group has are refused, and accepted once they are free.
#[tokio::test]
async fn a_definition_gets_its_names_when_they_are_free() {
    let fixture = Fixture::new().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    fixture.post(definitions, &widgets()).await.expect(201);
    let mut rival = widgets();
    rival["metadata"]["name"] = json!("gadgets.example.com");
    rival["spec"]["names"] = json!({"plural": "gadgets", "kind": "Widget"});
    fixture.post(definitions, &rival).await.expect(201);
    let gadgets = "/apis/example.com/v1/gadgets";
    fixture.get(gadgets).await.expect(404);
    let path = format!("{definitions}/gadgets.example.com");
    let refused = fixture.get(&path).await.expect(200);
    let reasons = refused["status"]["conditions"].to_string();
    assert!(reasons.contains("KindConflict"), "{reasons}");
    let first = format!("{definitions}/widgets.example.com");
    fixture.delete(&first).await.expect(200);
    fixture.until(gadgets, 200).await;
    // A label changes nothing of what is served; a new column does.
    let label = json!({"metadata": {"labels": {"team": "a"}}});
    fixture.merge(&path, &label).await.expect(200);
    fixture.get(gadgets).await.expect(200);
    let scoped = json!({"spec": {"names": {"shortNames": ["gg"]}}});
    fixture.merge(&path, &scoped).await.expect(200);
    let served = fixture.get("/apis/example.com/v1").await.expect(200);
    assert!(
        served.to_string().contains(r#""shortNames":["gg"]"#),
        "{served}"
    );
}

/// What was stored before its definition had a default shows it however it is read, and keeps it
/// when it is written.
#[tokio::test]
async fn a_new_default_counts_for_what_was_there_before() {
    let fixture = Fixture::new().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let mut definition = widgets();
    definition["spec"]["versions"][0]["additionalPrinterColumns"] =
        json!([{"name": "Mode", "type": "string", "jsonPath": ".spec.mode"}]);
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {
            "mode": {"type": "string"}, "size": {"type": "integer"},
        }}},
    });
    fixture.post(definitions, &definition).await.expect(201);
    let all = "/apis/example.com/v1/namespaces/default/widgets";
    let widget = json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {},
    });
    fixture.post(all, &widget).await.expect(201);
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/mode/default";
    let patch = json!([{"op": "add", "path": path, "value": "auto"}]);
    let definition = format!("{definitions}/widgets.example.com");
    let kind = "application/json-patch+json";
    let patch = patch.to_string();
    let changed = fixture.call(Method::PATCH, &definition, kind, &patch);
    changed.await.expect(200);
    let one = fixture.get(&format!("{all}/a")).await.expect(200);
    assert_eq!(one["spec"]["mode"], "auto");
    let list = fixture.get(all).await.expect(200);
    assert_eq!(list["items"][0]["spec"]["mode"], "auto");
    let watch = format!("{all}?watch=true&timeoutSeconds=1&resourceVersion=0");
    let event = fixture.get(&watch).await.text;
    assert!(event.contains(r#""mode":"auto""#), "{event}");
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table = fixture.get_as(all, table).await.expect(200);
    assert_eq!(table["rows"][0]["cells"], json!(["a", "auto"]));
    let size = json!({"spec": {"size": 2}});
    let written = fixture.merge(&format!("{all}/a"), &size).await.expect(200);
    assert_eq!(written["spec"], json!({"mode": "auto", "size": 2}));
}

#[tokio::test]
async fn of_many_unknown_fields_the_first_are_told() {
    let fixture = Fixture::new().await;
    let mut map = json!({"metadata": {"name": "a"}});
    for number in 0..100_000 {
        map[format!("unknown-{number:06}")] = json!(1);
    }
    let strict = fixture
        .post(&format!("{MAPS}?fieldValidation=Strict"), &map)
        .await;
    assert_eq!(strict.code, 400);
    let message = strict.message();
    assert_eq!(message.matches("unknown field").count(), 100, "{message}");
    let warned = fixture
        .post(&format!("{MAPS}?fieldValidation=Warn"), &map)
        .await;
    assert_eq!(warned.code, 201);
    let warnings = warned.headers.get_all("warning");
    let bytes: usize = warnings.iter().map(http::HeaderValue::len).sum();
    let count = warnings.iter().count();
    assert!(
        count > 10 && count <= 100 && bytes < 8 * 1024,
        "{count}, {bytes}"
    );
}

#[tokio::test]
async fn kinds_without_a_schema_have_metadata_like_others() {
    let fixture = Fixture::new().await;
    for (path, namespaced) in [
        ("/apis/resource.k8s.io/v1/deviceclasses", false),
        ("/apis/resource.k8s.io/v1/resourceclaims", true),
        ("/apis/resource.k8s.io/v1/resourceclaimtemplates", true),
        ("/apis/resource.k8s.io/v1/resourceslices", false),
        ("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", false),
        (
            "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
            false,
        ),
    ] {
        let path = if namespaced {
            let (group, plural) = path.rsplit_once('/').unwrap();
            format!("{group}/namespaces/default/{plural}")
        } else {
            path.to_owned()
        };
        for (metadata, code) in [
            (json!({"name": "a", "finalizers": [5]}), 400),
            (json!({"name": "a", "generation": 1_u64 << 63}), 400),
            (json!({"name": "a", "labels": {"a": 5}}), 400),
            (json!({"name": "a", "labels": "a"}), 400),
            (json!("a"), 400),
            (json!({"name": "a", "finalizers": [null]}), 422),
            (json!({"name": "a", "labels": {"-": "a"}}), 422),
            (json!({"name": "A_B"}), 422),
        ] {
            let answer = fixture.post(&path, &json!({"metadata": metadata})).await;
            assert_eq!(answer.code, code, "{path}: {metadata}: {}", answer.text);
        }
        let metadata = json!({"name": "a", "labels": {"a": null}, "unknown": 1});
        let object = json!({"metadata": metadata, "spec": {"anything": 1}});
        let made = fixture.post(&path, &object).await.expect(201);
        assert_eq!(made["metadata"]["labels"], json!({"a": ""}));
        assert_eq!(made["metadata"]["unknown"], Value::Null);
        assert_eq!(made["spec"], json!({"anything": 1}));
        let one = format!("{path}/a");
        let patch = json!({"metadata": {"finalizers": [5]}});
        assert_eq!(fixture.merge(&one, &patch).await.code, 422, "{path}");
    }
}
