//! Objects as rows of tables, as `kubectl get` shows them.

mod autoscaler;
mod cells;
pub(crate) mod columns;
mod duration;
mod kinds;
mod network;
mod path;
mod pods;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kinds::{Column as CustomColumn, PrinterColumn, Resource};
use crate::meta::name;
use crate::schema::builtin::builtin_type;
use crate::schema::{Form, Schema};
use duration::since;

/// How the objects of a resource become rows.
pub(crate) enum Table<'a> {
    Builtin(Vec<PrinterColumn>, Timestamp),
    Custom(&'a [CustomColumn], Timestamp),
}

impl<'a> Table<'a> {
    pub(crate) fn of(resource: &'a Resource, now: Timestamp) -> Self {
        match (&resource.custom, resource.builtin) {
            (Some(custom), _) => Self::Custom(&custom.columns, now),
            (None, Some(builtin)) => Self::Builtin((builtin.columns)(), now),
            (None, None) => Self::Builtin(columns::created(), now),
        }
    }

    /// The column definitions.
    pub(crate) fn columns(&self) -> Value {
        match self {
            Self::Builtin(columns, _) => columns.iter().map(define).collect(),
            Self::Custom(columns, _) => {
                let name = definition("Name", "string", "name", &described("name"), 0);
                let others = columns.iter().map(|column| {
                    let CustomColumn {
                        name,
                        kind,
                        format,
                        description,
                        priority,
                        path,
                    } = column;
                    let description = if description.is_empty() {
                        format!("Custom resource definition column (in JSONPath format): {path}")
                    } else {
                        description.clone()
                    };
                    definition(name, kind, format, &description, *priority)
                });
                std::iter::once(name).chain(others).collect()
            }
        }
    }

    /// The cells of an object.
    pub(crate) fn cells(&self, object: &Value) -> Vec<Value> {
        match self {
            Self::Builtin(columns, now) => columns
                .iter()
                .map(|column| (column.cell)(object, *now))
                .collect(),
            Self::Custom(columns, now) => {
                let others = columns
                    .iter()
                    .map(|column| custom_cell(object, column, *now));
                std::iter::once(name(object).into()).chain(others).collect()
            }
        }
    }
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({
        "name": name,
        "type": kind,
        "format": format,
        "description": description,
        "priority": priority,
    })
}

fn define(column: &PrinterColumn) -> Value {
    let description = match column.name {
        "Name" => described("name"),
        "Age" | "Created At" => described("creationTimestamp"),
        _ => String::new(),
    };
    let PrinterColumn {
        name,
        kind,
        priority,
        ..
    } = column;
    let format = if *name == "Name" { "name" } else { "" };
    definition(name, kind, format, &description, *priority)
}

/// What the API says about a field of the metadata.
fn described(field: &str) -> String {
    let schema = builtin_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let described = |schema: &Schema| match &schema.form {
        Form::Object(object) => object.properties.get(field)?.description.clone(),
        _ => None,
    };
    schema.as_deref().and_then(described).unwrap_or_default()
}

fn custom_cell(object: &Value, column: &CustomColumn, now: Timestamp) -> Value {
    let Some(value) = path::first(object, &column.path) else {
        return Value::Null;
    };
    match (column.kind.as_str(), value) {
        ("string", Value::String(text)) => text.as_str().into(),
        ("string", Value::Null) => "<nil>".into(),
        ("string", value) => value.to_string().into(),
        ("integer", Value::Number(number)) => {
            let whole = number
                .as_i64()
                .or_else(|| number.as_f64().map(|float| float as i64));
            whole.map_or(Value::Null, Value::from)
        }
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) => since(now, text).into(),
        _ => Value::Null,
    }
}
