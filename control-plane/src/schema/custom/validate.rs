//! Checks values against the demands of a schema, in the order and the words of `kube-openapi`.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::correlate::Correlation;
use super::node::{Bound, Node};
use super::number;
use super::pattern;
use crate::schema::{ErrorKind, FieldError, Path, render};
use crate::work::is_late;

/// Errors that are told of one object, at most. One more is kept, to know that there are more.
const MOST_ERRORS: usize = 100;

/// What is wrong with a value, each error once: the first of many.
pub(super) fn validate(
    node: &Node,
    value: &Value,
    path: &Path<'_>,
    correlation: Option<Correlation<'_>>,
) -> Vec<FieldError> {
    let mut errors = check_changed(node, value, path, correlation).errors;
    let are_too_many = errors.len() > MOST_ERRORS;
    errors.truncate(MOST_ERRORS);
    let mut known = HashSet::new();
    errors.retain(|error| known.insert(error.clone()));
    if are_too_many {
        let detail = format!("only the first {MOST_ERRORS} errors are shown");
        errors.push(FieldError::worded(ErrorKind::TooMany, path, detail));
    }
    errors
}

/// What was found, and how much was right. The alternative with the most that is right explains
/// best why none fits.
#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
    matches: usize,
}

impl Found {
    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    fn add(&mut self, error: FieldError) {
        if self.errors.len() <= MOST_ERRORS {
            self.errors.push(error);
        }
    }

    fn merge(&mut self, other: Self) {
        self.matches += other.matches;
        if self.errors.is_empty() {
            self.errors = other.errors;
        } else {
            let room = (MOST_ERRORS + 1).saturating_sub(self.errors.len());
            self.errors.extend(other.errors.into_iter().take(room));
        }
    }
}

impl From<Option<FieldError>> for Found {
    fn from(error: Option<FieldError>) -> Self {
        Self {
            errors: error.into_iter().collect(),
            matches: 0,
        }
    }
}

/// Checks a value. Errors of one that is as it was before are dropped.
fn check_changed(
    node: &Node,
    value: &Value,
    path: &Path<'_>,
    correlation: Option<Correlation<'_>>,
) -> Found {
    let mut found = check(node, value, path, correlation);
    if !found.is_valid() && correlation.is_some_and(Correlation::is_unchanged) {
        found.errors.clear();
    }
    found
}

fn check(
    node: &Node,
    value: &Value,
    path: &Path<'_>,
    correlation: Option<Correlation<'_>>,
) -> Found {
    let mut found = Found::default();
    if is_late(value) {
        return found;
    }
    let has_type = !node.types.is_empty() || node.format.is_some();
    if value.is_null() {
        if has_type {
            found.merge(check_type(node, value, path));
        }
        found.merge(check_enum(node, value, path).into());
        return found;
    }
    if has_type {
        found.merge(check_type(node, value, path));
        found.matches += 1;
    }
    found.merge(check_junctors(node, value, path, correlation));
    found.matches += 1;
    match value {
        Value::String(text) => {
            found.merge(check_text(node, text, path).into());
            found.matches += 1;
            if let Some(format) = &node.format {
                if !(format.check)(text) {
                    found.add(type_error(path, &format.name, text));
                }
                found.matches += 1;
            }
        }
        Value::Number(number) => {
            found.merge(check_number(node, number, path));
            found.matches += 1;
        }
        Value::Array(items) => {
            found.merge(check_items(node, items, path, correlation));
            found.matches += 1;
        }
        _ => {}
    }
    found.merge(check_enum(node, value, path).into());
    found.matches += 1;
    if let Value::Object(fields) = value {
        found.merge(check_fields(node, fields, path, correlation));
        found.matches += 1;
    }
    found.matches += 1;
    found
}

/// The field as messages name it: nothing for the object itself.
fn name(path: &Path<'_>) -> String {
    if path.is_root() {
        String::new()
    } else {
        path.to_string()
    }
}

fn invalid(path: &Path<'_>, value: impl Into<Value>, should: &str) -> FieldError {
    FieldError::invalid(path, value, format!("{} in body {should}", name(path)))
}

fn type_error(path: &Path<'_>, wanted: &str, actual: &str) -> FieldError {
    let name = name(path);
    let quoted = render::quoted(actual);
    let detail = format!("{name} in body must be of type {wanted}: {quoted}");
    FieldError::type_invalid(path, actual, detail)
}

fn check_type(node: &Node, value: &Value, path: &Path<'_>) -> Found {
    let fits = Found {
        matches: 1,
        ..Found::default()
    };
    let wanted = || node.types.join(",");
    let permits = |name| node.types.contains(&name);
    if value.is_null() {
        let is_fine = node.types.is_empty() || node.nullable;
        return if is_fine {
            fits
        } else {
            Some(type_error(path, &wanted(), "null")).into()
        };
    }
    let (actual, format) = match value {
        Value::Null | Value::Object(_) => ("object", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) if number.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
    };
    let is_whole = value.as_f64().is_some_and(number::is_whole);
    let is_permitted = permits(actual)
        || (actual == "number" && is_whole && permits("integer"))
        || (actual == "integer" && permits("number"));
    let is_text_or_list = value.is_string() || value.is_array();
    if let Some(wanted) = &node.format {
        if !is_text_or_list && !is_permitted {
            return Some(type_error(path, &wanted.name, format)).into();
        }
        if is_text_or_list && !permits("number") && !permits("integer") {
            return fits;
        }
    }
    if is_permitted {
        fits
    } else {
        Some(type_error(path, &wanted(), actual)).into()
    }
}

fn check_junctors(
    node: &Node,
    value: &Value,
    path: &Path<'_>,
    correlation: Option<Correlation<'_>>,
) -> Found {
    let mut found = Found::default();
    let quoted = || render::quoted(&name(path));
    let composite = |detail| FieldError::invalid(&Path::ROOT, "", detail);
    let check = |node: &Node| check(node, value, path, correlation);
    if !node.any_of.is_empty() {
        let results = Alternatives::check(&node.any_of, true, check);
        if results.valid == 0 {
            let detail = format!("{} must validate at least one schema (anyOf)", quoted());
            found.add(composite(detail));
        }
        found.merge(results.best);
    }
    if !node.one_of.is_empty() {
        let results = Alternatives::check(&node.one_of, false, check);
        if results.valid != 1 {
            let count = match results.valid {
                0 => "Found none valid".to_string(),
                count => format!("Found {count} valid alternatives"),
            };
            let quoted = quoted();
            found.add(composite(format!(
                "{quoted} must validate one and only one schema (oneOf). {count}"
            )));
        }
        if results.valid < 2 {
            found.merge(results.best);
        }
    }
    if !node.all_of.is_empty() {
        let mut valid = 0;
        for part in &node.all_of {
            let result = check(part);
            valid += usize::from(result.is_valid());
            found.merge(result);
        }
        if valid < node.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            let quoted = quoted();
            found.add(composite(format!(
                "{quoted} must validate all the schemas (allOf){none}"
            )));
        }
    }
    if node.not.as_deref().is_some_and(|not| check(not).is_valid()) {
        found.add(composite(format!(
            "{} must not validate the schema (not)",
            quoted()
        )));
    }
    found.matches += 1;
    found
}

/// What came of several alternatives.
struct Alternatives {
    valid: usize,
    /// The first that fits, or else the one that fits best.
    best: Found,
}

impl Alternatives {
    fn check(nodes: &[Node], first_wins: bool, check: impl Fn(&Node) -> Found) -> Self {
        let mut valid = 0;
        let mut best: Option<Found> = None;
        for node in nodes {
            let result = check(node);
            let is_better = match &best {
                None => true,
                Some(best) if result.is_valid() => !best.is_valid(),
                Some(best) => !best.is_valid() && result.matches > best.matches,
            };
            valid += usize::from(result.is_valid());
            if is_better {
                best = Some(result);
            }
            if first_wins && valid > 0 {
                break;
            }
        }
        Self {
            valid,
            best: best.unwrap_or_default(),
        }
    }
}

/// A count, to be compared with a bound.
fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Only the first thing that is wrong is told.
fn check_text(node: &Node, text: &str, path: &Path<'_>) -> Option<FieldError> {
    let length = count(text.chars().count());
    if let Some(max) = node.max_length.filter(|max| length > *max) {
        return Some(FieldError::too_long(
            path,
            usize::try_from(max).unwrap_or_default(),
        ));
    }
    if let Some(min) = node.min_length.filter(|min| length < *min) {
        let should = format!("should be at least {min} chars long");
        return Some(invalid(path, text, &should));
    }
    let pattern = node.pattern.as_ref()?;
    let should = || format!("should match '{pattern}'");
    // A pattern that is none was refused with the CRD.
    let regex = pattern::compiled(pattern).ok()?;
    (!regex.is_match(text)).then(|| invalid(path, text, &should()))
}

fn check_number(node: &Node, value: &serde_json::Number, path: &Path<'_>) -> Found {
    let mut found = Found::default();
    if let Some(factor) = node.multiple_of {
        match number::is_multiple(value, factor) {
            None => {
                let name = name(path);
                let factor_text = number::factor(value, factor);
                found.add(FieldError::invalid(
                    path,
                    factor,
                    format!(
                        "factor MultipleOf declared for {name} must be positive: {factor_text}"
                    ),
                ));
            }
            Some(false) => {
                let should = format!("should be a multiple of {}", number::factor(value, factor));
                found.add(invalid(path, value.clone(), &should));
            }
            Some(true) => {}
        }
    }
    let mut bound = |bound: Option<Bound>, is_maximum, word: &str| {
        let Some(bound) = bound.filter(|bound| !number::is_within(value, *bound, is_maximum))
        else {
            return;
        };
        let or_equal = if bound.is_exclusive {
            ""
        } else {
            " or equal to"
        };
        let limit = number::factor(value, bound.value);
        let should = format!("should be {word} than{or_equal} {limit}");
        found.add(invalid(path, value.clone(), &should));
    };
    bound(node.minimum, false, "greater");
    bound(node.maximum, true, "less");
    found.matches += 1;
    found
}

fn check_items(
    node: &Node,
    items: &[Value],
    path: &Path<'_>,
    correlation: Option<Correlation<'_>>,
) -> Found {
    let mut found = Found::default();
    if let Some(item_node) = &node.items {
        for (index, item) in items.iter().enumerate() {
            let correlation = correlation.and_then(|correlation| correlation.item(index));
            found.merge(check_changed(
                item_node,
                item,
                &path.index(index),
                correlation,
            ));
        }
    }
    let size = count(items.len());
    if let Some(min) = node.min_items.filter(|min| size < *min) {
        let should = format!("should have at least {min} items");
        found.add(invalid(path, size, &should));
    }
    if let Some(max) = node.max_items.filter(|max| size > *max) {
        let max = usize::try_from(max).unwrap_or_default();
        found.add(FieldError::too_many(path, items.len(), max));
    }
    let is_double = |(index, item)| items.iter().take(index).any(|other| other == item);
    if node.unique_items && items.iter().enumerate().any(is_double) {
        found.add(invalid(path, "", "shouldn't contain duplicates"));
    }
    found.matches += 1;
    found
}

fn check_enum(node: &Node, value: &Value, path: &Path<'_>) -> Option<FieldError> {
    if node.enumeration.is_empty() || node.enumeration.iter().any(|known| is_same(value, known)) {
        return None;
    }
    let words = |known: &Value| match known {
        Value::String(text) => text.clone(),
        known => render::json(known),
    };
    let known: Vec<_> = node.enumeration.iter().map(words).collect();
    Some(FieldError::not_supported(path, value.clone(), &known))
}

/// Null is never one of the values, even if it is listed.
fn is_same(value: &Value, known: &Value) -> bool {
    match (value, known) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Number(value), Value::Number(known)) => number::is_same(value, known),
        (value, known) => value == known,
    }
}

fn check_fields(
    node: &Node,
    fields: &Map<String, Value>,
    path: &Path<'_>,
    correlation: Option<Correlation<'_>>,
) -> Found {
    let mut found = Found::default();
    let size = count(fields.len());
    if let Some(min) = node.min_properties.filter(|min| size < *min) {
        let should = format!("should have at least {min} properties");
        found.add(invalid(path, size, &should));
    }
    if let Some(max) = node.max_properties.filter(|max| size > *max) {
        let max = usize::try_from(max).unwrap_or_default();
        found.add(FieldError::too_many(path, fields.len(), max));
    }
    for (field, value) in fields {
        let path_of = path.field(field);
        let is_type = path.is_root() && matches!(field.as_str(), "apiVersion" | "kind");
        let correlation = correlation.filter(|_| !is_type);
        let correlation = correlation.and_then(|correlation| correlation.field(field));
        if let Some(node) = node.field(field) {
            found.merge(check_changed(node, value, &path_of, correlation));
        } else if node.is_closed {
            let detail = format!("{}.{field} in body is a forbidden property", name(path));
            found.add(FieldError::invalid(path, field.as_str(), detail));
        }
    }
    for field in &node.required {
        if !fields.contains_key(field) {
            found.add(FieldError::required(&path.field(field), ""));
        }
    }
    found
}
