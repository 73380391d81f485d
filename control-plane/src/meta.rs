//! Looking into objects.

use serde_json::{Map, Value};

/// The text at a JSON pointer; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The number at a JSON pointer.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// The list at a JSON pointer; empty if there is none.
pub(crate) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    match value.pointer(pointer) {
        Some(Value::Array(items)) => items,
        _ => &[],
    }
}

/// The texts at a JSON pointer; none if there is no list.
pub(crate) fn strings(value: &Value, pointer: &str) -> Vec<String> {
    let texts = items(value, pointer).iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// The fields at a JSON pointer.
pub(crate) fn fields<'a>(value: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    value.pointer(pointer).and_then(Value::as_object)
}

/// The metadata of an object, to be changed; made if it is not an object.
pub(crate) fn metadata(value: &mut Value) -> &mut Map<String, Value> {
    object(member(object(value), "metadata"))
}

/// A member that is an object, to be changed; made if it is not.
pub(crate) fn object_in<'a>(value: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    object(member(object(value), name))
}

fn member<'a>(fields: &'a mut Map<String, Value>, name: &str) -> &'a mut Value {
    fields.entry(name).or_insert(Value::Null)
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made an object"),
    }
}

/// The name of an object.
pub(crate) fn name(value: &Value) -> &str {
    text(value, "/metadata/name")
}

/// The namespace of an object; empty if it is cluster-scoped.
pub(crate) fn namespace(value: &Value) -> &str {
    text(value, "/metadata/namespace")
}

/// The uid of an object.
pub(crate) fn uid(value: &Value) -> &str {
    text(value, "/metadata/uid")
}

/// Whether somebody has asked for the object to be deleted.
pub(crate) fn is_deleting(value: &Value) -> bool {
    !text(value, "/metadata/deletionTimestamp").is_empty()
}

/// Sets a member, or takes it away if there is no value.
pub(crate) fn put(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            fields.insert(name.to_owned(), value);
        }
        None => {
            fields.remove(name);
        }
    }
}
