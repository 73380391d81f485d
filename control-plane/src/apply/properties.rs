//! What holds for all objects.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::element::PathElement;
use super::fixture::*;
use super::*;
use crate::schema::ListKind;

fn element() -> impl Strategy<Value = PathElement> {
    let scalar = || {
        prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            ".{0,4}".prop_map(Value::from),
        ]
    };
    let key = prop::collection::btree_map("[a-z]{1,3}", scalar(), 1..3);
    prop_oneof![
        ".{0,4}".prop_map(PathElement::Field),
        key.prop_map(|fields| PathElement::key(fields.into_iter().collect())),
        scalar().prop_map(PathElement::Value),
        (0..9_i64).prop_map(PathElement::Index),
    ]
}

fn field_set() -> impl Strategy<Value = FieldSet> {
    let leaf = Just(FieldSet::default());
    leaf.prop_recursive(3, 24, 4, |below| {
        prop::collection::vec((element(), any::<bool>(), below), 0..4).prop_map(|nodes| {
            let mut set = FieldSet::default();
            for (element, owned, below) in nodes {
                set.add(element, owned, below);
            }
            set
        })
    })
}

/// Sets with few names, so that they meet.
fn narrow_field_set() -> impl Strategy<Value = FieldSet> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4);
    prop::collection::vec(path, 0..6).prop_map(|paths| {
        let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
        FieldSet::of(&paths)
    })
}

fn paths(set: &FieldSet) -> BTreeSet<String> {
    set.paths().into_iter().collect()
}

proptest! {
    #[test]
    fn fields_v1_keeps_every_set(set in field_set()) {
        let fields = set.to_fields_v1();
        prop_assert_eq!(FieldSet::from_fields_v1(&fields), Some(set));
    }

    #[test]
    fn sets_are_sets(a in narrow_field_set(), b in narrow_field_set()) {
        let (paths_a, paths_b) = (paths(&a), paths(&b));
        let mut union = a.clone();
        union.unite(b.clone());
        prop_assert_eq!(paths(&union), &paths_a | &paths_b);
        let mut difference = a.clone();
        difference.subtract(&b);
        prop_assert_eq!(paths(&difference), &paths_a - &paths_b);
        prop_assert_eq!(paths(&a.intersection(&b)), &paths_a & &paths_b);
        let mut outside = a;
        outside.subtract_all(&b);
        let is_in = |path: &String| {
            paths_b.iter().any(|parent| *path == *parent || path.starts_with(&format!("{parent}.")))
        };
        let expected = paths_a.into_iter().filter(|path| !is_in(path));
        prop_assert_eq!(paths(&outside), expected.collect::<BTreeSet<_>>());
    }
}

/// A custom resource with every sort of field.
fn world() -> World {
    let item = object(&[
        ("name", text()),
        ("value", number()),
        ("tags", list(text(), ListKind::Set)),
    ]);
    World::custom(&[(
        "spec",
        object(&[
            ("numbers", map_of(number())),
            ("items", keyed(&["name"], item)),
            ("tags", list(text(), ListKind::Set)),
            ("whole", list(text(), ListKind::Atomic)),
        ]),
    )])
}

/// A part of an object that one manager can own alone.
#[derive(Clone, Debug)]
enum Part {
    Number(String, i64),
    Item(String, i64, BTreeSet<String>),
    Tag(String),
    Whole(Vec<String>),
}

fn name() -> impl Strategy<Value = String> {
    "[a-f]"
}

fn part() -> impl Strategy<Value = Part> {
    let tags = prop::collection::btree_set(name(), 0..3);
    prop_oneof![
        (name(), 0..9_i64).prop_map(|(name, value)| Part::Number(name, value)),
        (name(), 0..9_i64, tags).prop_map(|(name, value, tags)| Part::Item(name, value, tags)),
        name().prop_map(Part::Tag),
        prop::collection::vec(name(), 1..3).prop_map(Part::Whole),
    ]
}

/// Parts that do not overlap, each with one of two owners.
fn parts() -> impl Strategy<Value = Vec<(Part, bool)>> {
    prop::collection::vec((part(), any::<bool>()), 0..10).prop_map(|parts| {
        let mut seen = BTreeSet::new();
        let parts = parts.into_iter();
        parts
            .filter(|(part, _)| {
                seen.insert(match part {
                    Part::Number(name, _) => format!("number {name}"),
                    Part::Item(name, ..) => format!("item {name}"),
                    Part::Tag(name) => format!("tag {name}"),
                    Part::Whole(_) => "whole".to_owned(),
                })
            })
            .collect()
    })
}

/// The configuration of these parts.
fn config<'a>(world: &World, parts: impl Iterator<Item = &'a Part>) -> Value {
    let mut numbers = Map::new();
    let (mut items, mut tags, mut whole) = (Vec::new(), Vec::new(), None);
    for part in parts {
        match part {
            Part::Number(name, value) => {
                numbers.insert(name.clone(), json!(value));
            }
            Part::Item(name, value, tags) => {
                let mut item = json!({"name": name, "value": value});
                if !tags.is_empty() {
                    item["tags"] = json!(tags);
                }
                items.push(item);
            }
            Part::Tag(tag) => tags.push(tag),
            Part::Whole(values) => whole = Some(values),
        }
    }
    let mut spec = Map::new();
    let lists = [("items", json!(items)), ("tags", json!(tags))];
    let lists = lists.into_iter().filter(|(_, list)| *list != json!([]));
    spec.extend(lists.map(|(name, list)| (name.to_owned(), list)));
    if !numbers.is_empty() {
        spec.insert("numbers".to_owned(), json!(numbers));
    }
    if let Some(whole) = whole {
        spec.insert("whole".to_owned(), json!(whole));
    }
    world.object(json!({"spec": spec}))
}

/// The object without its owners, and with lists in one order. What has lost all its fields is
/// `null`.
fn sorted(object: &Value) -> Value {
    let mut object = content(object);
    if object["spec"].is_null() {
        object["spec"] = json!({});
    }
    for list in ["items", "tags"] {
        if let Some(items) = object["spec"].get_mut(list) {
            let items = items.as_array_mut().unwrap();
            items.sort_by_key(ToString::to_string);
        }
    }
    object
}

proptest! {
    #[test]
    fn applying_again_changes_nothing(parts in parts()) {
        let world = world();
        let config = config(&world, parts.iter().map(|(part, _)| part));
        let object = world.applied(None, &config, "me", 0).unwrap();
        prop_assert_eq!(content(&object), config.clone());
        prop_assert_eq!(world.applied(Some(&object), &config, "me", 9).unwrap(), object);
    }

    #[test]
    fn who_owns_other_fields_is_not_in_the_way(parts in parts()) {
        let world = world();
        let of = |owner: bool| {
            let parts = parts.iter().filter(|(_, second)| *second == owner);
            config(&world, parts.map(|(part, _)| part))
        };
        let (first, second) = (of(false), of(true));
        let both = config(&world, parts.iter().map(|(part, _)| part));
        let alone = world.applied(None, &first, "first", 0).unwrap();
        let object = world.applied(Some(&alone), &second, "second", 1).unwrap();
        prop_assert_eq!(sorted(&object), sorted(&both));
        // Who lets go of everything leaves the other alone.
        let nothing = world.object(json!({"spec": {}}));
        let object = world.applied(Some(&object), &nothing, "second", 2).unwrap();
        prop_assert_eq!(sorted(&object), sorted(&alone));
        prop_assert_eq!(owned_by(&object, "first"), owned_by(&alone, "first"));
    }

    #[test]
    fn an_update_owns_what_it_changed(
        old in prop::collection::btree_map(name(), 0..3_i64, 0..6),
        new in prop::collection::btree_map(name(), 0..3_i64, 0..6),
    ) {
        let world = world();
        let object = |numbers: &BTreeMap<String, i64>| world.object(json!({"spec": {"numbers": numbers}}));
        let before = world.updated(None, object(&old), "first", 0);
        let mut after = before.clone();
        after["spec"]["numbers"] = json!(new);
        let after = world.updated(Some(&before), after, "second", 1);
        let owned = |manager: &str| {
            let fields = owned_by(&after, manager).unwrap_or_default();
            let fields = fields["f:spec"]["f:numbers"].as_object().cloned().unwrap_or_default();
            let names = fields.into_iter().filter_map(|(name, _)| Some(name.strip_prefix("f:")?.to_owned()));
            names.collect::<BTreeSet<String>>()
        };
        let (same, changed): (BTreeMap<_, _>, BTreeMap<_, _>) =
            new.into_iter().partition(|(name, value)| old.get(name) == Some(value));
        prop_assert_eq!(owned("second"), changed.into_keys().collect());
        prop_assert_eq!(owned("first"), same.into_keys().collect());
    }

    #[test]
    fn no_object_is_too_strange(old in anything(), new in anything(), config in anything()) {
        let world = world();
        let (old, mut new) = (world.object(old), world.object(new));
        update(Some(&old), &mut new, &world.target(), &manager("me", 0));
        let config = world.object(config);
        let _ = world.applied(Some(&new), &config, "me", 0);
        let _ = world.forced(Some(&old), &config, "me", 0);
    }
}

/// Objects with fields of the type, but with any values.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!({"name": "a"})),
        any::<i8>().prop_map(Value::from),
        name().prop_map(Value::from),
    ];
    let names = vec![
        "spec",
        "numbers",
        "items",
        "tags",
        "whole",
        "metadata",
        "managedFields",
        "name",
        "labels",
        "annotations",
        "fieldsV1",
        "f:spec",
        "finalizers",
    ];
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        let name = prop::sample::select(names.clone()).prop_map(str::to_owned);
        let fields = prop::collection::btree_map(name, inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            fields.prop_map(|fields| json!(fields)),
        ]
    });
    let fields = vec!["spec", "metadata", "status"];
    let name = prop::sample::select(fields).prop_map(str::to_owned);
    prop::collection::btree_map(name, value, 0..3).prop_map(|fields| json!(fields))
}
