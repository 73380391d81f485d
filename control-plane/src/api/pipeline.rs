//! What happens to an object on its way into the store, beyond HTTP: pruning, defaulting,
//! validation, patches and managed fields. The one place that joins `schema`, `patch` and `apply`.

use std::sync::Arc;

use serde_json::Value;

use super::decode::cannot_be_handled;
use super::status::{ApiError, Cause};
use super::types::mismatch;
use crate::kinds::Resource;
use crate::schema::Schema;
use crate::schema::builtin::builtin;

/// Who writes, for managed fields.
pub(crate) struct Writer<'a> {
    pub(crate) manager: &'a str,
    pub(crate) subresource: &'a str,
    /// As `metav1.Time` has it.
    pub(crate) time: &'a str,
}

/// The schema of a kind; none if nothing is known of it.
fn schema(resource: &Resource) -> Option<Arc<Schema>> {
    match &resource.custom {
        Some(_) => None,
        None => builtin(&resource.group, &resource.version, &resource.kind),
    }
}

/// Drops the fields that the kind does not have. Gives their paths, as `spec.foo`. Refuses values
/// that are not of their field's type.
pub(crate) fn prune(resource: &Resource, value: &mut Value) -> Result<Vec<String>, ApiError> {
    let Some(schema) = schema(resource) else {
        return Ok(Vec::new());
    };
    if let Some(why) = mismatch(&schema, value, &resource.kind) {
        return Err(cannot_be_handled(resource, &why));
    }
    Ok(schema.prune(value))
}

/// Fills in what was left out.
pub(crate) fn default(_resource: &Resource, _value: &mut Value) {}

/// What is wrong with a new object.
pub(crate) fn validate_create(_resource: &Resource, _value: &Value) -> Vec<Cause> {
    Vec::new()
}

/// What is wrong with a changed object.
pub(crate) fn validate_update(_resource: &Resource, _new: &Value, _old: &Value) -> Vec<Cause> {
    Vec::new()
}

/// Records who has set what.
pub(crate) fn manage(
    _resource: &Resource,
    _old: Option<&Value>,
    _new: &mut Value,
    _writer: &Writer<'_>,
) -> Result<(), ApiError> {
    Ok(())
}

/// Applies a configuration to an object; none to create it.
pub(crate) fn apply(
    _resource: &Resource,
    live: Option<&Value>,
    config: &Value,
    _force: bool,
    _writer: &Writer<'_>,
) -> Result<Value, ApiError> {
    let mut value = live.cloned().unwrap_or(Value::Null);
    json_patch::merge(&mut value, config);
    Ok(value)
}

/// Applies a JSON patch.
pub(crate) fn json_patch(
    _resource: &Resource,
    value: &Value,
    patch: &[u8],
) -> Result<Value, ApiError> {
    let patch: Value = serde_json::from_slice(patch)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let patch: json_patch::Patch =
        serde_json::from_value(patch).map_err(|_| ApiError::rejected())?;
    let mut value = value.clone();
    json_patch::patch(&mut value, &patch).map_err(|_| ApiError::rejected())?;
    Ok(value)
}

/// Applies a merge patch.
pub(crate) fn merge_patch(
    _resource: &Resource,
    value: &Value,
    patch: &Value,
) -> Result<Value, ApiError> {
    let mut value = value.clone();
    json_patch::merge(&mut value, patch);
    Ok(value)
}

/// Applies a strategic merge patch.
pub(crate) fn strategic_merge_patch(
    resource: &Resource,
    value: &Value,
    patch: &Value,
) -> Result<Value, ApiError> {
    merge_patch(resource, value, patch)
}
