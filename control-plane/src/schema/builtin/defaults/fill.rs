//! Small steps that defaults are made of.

use serde_json::{Map, Value};

/// Gives a field a value if it has none. Null and the empty text are none.
pub(super) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = object {
        let current = fields.get(field);
        if current.is_none_or(|current| current.is_null() || current == "") {
            fields.insert(field.to_string(), value.into());
        }
    }
}

/// Gives a number a value if it has none, or 0.
pub(super) fn set_number(object: &mut Value, field: &str, value: i64) {
    if object.get(field).is_some_and(|current| *current == 0)
        && let Some(current) = object.get_mut(field)
    {
        *current = Value::from(value);
    }
    set(object, field, value);
}

/// A field that is an object, made if it is not there.
pub(super) fn child<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    set(object, field, Map::new());
    object.get_mut(field).filter(|value| value.is_object())
}

/// Does something to a field that is an object, made if it is not there.
pub(super) fn within(object: &mut Value, field: &str, fill: impl FnOnce(&mut Value)) {
    if let Some(child) = child(object, field) {
        fill(child);
    }
}

/// Does something to a field if it is there.
pub(super) fn where_there(object: &mut Value, field: &str, fill: impl FnOnce(&mut Value)) {
    if let Some(child) = object.get_mut(field).filter(|value| !value.is_null()) {
        fill(child);
    }
}

/// Does something to every item of a list.
pub(super) fn each(object: &mut Value, field: &str, fill: impl FnMut(&mut Value)) {
    if let Some(Value::Array(items)) = object.get_mut(field) {
        items.iter_mut().for_each(fill);
    }
}

/// Whether a field holds nothing.
pub(super) fn is_unset(object: &Value, field: &str) -> bool {
    match object.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(_) => false,
    }
}

/// Copies the entries of one map to another where that lacks them.
pub(super) fn add_missing(object: &mut Value, field: &str, from: &Value) {
    let Some(from) = from.as_object().filter(|from| !from.is_empty()) else {
        return;
    };
    within(object, field, |to| {
        for (name, value) in from {
            set(to, name, value.clone());
        }
    });
}

/// Gives a field a value in place of one that counts as none.
pub(super) fn replace_if_unset(object: &mut Value, field: &str, value: &Value) {
    if is_unset(object, field)
        && let Value::Object(fields) = object
    {
        fields.insert(field.to_string(), value.clone());
    }
}
