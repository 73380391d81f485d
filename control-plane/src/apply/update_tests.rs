use serde_json::{Value, json};

use super::fixture::*;
use super::*;

#[test]
fn who_creates_owns_what_it_wrote() {
    let world = World::deployments();
    let object = world.updated(None, deployment(), "kubectl-create", 0);
    assert_eq!(
        object["metadata"]["managedFields"],
        json!([{
            "manager": "kubectl-create",
            "operation": "Update",
            "apiVersion": "apps/v1",
            "time": "1970-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:replicas": {},
                    "f:selector": {},
                    "f:template": {
                        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                        "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                            ".": {},
                            "f:image": {},
                            "f:name": {},
                            "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                                ".": {}, "f:containerPort": {},
                            }},
                        }}},
                    },
                },
            },
        }])
    );
}

#[test]
fn in_a_custom_resource_even_empty_parents_are_owned() {
    let world = World::custom(&[("spec", object(&[("size", number())]))]);
    let object = world.object(json!({"spec": {"size": 1}}));
    let object = world.updated(None, object, "me", 0);
    assert_eq!(
        owned_by(&object, "me"),
        Some(json!({"f:spec": {".": {}, "f:size": {}}}))
    );
}

#[test]
fn an_update_takes_what_it_changes_and_only_that() {
    let world = World::deployments();
    let old = world.updated(None, deployment(), "first", 0);
    let mut new = old.clone();
    new["spec"]["replicas"] = json!(3);
    let new = world.updated(Some(&old), new, "second", 10);
    assert_eq!(
        owned_by(&new, "second"),
        Some(json!({"f:spec": {"f:replicas": {}}}))
    );
    let first = owned_by(&new, "first").unwrap();
    assert_eq!(first["f:spec"].get("f:replicas"), None);
    assert_eq!(first["f:spec"]["f:selector"], json!({}));
}

#[test]
fn an_update_that_changes_nothing_leaves_the_owners_alone() {
    let world = World::deployments();
    let old = world.updated(None, deployment(), "first", 0);
    let new = world.updated(Some(&old), old.clone(), "second", 10);
    assert_eq!(new, old);
}

#[test]
fn what_is_removed_is_owned_by_nobody() {
    let world = World::deployments();
    let old = world.updated(None, deployment(), "first", 0);
    let mut new = old.clone();
    new["spec"].as_object_mut().unwrap().remove("replicas");
    let new = world.updated(Some(&old), new, "second", 10);
    assert_eq!(managers(&new), ["first"]);
    let entry = &new["metadata"]["managedFields"][0];
    assert_eq!(entry["time"], "1970-01-01T00:00:00Z");
    assert_eq!(entry["fieldsV1"]["f:spec"].get("f:replicas"), None);
}

#[test]
fn a_second_update_joins_the_first_of_the_same_manager() {
    let world = World::deployments();
    let old = world.updated(None, deployment(), "first", 0);
    let mut new = old.clone();
    new["spec"]["paused"] = json!(true);
    let new = world.updated(Some(&old), new, "first", 10);
    assert_eq!(managers(&new), ["first"]);
    let entry = &new["metadata"]["managedFields"][0];
    assert_eq!(entry["time"], "1970-01-01T00:00:10Z");
    assert_eq!(entry["fieldsV1"]["f:spec"]["f:paused"], json!({}));
    assert_eq!(entry["fieldsV1"]["f:spec"]["f:replicas"], json!({}));
}

#[test]
fn a_reset_field_is_owned_by_nobody() {
    let world = World::deployments();
    let mut object = deployment();
    object["status"] = json!({"replicas": 1});
    let object = world.updated(None, object, "me", 0);
    assert_eq!(owned_by(&object, "me").unwrap().get("f:status"), None);
}

#[test]
fn a_subresource_is_an_owner_of_its_own() {
    let world = World::deployments();
    let old = world.updated(None, deployment(), "me", 0);
    let mut new = old.clone();
    new["status"] = json!({"conditions": [{"type": "Available", "status": "True"}]});
    new["metadata"]["managedFields"] = json!([]);
    let reset = FieldSet::of(&[&["spec"], &["metadata"]]);
    let target = Target {
        subresource: "status",
        reset: &reset,
        ..world.target()
    };
    update(Some(&old), &mut new, &target, &manager("me", 10));
    let entries = new["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0], old["metadata"]["managedFields"][0]);
    assert_eq!(entries[1]["subresource"], "status");
    assert_eq!(
        entries[1]["fieldsV1"],
        json!({"f:status": {"f:conditions": {".": {}, "k:{\"type\":\"Available\"}": {
            ".": {}, "f:status": {}, "f:type": {},
        }}}})
    );
}

#[rstest::rstest]
#[case::none(json!(null), vec!["first", "second"])]
#[case::empty(json!([]), vec![])]
#[case::one_empty_entry(json!([{}]), vec![])]
#[case::of_no_known_kind(json!([{"manager": "x", "operation": "Patch"}]), vec!["first", "second"])]
#[case::without_a_version(json!([{"operation": "Update", "fieldsType": "FieldsV1"}]), vec!["first", "second"])]
#[case::not_fields(
    json!([{"operation": "Update", "fieldsType": "FieldsV1", "apiVersion": "v1", "fieldsV1": {"x": {}}}]),
    vec!["first", "second"]
)]
#[case::of_somebody_else(
    json!([{"manager": "other", "operation": "Update", "fieldsType": "FieldsV1",
        "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {"f:selector": {}}}}]),
    vec!["other", "second"]
)]
fn what_a_client_says_of_the_owners(#[case] sent: Value, #[case] expected: Vec<&str>) {
    let world = World::deployments();
    let old = world.updated(None, deployment(), "first", 0);
    let mut new = deployment();
    new["spec"]["replicas"] = json!(5);
    new["metadata"]["managedFields"] = sent;
    let new = world.updated(Some(&old), new, "second", 10);
    assert_eq!(managers(&new), expected);
}

#[test]
fn the_oldest_updates_are_joined() {
    let world = World::custom(&[("spec", map_of(number()))]);
    let mut object = world.updated(None, world.object(json!({"spec": {"x": 0}})), "m0", 0);
    for number in 1..=11 {
        let mut new = object.clone();
        new["spec"][format!("x{number}")] = json!(number);
        object = world.updated(Some(&object), new, &format!("m{number}"), number);
    }
    let names = managers(&object);
    assert_eq!(names.len(), 10);
    assert_eq!(names[0], "ancient-changes");
    assert_eq!(names[1], "m3");
    assert_eq!(
        object["metadata"]["managedFields"][0]["time"],
        "1970-01-01T00:00:02Z"
    );
    assert_eq!(
        owned_by(&object, "ancient-changes"),
        Some(json!({"f:spec": {".": {}, "f:x": {}, "f:x1": {}, "f:x2": {}}}))
    );
}

#[test]
fn only_times_are_not_worth_a_write() {
    let world = World::deployments();
    let old = world.updated(None, deployment(), "me", 0);
    let mut new = old.clone();
    new["metadata"]["managedFields"][0]["time"] = json!("1970-01-01T00:01:00Z");
    let mut kept = new.clone();
    keep_times(&old, &mut kept);
    assert_eq!(kept, old);
    for (pointer, other) in [
        ("/spec/replicas", json!(9)),
        ("/metadata/labels/app", json!("other")),
        ("/metadata/managedFields/0/fieldsV1", json!({})),
    ] {
        let mut other_new = new.clone();
        *other_new.pointer_mut(pointer).unwrap() = other;
        let mut kept = other_new.clone();
        keep_times(&old, &mut kept);
        assert_eq!(kept, other_new);
    }
}

#[test]
fn a_manager_without_a_name_is_called_by_its_program() {
    assert_eq!(manager_name("me", "kubectl/v1.34"), "me");
    assert_eq!(manager_name("", "kubectl/v1.34 (linux)"), "kubectl");
    assert_eq!(manager_name("", ""), "");
    assert_eq!(manager_name("", &"é".repeat(100)), "é".repeat(64));
    let world = World::custom(&[("a", number())]);
    let object = world.updated(None, world.object(json!({"a": 1})), "", 0);
    assert_eq!(managers(&object), ["unknown"]);
}
