//! An applied configuration that is not of its type.

use std::fmt;

use serde_json::Value;

use super::element::PathElement;
use super::shape::{ListShape, MapShape, Shape};
use crate::patch::print;
use crate::schema::{Form, Schema};

/// What is wrong with a value, in the words of structured-merge-diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid(pub(super) Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    path: String,
    reason: String,
}

impl Problem {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            reason: reason.into(),
        }
    }

    /// The problem, seen from one step above.
    pub(super) fn under(mut self, step: impl Into<String>) -> Self {
        self.path.insert_str(0, &step.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.reason),
            path => write!(f, "{path}: {}", self.reason),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = self.0.as_slice() {
            return problem.fmt(f);
        }
        f.write_str("errors:")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Checks that a value is of its type: every field is known, no two items are the same.
pub(super) fn check(value: &Value, schema: &Schema) -> Result<(), Invalid> {
    let mut problems = Vec::new();
    check_value(value, schema, &mut problems);
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Invalid(problems)),
    }
}

fn check_value(value: &Value, schema: &Schema, problems: &mut Vec<Problem>) {
    let reason = match (Shape::of(schema, value), value) {
        (_, Value::Null) => None,
        (Shape::Map(map), Value::Object(_)) => return check_fields(value, map, problems),
        (Shape::List(list), Value::Array(_)) => return check_items(value, list, problems),
        (Shape::Map(_), _) => Some(format!("expected map, got &{{{}}}", print::plain(value))),
        (Shape::List(_), _) => Some(format!("expected list, got &{{{}}}", print::plain(value))),
        (Shape::Scalar, _) => check_scalar(value, schema),
    };
    problems.extend(reason.map(Problem::new));
}

fn check_scalar(value: &Value, schema: &Schema) -> Option<String> {
    let is_scalar = !value.is_object() && !value.is_array();
    let printed = || format!("&{{{}}}", print::plain(value));
    match &schema.form {
        Form::Integer | Form::Number if !value.is_number() => {
            let found = print::type_name(value);
            Some(format!("expected numeric (int or float), got {found}"))
        }
        Form::Boolean if !value.is_boolean() => {
            Some(format!("expected boolean, got {}", printed()))
        }
        Form::String(format) => match format.as_deref() {
            None | Some("byte") if !value.is_string() => {
                let found = print::syntax(value);
                Some(format!(
                    "expected string, got &value.valueUnstructured{{Value:{found}}}"
                ))
            }
            Some(format) if format != "byte" && !is_scalar => {
                Some(format!("expected any scalar, got {}", printed()))
            }
            _ => None,
        },
        Form::IntOrString if !is_scalar => Some(format!("expected any scalar, got {}", printed())),
        _ => None,
    }
}

fn check_fields(value: &Value, map: MapShape<'_>, problems: &mut Vec<Problem>) {
    for (name, field) in value.as_object().into_iter().flatten() {
        let step = format!(".{name}");
        let Some(schema) = map.known_field(name) else {
            // The real server looks no further here, either.
            problems.push(Problem::new("field not declared in schema").under(step));
            return;
        };
        check_below(step, field, schema, problems);
    }
}

fn check_items(value: &Value, list: ListShape<'_>, problems: &mut Vec<Problem>) {
    let mut seen = Vec::new();
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        let element = if list.is_atomic() {
            PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX))
        } else {
            match list.element(item) {
                Ok(element) => element,
                Err(reason) => {
                    problems.push(Problem::new(format!("element {index}: {reason}")));
                    return;
                }
            }
        };
        if !list.is_atomic() && seen.contains(&element) {
            let reason = format!("duplicate entries for key {element}");
            problems.push(Problem::new(reason));
        }
        check_below(element.to_string(), item, list.items(), problems);
        seen.push(element);
    }
}

fn check_below(step: String, value: &Value, schema: &Schema, problems: &mut Vec<Problem>) {
    let mut below = Vec::new();
    check_value(value, schema, &mut below);
    let below = below.into_iter();
    problems.extend(below.map(|problem| problem.under(step.as_str())));
}
