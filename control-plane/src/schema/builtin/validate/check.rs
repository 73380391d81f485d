//! Small checks that rules are made of.

use serde_json::Value;

use crate::schema::metadata::{NOT_NEGATIVE, immutable};
use crate::schema::{FieldError, Path};

pub(super) type Errors = Vec<FieldError>;

pub(super) use crate::schema::metadata::{fields, integer, text, texts};

/// The items of a list.
pub(super) fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

/// Whether a value is there and holds something.
pub(super) fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

/// A number that must not be negative, if it is there.
pub(super) fn not_negative(object: &Value, field: &str, path: &Path<'_>, errors: &mut Errors) {
    let number = integer(object, field);
    if number < 0 {
        errors.push(FieldError::invalid(
            &path.field(field),
            number,
            NOT_NEGATIVE,
        ));
    }
}

/// A text that must be there, and be one of these.
pub(super) fn one_of(
    object: &Value,
    field: &str,
    known: &[&str],
    path: &Path<'_>,
    errors: &mut Errors,
) {
    let value = text(object, field);
    let path = path.field(field);
    if value.is_empty() {
        errors.push(FieldError::required(&path, ""));
    } else if !known.contains(&value) {
        errors.push(FieldError::not_supported(&path, value, known));
    }
}

/// What is wrong with a name, at its field.
pub(super) fn complain(complaints: Vec<String>, value: &str, path: &Path<'_>, errors: &mut Errors) {
    for complaint in complaints {
        errors.push(FieldError::invalid(path, value, complaint));
    }
}

/// A field that stays as it is.
pub(super) fn unchanged(
    new: &Value,
    old: &Value,
    field: &str,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    if new[field] != old[field] {
        errors.push(immutable(&path.field(field), new[field].clone()));
    }
}

/// A port's number, or its name.
pub(super) fn port(port: &Value, path: &Path<'_>, errors: &mut Errors) {
    match port {
        Value::String(name) => {
            complain(crate::schema::names::port(name), name, path, errors);
        }
        port => port_number(port.as_i64().unwrap_or_default(), path, errors),
    }
}

/// A port's number.
pub(super) fn port_number(number: i64, path: &Path<'_>, errors: &mut Errors) {
    if !(1..=65_535).contains(&number) {
        let detail = "must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(path, number, detail));
    }
}

/// A number that is not negative, or a percentage.
pub(super) fn amount_or_percent(value: &Value, path: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
                let detail = "a valid percent string must be a numeric string followed by an \
                              ending '%' (e.g. '1%',  or '93%', regex used for validation is \
                              '[0-9]+%')";
                errors.push(FieldError::invalid(path, text.as_str(), detail));
            }
        }
        value => {
            let number = value.as_i64().unwrap_or_default();
            if number < 0 {
                errors.push(FieldError::invalid(path, number, NOT_NEGATIVE));
            }
        }
    }
}

/// A percentage that must not be more than all.
pub(super) fn at_most_all(value: &Value, path: &Path<'_>, errors: &mut Errors) {
    if percent(value).is_some_and(|percent| percent > 100) {
        let detail = "must not be greater than 100%";
        errors.push(FieldError::invalid(path, value.clone(), detail));
    }
}

fn percent(value: &Value) -> Option<i64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

/// Whether a number or a percentage is nothing.
pub(super) fn is_zero(value: &Value) -> bool {
    percent(value).or(value.as_i64()).unwrap_or_default() == 0
}
