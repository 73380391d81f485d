//! The form in which objects of built-in types are stored.
//!
//! The real server reads JSON into Go structs and writes them again. That drops nulls, empty lists
//! and empty maps, and writes quantities in one way.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use super::kinds;
use super::quantity::Quantity;
use crate::schema::metadata::empty_nulls;
use crate::schema::{Form, Object, Schema};
use crate::work::is_late;

/// Fields that stay, though they hold nothing.
const KEPT: &[&str] = &[
    "currentMetrics",
    "endpoints",
    "nonResourceRules",
    "resourceRules",
    "rules",
    "verbs",
];

/// Quantities that stand by themselves. Others are values of maps.
const QUANTITIES: &[&str] = &["averageValue", "divisor", "sizeLimit", "value"];

/// Brings a value into the form in which it is stored.
pub(super) fn normalize(schema: &Schema, value: &mut Value) {
    if is_late(value) {
        return;
    }
    match (&schema.form, value) {
        (Form::Object(object), Value::Object(fields)) => normalize_fields(object, fields),
        (Form::List(list), Value::Array(items)) => {
            if is_text(&list.items) {
                empty_nulls(items.iter_mut());
            }
            empty_objects(&list.items, items.iter_mut());
            for item in items {
                normalize(&list.items, item);
            }
        }
        _ => {}
    }
}

fn is_text(schema: &Schema) -> bool {
    matches!(schema.form, Form::String(_))
}

/// A null among objects is an object without fields, as Go reads it.
fn empty_objects<'a>(schema: &Schema, values: impl Iterator<Item = &'a mut Value>) {
    if matches!(schema.form, Form::Object(_)) {
        for value in values.filter(|value| value.is_null()) {
            *value = Value::Object(Map::new());
        }
    }
}

fn normalize_fields(object: &Object, fields: &mut Map<String, Value>) {
    let is_amounts = object.additional.as_ref().is_some_and(is_quantity);
    if object.additional.as_deref().is_some_and(is_text) {
        empty_nulls(fields.values_mut());
    }
    fields.retain(|name, value| {
        let Some(schema) = object.schema_of(name) else {
            return true;
        };
        if is_amounts || (schema.form == Form::IntOrString && QUANTITIES.contains(&name.as_str())) {
            canonicalize(value, is_amounts);
        }
        normalize(schema, value);
        !is_nothing(schema, value) || KEPT.contains(&name.as_str())
    });
    write_empty(object, fields);
}

/// Times of conditions, which Go writes even if they are not known.
const TIMES: [&str; 4] = [
    "lastHeartbeatTime",
    "lastProbeTime",
    "lastTransitionTime",
    "lastUpdateTime",
];

/// Adds what Go writes though it holds nothing: the times of conditions, the states of containers.
fn write_empty(object: &Object, fields: &mut Map<String, Value>) {
    let has = |name: &str| object.properties.contains_key(name);
    if has("type") && has("status") && has("lastTransitionTime") {
        for time in TIMES.into_iter().filter(|time| has(time)) {
            fields.entry(time).or_insert(Value::Null);
        }
    }
    if has("restartCount") && has("lastState") {
        for state in ["state", "lastState"] {
            fields.entry(state).or_insert_with(|| Map::new().into());
        }
    }
}

fn is_quantity(schema: &Arc<Schema>) -> bool {
    static QUANTITY: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        kinds::type_schema("io.k8s.apimachinery.pkg.api.resource.Quantity").unwrap_or_default()
    });
    Arc::ptr_eq(schema, &QUANTITY)
}

fn canonicalize(value: &mut Value, rounds: bool) {
    if let Some(quantity) = Quantity::of(value) {
        let quantity = if rounds {
            quantity.rounded_to_milli()
        } else {
            quantity
        };
        let text = quantity.to_string();
        if *value != text {
            *value = Value::String(text);
        }
    }
}

fn is_nothing(schema: &Schema, value: &Value) -> bool {
    match (&schema.form, value) {
        (_, Value::Null) => true,
        (Form::List(_), Value::Array(items)) => items.is_empty(),
        (Form::Object(object), Value::Object(fields)) => {
            fields.is_empty() && object.additional.is_some()
        }
        _ => false,
    }
}
