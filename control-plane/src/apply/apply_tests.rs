use serde_json::{Value, json};

use super::fixture::*;
use super::*;
use crate::schema::{Form, ListKind};

fn conflicts(result: Result<Value, ApplyError>) -> Conflicts {
    match result {
        Err(ApplyError::Conflicts(conflicts)) => conflicts,
        other => panic!("no conflict: {other:?}"),
    }
}

#[test]
fn who_applies_owns_the_configuration() {
    let world = World::deployments();
    let object = world.applied(None, &deployment(), "me", 0).unwrap();
    assert_eq!(content(&object), deployment());
    let fields = owned_by(&object, "me").unwrap();
    assert_eq!(fields["f:metadata"], json!({"f:labels": {"f:app": {}}}));
    assert_eq!(
        fields["f:spec"]["f:template"]["f:spec"],
        json!({"f:containers": {"k:{\"name\":\"web\"}": {
            ".": {},
            "f:image": {},
            "f:name": {},
            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                ".": {}, "f:containerPort": {},
            }},
        }}})
    );
}

#[test]
fn applying_the_same_again_changes_nothing_not_even_the_time() {
    let world = World::deployments();
    let object = world.applied(None, &deployment(), "me", 0).unwrap();
    let again = world
        .applied(Some(&object), &deployment(), "me", 10)
        .unwrap();
    assert_eq!(again, object);
}

#[test]
fn a_field_of_somebody_else_is_a_conflict() {
    let world = World::deployments();
    let object = world.updated(None, deployment(), "kubectl-client-side-apply", 0);
    let mut config = deployment();
    config["spec"]["replicas"] = json!(7);
    let conflicts = conflicts(world.applied(Some(&object), &config, "me", 10));
    assert_eq!(
        conflicts.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: \
         .spec.replicas"
    );
    assert_eq!(
        conflicts.causes(),
        [Cause {
            message: "conflict with \"kubectl-client-side-apply\" using apps/v1".to_owned(),
            field: ".spec.replicas".to_owned(),
        }]
    );
}

#[test]
fn several_conflicts_are_listed_by_owner() {
    let world = World::deployments();
    let object = world.updated(None, deployment(), "b", 0);
    let image = |image: &str| {
        world.object(
            json!({"metadata": {"name": "web"}, "spec": {"template": {"spec": {
                "containers": [{"name": "web", "image": image}],
            }}}}),
        )
    };
    let object = world
        .forced(Some(&object), &image("nginx:2"), "a", 5)
        .unwrap();
    let mut config = image("nginx:3");
    config["spec"]["replicas"] = json!(7);
    config["spec"]["selector"] = json!({"matchLabels": {"app": "other"}});
    let conflicts = conflicts(world.applied(Some(&object), &config, "me", 10));
    assert_eq!(
        conflicts.to_string(),
        "Apply failed with 3 conflicts: conflicts with \"a\":\n\
         - .spec.template.spec.containers[name=\"web\"].image\n\
         conflicts with \"b\" using apps/v1:\n\
         - .spec.replicas\n\
         - .spec.selector"
    );
}

#[test]
fn force_takes_the_field_over() {
    let world = World::deployments();
    let object = world.updated(None, deployment(), "first", 0);
    let config = world.object(json!({"metadata": {"name": "web"}, "spec": {"replicas": 7}}));
    let object = world.forced(Some(&object), &config, "me", 10).unwrap();
    assert_eq!(object["spec"]["replicas"], 7);
    assert_eq!(managers(&object), ["me", "first"]);
    let first = owned_by(&object, "first").unwrap();
    assert_eq!(first["f:spec"].get("f:replicas"), None);
}

#[test]
fn the_same_value_is_owned_together() {
    let world = World::deployments();
    let object = world.applied(None, &deployment(), "first", 0).unwrap();
    let config = world.object(json!({"metadata": {"name": "web"}, "spec": {"replicas": 2}}));
    let object = world.applied(Some(&object), &config, "second", 10).unwrap();
    let replicas = json!({"f:spec": {"f:replicas": {}}});
    assert_eq!(owned_by(&object, "second"), Some(replicas));
    let first = owned_by(&object, "first").unwrap();
    assert_eq!(first["f:spec"]["f:replicas"], json!({}));
    // The object has not changed, so no time is written.
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let second = entries.iter().find(|entry| entry["manager"] == "second");
    assert_eq!(second.unwrap().get("time"), None);
}

#[test]
fn what_is_no_longer_applied_is_removed() {
    let world = World::deployments();
    let mut config = deployment();
    config["metadata"]["labels"]["extra"] = json!("1");
    config["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "sidecar", "image": "proxy"}));
    let object = world.applied(None, &config, "me", 0).unwrap();
    let object = world
        .applied(Some(&object), &deployment(), "me", 10)
        .unwrap();
    assert_eq!(content(&object), deployment());
}

#[test]
fn what_somebody_else_owns_too_stays() {
    let world = World::deployments();
    let object = world.applied(None, &deployment(), "first", 0).unwrap();
    let replicas = world.object(json!({"metadata": {"name": "web"}, "spec": {"replicas": 2}}));
    let object = world
        .applied(Some(&object), &replicas, "second", 10)
        .unwrap();
    let mut config = deployment();
    config["spec"].as_object_mut().unwrap().remove("replicas");
    let object = world.applied(Some(&object), &config, "first", 20).unwrap();
    assert_eq!(object["spec"]["replicas"], 2);
    let nothing = world.object(json!({"metadata": {"name": "web"}}));
    let object = world
        .applied(Some(&object), &nothing, "second", 30)
        .unwrap();
    assert_eq!(object["spec"].get("replicas"), None);
    assert_eq!(managers(&object), ["first"]);
}

#[test]
fn what_an_update_added_below_stays() {
    let world = World::deployments();
    let object = world.applied(None, &deployment(), "me", 0).unwrap();
    let mut new = object.clone();
    new["metadata"]["labels"]["added"] = json!("1");
    let object = world.updated(Some(&object), new, "other", 10);
    let mut config = deployment();
    config["metadata"].as_object_mut().unwrap().remove("labels");
    let object = world.applied(Some(&object), &config, "me", 20).unwrap();
    assert_eq!(object["metadata"]["labels"], json!({"added": "1"}));
}

#[test]
fn what_nobody_owned_before_is_kept() {
    let world = World::deployments();
    let config = world.object(json!({"metadata": {"name": "web"}, "spec": {"paused": true}}));
    let object = world
        .applied(Some(&deployment()), &config, "me", 10)
        .unwrap();
    assert_eq!(managers(&object), ["me", "before-first-apply"]);
    assert_eq!(object["spec"]["replicas"], 2);
    let first = owned_by(&object, "before-first-apply").unwrap();
    assert_eq!(first["f:spec"]["f:replicas"], json!({}));
    let mut config = config;
    config["spec"]["replicas"] = json!(3);
    let conflicts = conflicts(world.applied(Some(&object), &config, "me", 20));
    assert_eq!(
        conflicts.to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using apps/v1: \
         .spec.replicas"
    );
}

/// An object as `kubectl apply` on the client's side leaves it.
fn applied_by_client(world: &World) -> Value {
    let mut object = deployment();
    let text = deployment().to_string();
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": text});
    world.updated(None, object, "kubectl-client-side-apply", 0)
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_clients_side() {
    let world = World::deployments();
    let object = applied_by_client(&world);
    let mut config = deployment();
    config["spec"]["replicas"] = json!(7);
    conflicts(world.applied(Some(&object), &config, "me", 10));
    let object = world
        .applied(Some(&object), &config, "kubectl", 10)
        .unwrap();
    assert_eq!(object["spec"]["replicas"], 7);
    let annotations = &object["metadata"]["annotations"];
    let text = &annotations["kubectl.kubernetes.io/last-applied-configuration"];
    assert_eq!(*text, format!("{config}\n"));
}

#[test]
fn kubectl_does_not_take_over_what_changed_since() {
    let world = World::deployments();
    let object = applied_by_client(&world);
    let mut scaled = object.clone();
    scaled["spec"]["replicas"] = json!(4);
    let object = world.updated(Some(&object), scaled, "scaler", 5);
    let mut config = deployment();
    config["spec"]["replicas"] = json!(7);
    config["metadata"]["labels"]["app"] = json!("other");
    let conflicts = conflicts(world.applied(Some(&object), &config, "kubectl", 10));
    assert_eq!(
        conflicts.to_string(),
        "Apply failed with 1 conflict: conflict with \"scaler\" using apps/v1: .spec.replicas"
    );
}

#[rstest::rstest]
#[case::another_kind(
    json!({"apiVersion": "v1", "kind": "Pod"}),
    ApplyError::BadRequest("invalid object type: /v1, Kind=Pod".to_owned())
)]
#[case::with_owners(
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"managedFields": []}}),
    ApplyError::BadRequest("metadata.managedFields must be nil".to_owned())
)]
#[case::an_unknown_field(
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"}, "spec": {"foo": 1}}),
    ApplyError::Untyped("failed to create typed patch object (default/web; apps/v1, \
        Kind=Deployment): .spec.foo: field not declared in schema".to_owned())
)]
#[case::items_with_the_same_key(
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}}}),
    ApplyError::Untyped("failed to create typed patch object (/web; apps/v1, Kind=Deployment): \
        .spec.template.spec.containers: duplicate entries for key [name=\"a\"]".to_owned())
)]
#[case::an_item_without_its_key(
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}}),
    ApplyError::Untyped("failed to create typed patch object (/web; apps/v1, Kind=Deployment): \
        .spec.template.spec.containers: element 0: associative list with keys has an element that \
        omits all key fields [\"name\"] (and doesn't have default values for any key fields)"
        .to_owned())
)]
#[case::values_of_another_type(
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"paused": "no", "replicas": "2", "selector": 1,
            "template": {"spec": {"containers": [{"name": "a", "image": 1.5}]}}}}),
    ApplyError::Untyped("failed to create typed patch object (/web; apps/v1, Kind=Deployment): \
        errors:\n  .spec.paused: expected boolean, got &{no}\n  .spec.replicas: expected numeric \
        (int or float), got string\n  .spec.selector: expected map, got &{1}\n  \
        .spec.template.spec.containers[name=\"a\"].image: expected string, got \
        &value.valueUnstructured{Value:1.5}".to_owned())
)]
fn what_cannot_be_applied(#[case] config: Value, #[case] expected: ApplyError) {
    let world = World::deployments();
    assert_eq!(world.applied(None, &config, "me", 0), Err(expected));
}

#[test]
fn keys_that_are_missing_count_by_their_defaults() {
    let world = World::deployments();
    let object = world.applied(None, &deployment(), "me", 0).unwrap();
    let mut config = deployment();
    config["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "protocol": "TCP", "name": "http"}, {"containerPort": 80, "protocol": "UDP"}]);
    let object = world.applied(Some(&object), &config, "me", 10).unwrap();
    assert_eq!(
        object["spec"]["template"]["spec"]["containers"][0]["ports"],
        json!([
            {"containerPort": 80, "name": "http", "protocol": "TCP"},
            {"containerPort": 80, "protocol": "UDP"},
        ])
    );
}

#[test]
fn merged_lists_keep_the_order_of_the_configuration() {
    let world = World::custom(&[("list", list(text(), ListKind::Set))]);
    let applied = |live: Value, config: Value| {
        let live = world.object(json!({"list": live}));
        let config = world.object(json!({"list": config}));
        let object = world.forced(Some(&live), &config, "me", 0).unwrap();
        object["list"].clone()
    };
    for (live, config, merged) in [
        (json!(["a", "b"]), json!(["b", "a"]), json!(["b", "a"])),
        (
            json!(["a", "x", "b"]),
            json!(["b", "a"]),
            json!(["x", "b", "a"]),
        ),
        (
            json!(["a", "b"]),
            json!(["a", "c", "b"]),
            json!(["a", "c", "b"]),
        ),
        (
            json!(["a", "b", "c", "d"]),
            json!(["c", "x", "a"]),
            json!(["b", "c", "d", "x", "a"]),
        ),
        (json!(["d", "d"]), json!(["d"]), json!(["d"])),
        (json!([]), json!(["b"]), json!(["b"])),
    ] {
        assert_eq!(applied(live, config), merged);
    }
}

#[test]
fn an_atomic_list_is_replaced() {
    let world = World::custom(&[("list", list(text(), ListKind::Atomic))]);
    let object = world.object(json!({"list": ["a", "b"]}));
    let object = world.applied(None, &object, "me", 0).unwrap();
    let config = world.object(json!({"list": ["c"]}));
    let object = world.applied(Some(&object), &config, "me", 0).unwrap();
    assert_eq!(object["list"], json!(["c"]));
    assert_eq!(owned_by(&object, "me"), Some(json!({"f:list": {}})));
}

#[test]
fn what_became_atomic_is_owned_as_a_whole() {
    let granular = World::custom(&[("map", map_of(text()))]);
    let object = granular.object(json!({"map": {"a": "1", "b": "2"}}));
    let object = granular.applied(None, &object, "me", 0).unwrap();
    let whole = World::custom(&[("map", atomic(map_of(text())))]);
    let config = whole.object(json!({"map": {"a": "1"}}));
    let object = whole.applied(Some(&object), &config, "me", 10).unwrap();
    assert_eq!(owned_by(&object, "me"), Some(json!({"f:map": {}})));
    assert_eq!(object["map"], json!({"a": "1"}));
}

#[test]
fn what_no_schema_knows_is_owned_field_by_field() {
    let world = World::custom(&[("any", form(Form::Any))]);
    let config = world.object(json!({"any": {"a": {"b": 1}, "list": [{"c": 1}]}}));
    let object = world.applied(None, &config, "me", 0).unwrap();
    assert_eq!(
        owned_by(&object, "me"),
        Some(json!({"f:any": {"f:a": {".": {}, "f:b": {}}, "f:list": {}}}))
    );
    let config = world.object(json!({"any": {"a": 1}}));
    let object = world.applied(Some(&object), &config, "me", 0).unwrap();
    assert_eq!(object["any"], json!({"a": 1}));
}

#[test]
fn metadata_is_known_without_a_schema() {
    let world = World::custom(&[]);
    let config = world.object(json!({"metadata": {
        "name": "it",
        "finalizers": ["a/b"],
        "ownerReferences": [{"uid": "1", "name": "owner"}],
    }}));
    let object = world.applied(None, &config, "me", 0).unwrap();
    assert_eq!(
        owned_by(&object, "me"),
        Some(json!({"f:metadata": {
            "f:finalizers": {"v:\"a/b\"": {}},
            "f:ownerReferences": {"k:{\"uid\":\"1\"}": {}},
        }}))
    );
}

#[test]
fn what_the_server_sees_to_stays_when_the_rest_of_the_metadata_goes() {
    let world = World::custom(&[]);
    let config = world.object(json!({"metadata": {"name": "it", "labels": {"a": "1"}}}));
    let mut object = world.applied(None, &config, "me", 0).unwrap();
    object["metadata"]["uid"] = json!("1");
    let config = world.object(json!({}));
    let object = world.applied(Some(&object), &config, "me", 10).unwrap();
    assert_eq!(
        content(&object)["metadata"],
        json!({"name": "it", "uid": "1"})
    );
}

#[test]
fn what_goes_with_a_value_of_another_sort_is_owned_by_nobody() {
    let world = World::custom(&[("any", form(Form::Any))]);
    let object = world.object(json!({"any": {"a": {"b": 1}}}));
    let object = world.updated(None, object, "other", 0);
    let config = world.object(json!({"any": {"a": 5}}));
    let object = world.forced(Some(&object), &config, "me", 10).unwrap();
    assert_eq!(object["any"], json!({"a": 5}));
    assert_eq!(owned_by(&object, "other"), Some(json!({"f:any": {}})));
}

#[test]
fn nothing_is_applied_once_the_time_has_passed() {
    let world = World::deployments();
    let object = world.applied(None, &deployment(), "me", 0).unwrap();
    let mut config = deployment();
    config["spec"]["replicas"] = json!(7);
    let late = || world.applied(Some(&object), &config, "me", 10);
    let applied = crate::work::too_late(late).unwrap_or_default();
    assert_eq!(applied.get("spec"), None);
    assert_eq!(late().unwrap()["spec"]["replicas"], 7);
}
