//! What is valid in objects of built-in types.
//!
//! These are the rules that users meet, in the words of the real server. Objects come with their
//! defaults. Which rules are those of a kind says its row in [`crate::builtin`].

mod affinity;
pub(crate) mod autoscaling;
pub(crate) mod batch;
mod check;
pub(crate) mod cluster;
mod container;
pub(crate) mod definition;
pub(crate) mod network;
pub(crate) mod pod;
pub(crate) mod rbac;
mod resources;
mod selector;
pub(crate) mod service;
#[cfg(test)]
mod tests;
pub(crate) mod workloads;

use serde_json::Value;

use crate::schema::names::{self, NameRule};
use crate::schema::{FieldError, Path, metadata};

/// What is valid in objects of a kind.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) name: NameRule,
    /// Finalizers must be the server's own, or named after a domain.
    pub(crate) finalizers: bool,
    pub(crate) check: fn(&Value, &mut Vec<FieldError>),
    /// The new object, and the old one.
    pub(crate) check_update: fn(&Value, &Value, &mut Vec<FieldError>),
    /// In place of `check` for an object whose spec stays; none for the same.
    pub(crate) check_unchanged: Option<fn(&Value, &mut Vec<FieldError>)>,
}

impl Rules {
    /// The metadata alone is checked.
    pub(crate) const METADATA: Self = Self {
        name: names::subdomain_name,
        finalizers: true,
        check: |_, _| {},
        check_update: |_, _, _| {},
        check_unchanged: None,
    };
}

/// Checks a new object, prepared, with its defaults filled in and its name generated.
pub(crate) fn create(rules: &Rules, namespaced: bool, object: &Value) -> Vec<FieldError> {
    let path = Path::new("metadata");
    let of_object = &object["metadata"];
    let mut errors = metadata::validate(of_object, namespaced, rules.name, &path);
    if rules.finalizers {
        finalizers(of_object, &path.field("finalizers"), &mut errors);
    }
    (rules.check)(object, &mut errors);
    errors
}

/// A finalizer is one of the server's own, or named after a domain.
fn finalizers(of_object: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let known = ["orphan", "foregroundDeletion", "kubernetes"];
    for (index, name) in check::texts(&of_object["finalizers"])
        .into_iter()
        .enumerate()
    {
        if !name.contains('/') && !known.contains(&name) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(&path.index(index), name, detail));
        }
    }
}

/// Checks an object that is written again.
pub(crate) fn update(rules: &Rules, object: &Value, old: &Value) -> Vec<FieldError> {
    let path = Path::new("metadata");
    let mut errors = metadata::validate_update(&object["metadata"], &old["metadata"], &path);
    match rules.check_unchanged {
        // What the spec says was checked when it was written.
        Some(check) if object["spec"] == old["spec"] => check(object, &mut errors),
        _ => (rules.check)(object, &mut errors),
    }
    (rules.check_update)(object, old, &mut errors);
    errors
}
