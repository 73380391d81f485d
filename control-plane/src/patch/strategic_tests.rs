use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::schema::{List, ListKind, Object};

fn form(form: Form) -> Schema {
    Schema {
        form,
        ..Schema::default()
    }
}

fn object(fields: &[(&str, Schema)]) -> Schema {
    let properties = fields.iter();
    let properties =
        properties.map(|(name, schema)| ((*name).to_owned(), Arc::new(schema.clone())));
    form(Form::Object(Object {
        properties: properties.collect(),
        ..Object::default()
    }))
}

fn list(items: Schema, patch_merge: Option<PatchMerge>) -> Schema {
    form(Form::List(List {
        items: Arc::new(items),
        kind: ListKind::Atomic,
        patch_merge,
    }))
}

fn schema() -> Schema {
    let text = || form(Form::String(None));
    let key = |key: &str| Some(PatchMerge::Key(key.to_owned()));
    let port = object(&[("containerPort", form(Form::Integer)), ("protocol", text())]);
    let container = object(&[
        ("name", text()),
        ("image", text()),
        ("args", list(text(), None)),
        ("ports", list(port, key("containerPort"))),
    ]);
    object(&[
        ("replicas", form(Form::Integer)),
        ("containers", list(container, key("name"))),
        ("finalizers", list(text(), Some(PatchMerge::Values))),
        ("args", list(text(), None)),
        (
            "strategy",
            object(&[("type", text()), ("rolling", object(&[]))]),
        ),
    ])
}

fn document() -> Value {
    json!({
        "replicas": 1,
        "containers": [
            {"name": "a", "image": "a:1", "args": ["x"], "ports": [{"containerPort": 80}]},
            {"name": "b", "image": "b:1"},
        ],
        "finalizers": ["f", "g"],
        "args": ["1", "2"],
        "strategy": {"type": "Rolling", "rolling": {"surge": 1}},
    })
}

/// The document with some fields changed; `null` for those that are gone.
fn with(changes: &Value) -> Value {
    let mut document = document();
    for (name, change) in changes.as_object().unwrap() {
        if change.is_null() {
            document.as_object_mut().unwrap().remove(name);
        } else {
            document[name] = change.clone();
        }
    }
    document
}

#[rstest]
#[case::nothing(json!({}), json!({}))]
#[case::nothing_at_all(json!(null), json!({}))]
#[case::a_field(json!({"replicas": 2, "new": {"x": null, "y": 1}}), json!({"replicas": 2, "new": {"y": 1}}))]
#[case::removes(json!({"replicas": null, "missing": null}), json!({"replicas": null}))]
#[case::an_item(
    json!({"containers": [{"name": "b", "image": "b:2"}]}),
    json!({"containers": [
        {"name": "a", "image": "a:1", "args": ["x"], "ports": [{"containerPort": 80}]},
        {"name": "b", "image": "b:2"},
    ]})
)]
#[case::a_new_item_comes_first(
    json!({"containers": [{"name": "c", "image": "c:1"}]}),
    json!({"containers": [
        {"name": "c", "image": "c:1"},
        {"name": "a", "image": "a:1", "args": ["x"], "ports": [{"containerPort": 80}]},
        {"name": "b", "image": "b:1"},
    ]})
)]
#[case::a_list_in_an_item(
    json!({"containers": [{"name": "a", "args": ["y"], "ports": [{"containerPort": 80, "protocol": "UDP"}]}]}),
    json!({"containers": [
        {"name": "a", "image": "a:1", "args": ["y"], "ports": [{"containerPort": 80, "protocol": "UDP"}]},
        {"name": "b", "image": "b:1"},
    ]})
)]
#[case::deletes_an_item(
    json!({"containers": [{"$patch": "delete", "name": "a"}]}),
    json!({"containers": [{"name": "b", "image": "b:1"}]})
)]
#[case::replaces_the_items(
    json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
    json!({"containers": [{"name": "c"}]})
)]
#[case::replaces_an_object(
    json!({"strategy": {"$patch": "replace", "type": "Recreate"}}),
    json!({"strategy": {"type": "Recreate"}})
)]
#[case::deletes_an_object(json!({"strategy": {"$patch": "delete"}}), json!({"strategy": {}}))]
#[case::a_directive_for_nothing(
    json!({"new": {"$patch": "delete"}, "also": [{"$patch": "delete"}, {"x": 1}]}),
    json!({"also": [{"x": 1}]})
)]
#[case::values(json!({"finalizers": ["h", "f"]}), json!({"finalizers": ["h", "f", "g"]}))]
#[case::deletes_values(
    json!({"$deleteFromPrimitiveList/finalizers": ["f", "z"]}),
    json!({"finalizers": ["g"]})
)]
#[case::a_list_that_is_not_merged(json!({"args": ["3"]}), json!({"args": ["3"]}))]
#[case::retains_keys(
    json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
    json!({"strategy": {"type": "Recreate"}})
)]
#[case::orders_values(
    json!({"$setElementOrder/finalizers": ["h", "g", "f"], "finalizers": ["h"]}),
    json!({"finalizers": ["h", "g", "f"]})
)]
#[case::orders_items(
    json!({
        "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}],
        "containers": [{"name": "c", "image": "c:1"}],
    }),
    json!({"containers": [
        {"name": "a", "image": "a:1", "args": ["x"], "ports": [{"containerPort": 80}]},
        {"name": "b", "image": "b:1"},
        {"name": "c", "image": "c:1"},
    ]})
)]
#[case::orders_what_is_deleted(
    json!({
        "$setElementOrder/containers": [{"name": "b"}],
        "containers": [{"name": "a", "$patch": "delete"}],
    }),
    json!({"containers": [{"name": "b", "image": "b:1"}]})
)]
#[case::what_is_new_comes_in_for_what_is_deleted(
    json!({
        "$setElementOrder/containers": [{"name": "c"}],
        "containers": [{"name": "c", "image": "c:1"}, {"name": "b", "$patch": "delete"}],
    }),
    json!({"containers": [
        {"name": "a", "image": "a:1", "args": ["x"], "ports": [{"containerPort": 80}]},
        {"name": "c", "image": "c:1"},
    ]})
)]
fn merges(#[case] patch: Value, #[case] changes: Value) {
    let merged = strategic_merge_patch(&document(), &patch, &schema());
    assert_eq!(merged, Ok(with(&changes)));
}

#[rstest]
#[case(json!({"x": "1"}), json!({"matchLabels": {"y": "2"}}), json!({"matchLabels": {"y": "2"}}))]
#[case(json!(null), json!({"matchLabels": {}}), json!({"matchLabels": {}}))]
fn the_selector_of_a_disruption_budget_is_replaced(
    #[case] before: Value,
    #[case] patch: Value,
    #[case] expected: Value,
) {
    let document = |selector: Value| {
        let mut document = json!({"kind": "PodDisruptionBudget", "spec": {"minAvailable": 1}});
        if !selector.is_null() {
            document["spec"]["selector"] = selector;
        }
        document
    };
    let patch = json!({"spec": {"selector": patch}});
    let merged = strategic_merge_patch(&document(before), &patch, &Schema::default());
    assert_eq!(merged, Ok(document(expected)));
}

fn bad(reason: &str) -> PatchError {
    PatchError::BadRequest(reason.to_owned())
}

fn broken(reason: &str) -> PatchError {
    PatchError::Internal(reason.to_owned())
}

#[rstest]
#[case::no_object(
    json!([]),
    bad("json: cannot unmarshal array into Go value of type map[string]interface {}")
)]
#[case::no_key(
    json!({"containers": [{"image": "c:1"}]}),
    broken("map: map[image:c:1] does not contain declared merge key: name")
)]
#[case::no_key_to_delete(
    json!({"containers": [{"$patch": "delete"}]}),
    broken("map: map[$patch:delete] does not contain declared merge key: name")
)]
#[case::an_unknown_directive(
    json!({"strategy": {"$patch": "merge"}}),
    broken("unknown patch type: merge in map: map[$patch:merge]")
)]
#[case::lists_are_not_merged_by_directive(
    json!({"containers": [{"$patch": "merge", "name": "a"}]}),
    broken("merging lists cannot yet be specified in the patch")
)]
#[case::other_items(
    json!({"containers": ["a"]}),
    broken(
        "list element types are not identical: [[map[args:[x] image:a:1 name:a \
         ports:[map[containerPort:80]]] map[image:b:1 name:b]] [a]]"
    )
)]
#[case::lists_in_lists(
    json!({"$deleteFromPrimitiveList/new": [], "finalizers": [["a"]]}),
    broken("list element types are not identical: [[f g] [[a]]]")
)]
#[case::not_retained(
    json!({"strategy": {"$retainKeys": ["rolling"], "type": "x"}}),
    bad("invalid patch format of retainKeys")
)]
#[case::no_keys_to_retain(
    json!({"strategy": {"$retainKeys": "type"}}),
    bad("invalid patch format of retainKeys")
)]
#[case::delete_from_what(
    json!({"$deleteFromPrimitiveList": ["a"]}),
    bad("invalid patch format of primitive list")
)]
#[case::order_of_what(
    json!({"$setElementOrder": ["a"]}),
    bad("invalid patch format of setElementOrder list")
)]
#[case::no_order(
    json!({"$setElementOrder/finalizers": "a"}),
    broken("expected a []interface {}, but received a string")
)]
#[case::not_in_the_order(
    json!({"$setElementOrder/finalizers": ["g"], "finalizers": ["h"]}),
    broken("The order in patch list:\n[h]\n doesn't match $setElementOrder list:\n[g]\n")
)]
fn refuses(#[case] patch: Value, #[case] error: PatchError) {
    let merged = strategic_merge_patch(&document(), &patch, &schema());
    assert_eq!(merged, Err(error));
}

/// Any values, with the names that mean something.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        prop::sample::select(vec!["a", "b", "delete", "replace", "merge"]).prop_map(Value::from),
        (0..3).prop_map(Value::from),
    ];
    let names = vec![
        "name",
        "containers",
        "finalizers",
        "args",
        "strategy",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$setElementOrder/finalizers",
        "$deleteFromPrimitiveList/finalizers",
        "$deleteFromPrimitiveList/containers",
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let name = prop::sample::select(names.clone()).prop_map(str::to_owned);
        let fields = prop::collection::btree_map(name, inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            fields.prop_map(|fields| json!(fields)),
        ]
    })
}

proptest! {
    #[test]
    fn no_patch_is_too_strange(document in anything(), patch in anything()) {
        let _ = strategic_merge_patch(&document, &patch, &schema());
        let _ = crate::patch::merge_patch(&document, &patch);
        let _ = crate::patch::json_patch(&document, &patch);
    }

    #[test]
    fn what_is_merged_twice_is_as_merged_once(fields in prop::collection::btree_map(
        prop::sample::select(vec!["a", "b", "c", "d"]), 0..3, 0..4,
    )) {
        let items = fields.iter().map(|(name, value)| json!({"name": name, "image": value}));
        let patch = json!({"containers": items.collect::<Vec<_>>()});
        let once = strategic_merge_patch(&document(), &patch, &schema()).unwrap();
        let twice = strategic_merge_patch(&once, &patch, &schema());
        prop_assert_eq!(twice, Ok(once));
    }
}

#[test]
fn a_patch_ends_when_its_time_has_passed() {
    let (document, patch) = (json!({"spec": {"a": 1}}), json!({"spec": {"b": 1}}));
    let late = || strategic_merge_patch(&document, &patch, &Schema::default());
    assert_eq!(crate::work::too_late(late), Err(PatchError::Timeout));
    let late = || crate::patch::merge_patch(&document, &patch);
    assert_eq!(crate::work::too_late(late), Err(PatchError::Timeout));
}

#[test]
fn many_keys_are_retained_at_once() {
    let names: Vec<String> = (0..200_000).map(|number| format!("key-{number}")).collect();
    let fields: Map<String, Value> = names.iter().map(|name| (name.clone(), json!(1))).collect();
    let mut patch = fields.clone();
    patch.insert("$retainKeys".to_owned(), json!(names));
    let made = strategic_merge_patch(&fields.clone().into(), &patch.into(), &Schema::default());
    assert_eq!(made, Ok(fields.into()));
}
