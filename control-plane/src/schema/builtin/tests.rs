//! The schemas of built-in types, against what is known of them.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{builtin, builtin_type};
use crate::schema::{Form, List, ListKind, PatchMerge, Schema};

/// The schema of a field, by its path.
fn field(mut schema: Arc<Schema>, path: &str) -> Arc<Schema> {
    for name in path.split('.') {
        if let Form::List(list) = &schema.form {
            schema = Arc::clone(&list.items);
        }
        let Form::Object(object) = &schema.form else {
            panic!("{path}: {schema:?} has no fields");
        };
        let next = object.properties.get(name).or(object.additional.as_ref());
        schema = Arc::clone(next.unwrap());
    }
    schema
}

fn list(schema: &Schema) -> &List {
    match &schema.form {
        Form::List(list) => list,
        form => panic!("{form:?} is no list"),
    }
}

fn keys(keys: &[&str]) -> ListKind {
    ListKind::Map(keys.iter().map(ToString::to_string).collect())
}

fn by(key: &str) -> PatchMerge {
    PatchMerge::Key(key.to_string())
}

#[test]
fn lists_are_merged_as_the_go_types_say() {
    let pod = "spec.template.spec";
    let cases = [
        (
            format!("{pod}.containers"),
            keys(&["name"]),
            Some(by("name")),
        ),
        (
            format!("{pod}.containers.ports"),
            keys(&["containerPort", "protocol"]),
            Some(by("containerPort")),
        ),
        (format!("{pod}.tolerations"), ListKind::Atomic, None),
        (format!("{pod}.volumes"), keys(&["name"]), Some(by("name"))),
        (
            "metadata.finalizers".to_string(),
            ListKind::Set,
            Some(PatchMerge::Values),
        ),
        (
            "metadata.ownerReferences".to_string(),
            keys(&["uid"]),
            Some(by("uid")),
        ),
        (
            "status.conditions".to_string(),
            keys(&["type"]),
            Some(by("type")),
        ),
    ];
    let deployment = builtin("apps", "v1", "Deployment").unwrap();
    for (path, kind, patch_merge) in cases {
        let schema = field(Arc::clone(&deployment), &path);
        assert_eq!(list(&schema).kind, kind, "{path}");
        assert_eq!(list(&schema).patch_merge, patch_merge, "{path}");
    }
}

#[test]
fn scalars_and_structs_have_their_form() {
    let service = builtin("", "v1", "Service").unwrap();
    let protocol = field(Arc::clone(&service), "spec.ports.protocol");
    assert_eq!(protocol.default, Some(json!("TCP")));
    let target = field(Arc::clone(&service), "spec.ports.targetPort");
    assert_eq!(target.form, Form::IntOrString);
    let selector = field(service, "spec.selector");
    assert!(matches!(&selector.form, Form::Object(object) if object.atomic));
    let pod = builtin("", "v1", "Pod").unwrap();
    let limit = field(Arc::clone(&pod), "spec.containers.resources.limits.cpu");
    assert_eq!(limit.form, Form::IntOrString);
    let started = field(Arc::clone(&pod), "status.startTime");
    assert_eq!(started.form, Form::String(Some("date-time".into())));
    let name = field(pod, "metadata.name");
    assert!(
        name.description
            .as_ref()
            .unwrap()
            .starts_with("Name must be unique")
    );
}

#[test]
fn types_are_shared() {
    let job = builtin("batch", "v1", "Job").unwrap();
    let deployment = builtin("apps", "v1", "Deployment").unwrap();
    let containers = |schema| field(schema, "spec.template.spec.containers");
    assert!(Arc::ptr_eq(&containers(job), &containers(deployment)));
}

#[test]
fn a_kind_that_is_not_built_in_has_no_schema() {
    assert!(builtin("example.com", "v1", "Deployment").is_none());
    assert!(builtin("metrics.k8s.io", "v1beta1", "PodMetrics").is_some());
}

#[test]
fn unknown_fields_are_found_wherever_they_are() {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "nome": "b", "labels": {"x": "y"}},
        "spec": {"containers": [{"name": "c"}, {"name": "d", "port": 1}], "foo": {"bar": 1}}, "x": 1
    });
    let unknown = builtin("", "v1", "Pod").unwrap().prune(&mut pod);
    assert_eq!(
        unknown,
        ["metadata.nome", "spec.containers[1].port", "spec.foo", "x"]
    );
    assert_eq!(
        pod,
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}},
            "spec": {"containers": [{"name": "c"}, {"name": "d"}]}
        })
    );
}

/// Compares with the `OpenAPI` documents of the real server, whose folder (`api/openapi-spec/v3` in
/// the Kubernetes repository) is in the variable `KUBERNETES_OPENAPI`.
#[test]
#[ignore = "needs the documents of the real server"]
fn the_table_is_that_of_the_real_server() {
    let folder = std::env::var("KUBERNETES_OPENAPI").unwrap();
    let mut compared = 0;
    for file in std::fs::read_dir(Path::new(&folder)).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let schemas = document["components"]["schemas"].as_object();
        for (name, expected) in schemas.into_iter().flatten() {
            let Some(schema) = builtin_type(name) else {
                continue;
            };
            let Form::Object(object) = &schema.form else {
                continue;
            };
            let properties = expected["properties"].as_object();
            let atomic = expected["x-kubernetes-map-type"] == "atomic";
            assert_eq!(object.atomic, atomic, "{name}");
            for (property, expected) in properties.into_iter().flatten() {
                let schema = object.properties.get(property);
                let schema = schema.unwrap_or_else(|| panic!("{name} lacks {property}"));
                compare(&format!("{name}.{property}"), schema, expected);
                compared += 1;
            }
        }
    }
    assert!(compared > 2_000, "{compared}");
}

fn compare(name: &str, schema: &Schema, expected: &Value) {
    match &schema.form {
        Form::List(list) => {
            let expected_kind = match expected["x-kubernetes-list-type"].as_str() {
                Some("map") => {
                    let keys = expected["x-kubernetes-list-map-keys"].as_array().unwrap();
                    ListKind::Map(
                        keys.iter()
                            .map(|key| key.as_str().unwrap().into())
                            .collect(),
                    )
                }
                Some("set") => ListKind::Set,
                _ => ListKind::Atomic,
            };
            assert_eq!(list.kind, expected_kind, "{name}");
            let strategy = expected["x-kubernetes-patch-strategy"]
                .as_str()
                .unwrap_or_default();
            let merges = strategy.split(',').any(|strategy| strategy == "merge");
            let expected_merge =
                merges.then(|| match expected["x-kubernetes-patch-merge-key"].as_str() {
                    Some(key) => PatchMerge::Key(key.to_string()),
                    None => PatchMerge::Values,
                });
            assert_eq!(list.patch_merge, expected_merge, "{name}");
        }
        Form::Object(object) if object.additional.is_some() => {
            let atomic = expected["x-kubernetes-map-type"] == "atomic";
            assert_eq!(object.atomic, atomic, "{name}");
        }
        _ => {}
    }
}
