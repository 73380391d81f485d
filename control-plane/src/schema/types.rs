//! Whether a value is of the Go type that a built-in kind has, in the words of Go's decoder.

use serde_json::Value;

use super::{Form, Schema, builtin};
use crate::work::is_late;

/// A value of a wrong type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// What Go's decoder says.
    pub(crate) decoding: String,
    /// What is said where a map is made an object, as strategic merge patches do.
    pub(crate) converting: String,
}

impl Mismatch {
    fn of(words: String) -> Self {
        Self {
            converting: words.clone(),
            decoding: words,
        }
    }
}

/// The first value of a wrong type; none if all fit.
pub(crate) fn mismatch(schema: &Schema, value: &Value, kind: &str) -> Option<Mismatch> {
    let mut walk = Walk {
        owner: kind,
        path: String::new(),
    };
    walk.value(schema, value)
}

const NO_QUANTITY: &str = "quantities must match the regular expression \
                           '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// A quantity can be read.
fn is_sound(schema: &Schema, value: &Value) -> bool {
    let is_quantity = schema
        .type_name
        .as_deref()
        .is_some_and(|name| name.ends_with(".api.resource.Quantity"));
    !is_quantity || builtin::is_quantity(value)
}

struct Walk<'a> {
    owner: &'a str,
    path: String,
}

impl Walk<'_> {
    fn value(&mut self, schema: &Schema, value: &Value) -> Option<Mismatch> {
        if is_late(value) {
            return None;
        }
        match (&schema.form, value) {
            (Form::IntOrString, Value::Number(_) | Value::String(_))
                if !is_sound(schema, value) =>
            {
                Some(Mismatch::of(NO_QUANTITY.to_owned()))
            }
            (_, Value::Null)
            | (Form::Any, _)
            | (Form::Number, Value::Number(_))
            | (Form::Boolean, Value::Bool(_))
            | (Form::IntOrString, Value::Number(_) | Value::String(_)) => None,
            (Form::Object(object), Value::Object(fields)) => {
                fields.iter().find_map(|(name, field)| {
                    let known = object.properties.get(name).or(object.additional.as_ref())?;
                    let length = self.path.len();
                    // The fields of a map are not part of the path.
                    if object.properties.contains_key(name) {
                        self.path.push('.');
                        self.path.push_str(name);
                    }
                    let wrong = self.value(known, field);
                    self.path.truncate(length);
                    wrong
                })
            }
            (Form::List(list), Value::Array(items)) => {
                items.iter().find_map(|item| self.value(&list.items, item))
            }
            (Form::String(format), Value::String(text)) => format
                .as_deref()
                .and_then(|format| wrong_text(format, text))
                .map(Mismatch::of),
            (Form::Integer, Value::Number(number)) => {
                let found = format!("number {number}");
                number
                    .as_i64()
                    .is_none()
                    .then(|| self.cannot(&found, "int64"))
            }
            (Form::ShortInteger, Value::Number(number)) => {
                let fits = number
                    .as_i64()
                    .is_some_and(|number| i32::try_from(number).is_ok());
                let found = format!("number {number}");
                (!fits).then(|| self.cannot(&found, "int32"))
            }
            (form, value) => Some(self.cannot(found(value), wanted(form))),
        }
    }

    fn cannot(&self, found: &str, wanted: &str) -> Mismatch {
        let (owner, path) = (self.owner, &self.path);
        let owner = if path.starts_with(".metadata.") {
            "ObjectMeta"
        } else {
            owner
        };
        let converting = match wanted {
            _ if wanted.starts_with("[]") => {
                format!("cannot restore slice from {}", go_form(found))
            }
            _ if wanted.starts_with("map[") => {
                format!("cannot restore map from {}", go_form(found))
            }
            "int32" | "bool" | "string" | "float64" => format!("unrecognized type: {wanted}"),
            _ => format!("cannot restore struct from: {}", go_form(found)),
        };
        Mismatch {
            decoding: format!(
                "json: cannot unmarshal {found} into Go struct field {owner}{path} of type {wanted}"
            ),
            converting,
        }
    }
}

/// What Go calls the form of a value that was decoded without a type.
fn go_form(found: &str) -> &str {
    match found {
        "array" => "slice",
        "object" => "map",
        "number" => "int64",
        other => other,
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::String(_) | Value::Null => "string",
    }
}

fn wanted(form: &Form) -> &'static str {
    match form {
        Form::Object(object) if object.properties.is_empty() => "map[string]string",
        Form::Object(object) if object.properties.contains_key("uid") => "v1.ObjectMeta",
        Form::Object(_) => "struct",
        Form::List(_) => "[]string",
        Form::Integer => "int64",
        Form::ShortInteger => "int32",
        Form::Number => "float64",
        Form::Boolean => "bool",
        Form::IntOrString => "intstr.IntOrString",
        Form::String(_) | Form::Any => "string",
    }
}

/// What Go says about a text that is no time or no base64.
fn wrong_text(format: &str, text: &str) -> Option<String> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    match format {
        "date-time" if text.parse::<jiff::Timestamp>().is_err() => Some(format!(
            "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
        )),
        "byte" => {
            let stripped: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
            STANDARD.decode(&stripped).err().map(|error| {
                let at = match error {
                    base64::DecodeError::InvalidByte(at, _)
                    | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                    _ => stripped.len(),
                };
                format!("illegal base64 data at input byte {at}")
            })
        }
        _ => None,
    }
}
