//! Cells that kinds have in common.

use serde_json::Value;

use crate::meta::{fields, is_deleting, items, number, strings, text};

pub(super) fn text_at(object: &Value, pointer: &str) -> Value {
    text(object, pointer).into()
}

pub(super) fn number_at(object: &Value, pointer: &str) -> Value {
    number(object, pointer).unwrap_or(0).into()
}

/// The text at a pointer, or another.
pub(super) fn or(object: &Value, pointer: &str, other: &str) -> Value {
    match text(object, pointer) {
        "" => other.into(),
        text => text.into(),
    }
}

/// The number or text at a pointer as text, or another.
pub(super) fn int_or(object: &Value, pointer: &str, other: &str) -> Value {
    match object.pointer(pointer) {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Number(number)) => number.to_string().into(),
        _ => other.into(),
    }
}

/// How many items a list has.
pub(super) fn count(object: &Value, pointer: &str) -> Value {
    items(object, pointer).len().into()
}

pub(super) fn flag(object: &Value, pointer: &str) -> Value {
    let flag = object.pointer(pointer).and_then(Value::as_bool);
    let text = match flag {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    text.into()
}

pub(super) fn data_count(object: &Value) -> Value {
    let entries = ["/data", "/binaryData"]
        .map(|pointer| fields(object, pointer).map_or(0, serde_json::Map::len));
    entries.iter().sum::<usize>().into()
}

/// `key=value,…`, in order; `<none>` if there are none.
pub(super) fn labels_of(object: &Value, pointer: &str) -> Value {
    let labels = fields(object, pointer).into_iter().flatten();
    let labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    none_if_empty(labels.join(","))
}

pub(super) fn none_if_empty(text: String) -> Value {
    if text.is_empty() {
        "<none>".into()
    } else {
        text.into()
    }
}

/// A label selector as text.
pub(super) fn label_selector(object: &Value, pointer: &str) -> Value {
    let selector = object.pointer(pointer);
    let labels = selector.and_then(|selector| selector.get("matchLabels"));
    let expressions = items(object, &format!("{pointer}/matchExpressions"));
    if labels.is_none() && expressions.is_empty() {
        // A replication controller's selector is a plain map.
        return match selector {
            Some(Value::Object(all)) if all.values().all(Value::is_string) => {
                labels_of(object, pointer)
            }
            _ => "<none>".into(),
        };
    }
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    let mut terms: Vec<(String, String)> = labels
        .map(|(key, value)| {
            (
                key.clone(),
                format!("{key}={}", value.as_str().unwrap_or_default()),
            )
        })
        .collect();
    for expression in expressions {
        let key = text(expression, "/key");
        let mut values = strings(expression, "/values");
        values.sort();
        let values = values.join(",");
        let term = match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        };
        terms.push((key.to_owned(), term));
    }
    terms.sort();
    let terms: Vec<_> = terms.into_iter().map(|(_, term)| term).collect();
    none_if_empty(terms.join(","))
}

fn joined(object: &Value, pointer: &str, field: &str) -> Value {
    let parts: Vec<_> = items(object, pointer)
        .iter()
        .map(|item| text(item, field))
        .collect();
    parts.join(",").into()
}

pub(super) fn containers(object: &Value, pointer: &str) -> Value {
    joined(object, pointer, "/name")
}

pub(super) fn images(object: &Value, pointer: &str) -> Value {
    joined(object, pointer, "/image")
}

pub(super) fn ready_of(object: &Value) -> Value {
    let ready = number(object, "/status/readyReplicas").unwrap_or(0);
    let wanted = number(object, "/spec/replicas").unwrap_or(0);
    format!("{ready}/{wanted}").into()
}

pub(super) fn phase(object: &Value) -> Value {
    if is_deleting(object) {
        return "Terminating".into();
    }
    text_at(object, "/status/phase")
}
