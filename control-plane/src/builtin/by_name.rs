//! What the rows of the table say, by the names of kinds: for tests.

use serde_json::Value;

use super::{Facts, rows};
use crate::kinds::Builtin;
use crate::schema::FieldError;
use crate::schema::builtin::{normalize, validate};

fn row(group: &str, kind: &str) -> &'static Builtin {
    let mut rows = rows();
    let row = rows.find(|row| row.group == group && row.kind == kind);
    row.unwrap_or_else(|| panic!("no {kind} of {group:?}"))
}

/// Brings an object into its stored form, with its defaults.
pub(crate) fn default(group: &str, version: &str, kind: &str, object: &mut Value) {
    normalize(group, version, kind, object);
    (row(group, kind).defaults)(object);
}

/// Prepares a new object.
pub(crate) fn prepare_create(group: &str, kind: &str, object: &mut Value) {
    (row(group, kind).prepare_create)(object);
}

/// What is wrong with a new object.
pub(crate) fn validate_create(group: &str, kind: &str, object: &Value) -> Vec<FieldError> {
    let row = row(group, kind);
    let facts = Facts::of(row.group, row.versions[0].0, row.kind).unwrap();
    let rules = row.validation.as_ref().unwrap();
    validate::create(rules, facts.namespaced, object)
}

/// What is wrong with an object that is written again.
pub(crate) fn validate_update(
    group: &str,
    kind: &str,
    object: &Value,
    old: &Value,
) -> Vec<FieldError> {
    let rules = row(group, kind).validation.as_ref().unwrap();
    validate::update(rules, object, old)
}
