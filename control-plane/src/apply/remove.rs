//! Takes fields out of an object.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use super::shape::{ListShape, MapShape, Shape};
use crate::schema::Schema;
use crate::work::is_late;

/// The object without the fields of a set. What loses everything becomes `null`.
pub(super) fn remove<'v>(value: &'v Value, fields: &FieldSet, schema: &Schema) -> Cow<'v, Value> {
    if fields.is_empty() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(remove_below(value, fields, schema))
}

fn remove_below(value: &Value, set: &FieldSet, schema: &Schema) -> Value {
    if is_late(value) {
        return Value::Null;
    }
    if set.is_empty() {
        return value.clone();
    }
    match Shape::of(schema, value) {
        Shape::Scalar => value.clone(),
        Shape::Map(map) => remove_fields(value, set, map),
        Shape::List(list) => remove_items(value, set, list),
    }
}

fn remove_fields(value: &Value, set: &FieldSet, map: MapShape<'_>) -> Value {
    let mut kept = Map::new();
    let fields = value.as_object().filter(|_| !map.is_atomic());
    for (name, field) in fields.into_iter().flatten() {
        match set.field(name) {
            Some(node) if node.owned => {}
            Some(node) => {
                let field = remove_below(field, &node.below, map.field(name));
                kept.insert(name.clone(), field);
            }
            None => {
                kept.insert(name.clone(), field.clone());
            }
        }
    }
    if kept.is_empty() {
        return Value::Null;
    }
    Value::Object(kept)
}

fn remove_items(value: &Value, set: &FieldSet, list: ListShape<'_>) -> Value {
    let mut kept = Vec::new();
    let items = value.as_array().filter(|_| !list.is_atomic());
    for item in items.into_iter().flatten() {
        let element = list.element(item).ok();
        match element.and_then(|element| set.get(&element)) {
            Some(node) if node.owned => {}
            Some(node) => kept.push(remove_below(item, &node.below, list.items())),
            None => kept.push(item.clone()),
        }
    }
    if kept.is_empty() {
        return Value::Null;
    }
    Value::Array(kept)
}
