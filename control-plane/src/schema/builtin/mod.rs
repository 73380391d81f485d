//! The built-in types: their schemas, their defaults, and what is valid.

mod convert;
mod defaults;
mod kinds;
mod merging;
mod metrics;
mod normalize;
mod prepare;
mod quantity;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::{FieldError, Schema, metadata};

/// The schema of a built-in kind, with the descriptions that `kubectl explain` shows. The group of
/// the core is empty.
pub fn builtin(group: &str, version: &str, kind: &str) -> Option<Arc<Schema>> {
    kinds::schema(group, version, kind)
}

/// The schema of a built-in Go type, such as
/// `io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`, if a built-in kind uses it.
pub fn builtin_type(name: &str) -> Option<Arc<Schema>> {
    kinds::type_schema(name)
}

/// Whether a value is a quantity, such as `100m` or `1Gi`.
pub fn is_quantity(value: &Value) -> bool {
    quantity::Quantity::of(value).is_some()
}

/// The schema of the metadata that every object has.
pub fn metadata() -> &'static Schema {
    static SCHEMA: LazyLock<Arc<Schema>> =
        LazyLock::new(|| builtin_type(metadata::TYPE).unwrap_or_default());
    &SCHEMA
}

/// Fills in the defaults of an object of a built-in kind, in place, and brings it into the form in
/// which it is stored: without nulls and empty lists, quantities in canonical form.
pub fn default(group: &str, version: &str, kind: &str, object: &mut Value) {
    if let Some(schema) = builtin(group, version, kind) {
        normalize::normalize(&schema, object);
    }
    defaults::default(group, version, kind, object);
}

/// Does to a new object of a built-in kind what the server itself does, beyond defaults: a
/// job gets the selector of its own pods, a daemon set the generation of its template. The object
/// has its name and its uid; it is not validated yet.
pub fn prepare_create(group: &str, kind: &str, object: &mut Value) {
    prepare::create(group, kind, object);
}

/// Does to an object of a built-in kind that is written again what the server itself does.
pub fn prepare_update(group: &str, kind: &str, object: &mut Value, old: &Value) {
    prepare::update(group, kind, object, old);
}

/// Checks a new object of a built-in kind, prepared, with its defaults filled in and its
/// name generated.
pub fn validate_create(group: &str, kind: &str, object: &Value) -> Vec<FieldError> {
    validate::create(group, kind, object)
}

/// Checks an object of a built-in kind that is written again.
pub fn validate_update(group: &str, kind: &str, object: &Value, old: &Value) -> Vec<FieldError> {
    validate::update(group, kind, object, old)
}
