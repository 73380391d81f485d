//! Finds the values that are twice in a set, and the items of a map list with the same keys.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::schema::{FieldError, Form, List, ListKind, Path, Schema, render};
use crate::work::is_late;

/// Checks every set and map list in a value.
pub(super) fn check(schema: &Schema, value: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    if is_late(value) {
        return;
    }
    match (&schema.form, value) {
        (Form::Object(object), Value::Object(fields)) => {
            for (name, value) in fields {
                if let Some(schema) = object.properties.get(name) {
                    check(schema, value, &path.field(name), errors);
                } else if let Some(schema) = &object.additional {
                    check(schema, value, &path.key(name), errors);
                }
            }
        }
        (Form::List(list), Value::Array(items)) => {
            check_list(list, items, path, errors);
            for (index, item) in items.iter().enumerate() {
                check(&list.items, item, &path.index(index), errors);
            }
        }
        _ => {}
    }
}

fn check_list(list: &List, items: &[Value], path: &Path<'_>, errors: &mut Vec<FieldError>) {
    match &list.kind {
        ListKind::Atomic => {}
        ListKind::Set => {
            for index in doubles(items.iter().map(render::json)) {
                if let Some(item) = items.get(index) {
                    errors.push(FieldError::duplicate(&path.index(index), item.clone()));
                }
            }
        }
        ListKind::Map(keys) => {
            let is_item = |item: &Value| item.is_object() || item.is_null();
            let odd = items.iter().enumerate().find(|(_, item)| !is_item(item));
            if let Some((index, item)) = odd {
                let detail = "must be an object for an array of list-type map";
                let path = path.index(index);
                errors.push(FieldError::invalid(&path, item.clone(), detail));
                return;
            }
            let of_item = |item: &Value| Value::Object(keys_of(item, keys));
            let found: Vec<_> = items.iter().map(of_item).collect();
            for index in doubles(found.iter().map(render::json)) {
                if let Some(keys) = found.get(index) {
                    errors.push(FieldError::duplicate(&path.index(index), keys.clone()));
                }
            }
        }
    }
}

fn keys_of(item: &Value, keys: &[String]) -> Map<String, Value> {
    let known = |key: &String| Some((key.clone(), item.get(key)?.clone()));
    keys.iter().filter_map(known).collect()
}

/// Where something is for the second time.
fn doubles(values: impl Iterator<Item = String>) -> Vec<usize> {
    let mut seen = BTreeMap::new();
    let mut doubles = Vec::new();
    for (index, value) in values.enumerate() {
        let times: &mut usize = seen.entry(value).or_default();
        *times += 1;
        if *times == 2 {
            doubles.push(index);
        }
    }
    doubles
}
