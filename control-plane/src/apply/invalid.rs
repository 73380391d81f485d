//! An applied configuration that is not of its type.

use std::fmt;

use std::collections::BTreeSet;

use serde_json::Value;

use super::shape::{ListShape, MapShape, Shape};
use crate::patch::print;
use crate::schema::{Form, Schema};
use crate::work::is_late;

/// What is wrong with a value, in the words of structured-merge-diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    pub(super) fn under(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
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

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client wants to apply it: every field is known, no two items are the same.
    Sent,
    /// It is in the store, and may be older than its schema.
    Stored,
}

/// Checks that a value is of its type.
pub(super) fn check(value: &Value, schema: &Schema, origin: Origin) -> Result<(), Invalid> {
    let mut check = Check {
        origin,
        problems: Vec::new(),
    };
    check.value(value, schema);
    if check.problems.is_empty() {
        return Ok(());
    }
    Err(Invalid(check.problems))
}

struct Check {
    origin: Origin,
    problems: Vec<Problem>,
}

impl Check {
    fn value(&mut self, value: &Value, schema: &Schema) {
        if is_late(value) {
            return;
        }
        let reason = match (Shape::of(schema, value), value) {
            (_, Value::Null) => None,
            (Shape::Map(map), Value::Object(_)) => return self.fields(value, map),
            (Shape::List(list), Value::Array(_)) => return self.items(value, list),
            (Shape::Map(_), _) => Some(format!("expected map, got &{{{}}}", print::plain(value))),
            (Shape::List(_), _) => Some(format!("expected list, got &{{{}}}", print::plain(value))),
            (Shape::Scalar, _) => check_scalar(value, schema),
        };
        self.problems.extend(reason.map(Problem::new));
    }

    fn fields(&mut self, value: &Value, map: MapShape<'_>) {
        for (name, field) in value.as_object().into_iter().flatten() {
            match map.known_field(name) {
                Some(schema) => self.below(|| format!(".{name}"), field, schema),
                None if self.origin == Origin::Stored => {}
                None => {
                    // The real server looks no further here, either.
                    let problem = Problem::new("field not declared in schema");
                    self.problems.push(problem.under(&format!(".{name}")));
                    return;
                }
            }
        }
    }

    fn items(&mut self, value: &Value, list: ListShape<'_>) {
        let mut seen = BTreeSet::new();
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            if list.is_atomic() {
                self.below(|| format!("[{index}]"), item, list.items());
                continue;
            }
            let element = match list.element(item) {
                Ok(element) => element,
                Err(reason) => {
                    let reason = format!("element {index}: {reason}");
                    self.problems.push(Problem::new(reason));
                    return;
                }
            };
            if self.origin == Origin::Sent && seen.contains(&element) {
                let reason = format!("duplicate entries for key {element}");
                self.problems.push(Problem::new(reason));
            }
            self.below(|| element.to_string(), item, list.items());
            seen.insert(element);
        }
    }

    fn below(&mut self, step: impl Fn() -> String, value: &Value, schema: &Schema) {
        let before = self.problems.len();
        self.value(value, schema);
        if self.problems.len() > before {
            let below = self.problems.split_off(before).into_iter();
            let below = below.map(|problem| problem.under(&step()));
            self.problems.extend(below);
        }
    }
}

fn check_scalar(value: &Value, schema: &Schema) -> Option<String> {
    let is_scalar = !value.is_object() && !value.is_array();
    let printed = || format!("&{{{}}}", print::plain(value));
    match &schema.form {
        Form::Integer | Form::ShortInteger | Form::Number if !value.is_number() => {
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
