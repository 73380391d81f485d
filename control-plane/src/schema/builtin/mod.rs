//! The built-in types: their schemas, their defaults, and what is valid.

mod convert;
mod kinds;
mod merging;
mod metrics;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Schema;

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
