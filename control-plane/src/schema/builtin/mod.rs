//! The built-in types: their schemas, their defaults, and what is valid. Which of it is that of a
//! kind says its row in [`crate::builtin`].

mod convert;
pub(crate) mod defaults;
mod kinds;
mod merging;
mod metrics;
mod normalize;
pub(crate) mod prepare;
mod quantity;
pub(crate) mod status;
#[cfg(test)]
mod tests;
pub(crate) mod validate;

use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::{Schema, metadata};

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

/// Brings an object of a built-in kind into the form in which it is stored, in place: without nulls
/// and empty lists, quantities in canonical form.
pub(crate) fn normalize(group: &str, version: &str, kind: &str, object: &mut Value) {
    if let Some(schema) = builtin(group, version, kind) {
        normalize::normalize(&schema, object);
    }
}
