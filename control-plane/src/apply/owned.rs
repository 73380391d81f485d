//! The fields that a value sets.

use std::collections::BTreeMap;

use serde_json::Value;

use super::element::PathElement;
use super::field_set::FieldSet;
use super::shape::{ListShape, MapShape, Shape};
use crate::schema::Schema;
use crate::work::is_late;

impl FieldSet {
    /// The fields that a value sets, as a server-side apply of it would own them.
    pub fn of_value(value: &Value, schema: &Schema) -> Self {
        Owned::of(value, schema).below
    }
}

/// What a value sets.
#[derive(Default)]
struct Owned {
    /// It counts as one field.
    itself: bool,
    below: FieldSet,
}

impl Owned {
    fn of(value: &Value, schema: &Schema) -> Self {
        if is_late(value) {
            return Self::default();
        }
        let below = match Shape::of(schema, value) {
            Shape::Map(map) if !map.is_atomic() => fields(value, map),
            Shape::List(list) if !list.is_atomic() => items(value, list),
            _ => {
                return Self {
                    itself: true,
                    below: FieldSet::default(),
                };
            }
        };
        Self {
            itself: false,
            below,
        }
    }
}

fn fields(value: &Value, map: MapShape<'_>) -> FieldSet {
    let mut set = FieldSet::default();
    for (name, field) in value.as_object().into_iter().flatten() {
        let owned = Owned::of(field, map.field(name));
        let empty = match field {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        let itself = owned.itself || empty || !map.is_declared(name);
        set.add(PathElement::Field(name.clone()), itself, owned.below);
    }
    set
}

fn items(value: &Value, list: ListShape<'_>) -> FieldSet {
    // Items that nobody can tell apart are owned together, as one.
    let mut owned = BTreeMap::<PathElement, FieldSet>::new();
    let mut repeated = FieldSet::default();
    for item in value.as_array().into_iter().flatten() {
        let Ok(element) = list.element(item) else {
            continue;
        };
        let below = Owned::of(item, list.items()).below;
        if owned.insert(element.clone(), below).is_some() {
            repeated.add(element, true, FieldSet::default());
        }
    }
    let mut set = FieldSet::default();
    for (element, below) in owned {
        let below = match repeated.get(&element) {
            Some(_) => FieldSet::default(),
            None => below,
        };
        set.add(element, true, below);
    }
    set
}
