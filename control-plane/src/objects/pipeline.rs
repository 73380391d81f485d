//! What happens to an object on its way into the store, beyond HTTP: pruning, defaulting,
//! validation, patches and managed fields. The one place that joins `schema`, `patch` and `apply`.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use serde_json::Value;

use super::{Cause, Error};
use crate::apply::{self, ApplyError, FieldSet, Manager, Target};
use crate::kinds::{Conversion, Resource};
use crate::patch;
use crate::schema::builtin::{self, builtin, validate};
use crate::schema::metadata;
use crate::schema::names::{path_segment, subdomain_name};
use crate::schema::types::{Mismatch, mismatch};
use crate::schema::{self, FieldError, Path, Schema};

/// Who writes, for managed fields.
pub(crate) struct Writer<'a> {
    pub(crate) manager: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) time: Timestamp,
}

impl From<schema::Cause> for Cause {
    fn from(cause: schema::Cause) -> Self {
        Self {
            reason: cause.reason.to_owned(),
            message: cause.message,
            field: cause.field,
        }
    }
}

fn causes(errors: &[FieldError]) -> Vec<Cause> {
    errors.iter().map(|error| error.cause().into()).collect()
}

/// The schema of a kind as clients send it.
fn schema_of(resource: &Resource) -> Option<Arc<Schema>> {
    match &resource.custom {
        Some(custom) => Some(Arc::clone(custom.compiled.as_ref()?.schema())),
        None => builtin(&resource.group, &resource.version, &resource.kind),
    }
}

/// The schema of a kind as it is stored. What is not known may be anything.
fn stored_schema(resource: &Resource) -> Arc<Schema> {
    let found = if resource.conversion == Conversion::None {
        schema_of(resource)
    } else {
        let (group, version) = resource.stored_type();
        builtin(group, version, &resource.kind)
    };
    found.unwrap_or_default()
}

/// Drops the fields that the kind does not have. Gives their paths, as `spec.foo`. Refuses values
/// that are not of their field's type.
pub(crate) fn prune(resource: &Resource, value: &mut Value) -> Result<Vec<String>, Mismatch> {
    let schema = schema_of(resource);
    if let Some(schema) = schema.as_ref().filter(|_| resource.custom.is_none()) {
        return prune_typed(schema, &resource.kind, value);
    }
    // Of a custom resource, validation says what is wrong with the rest.
    let of_object = value.get("metadata").unwrap_or(&Value::Null);
    if let Some(wrong) = mismatch(builtin::metadata(), of_object, "ObjectMeta") {
        return Err(wrong);
    }
    let unknown = schema.unwrap_or_default().prune(value);
    metadata::normalize(value);
    Ok(unknown)
}

/// The same for a body of a built-in kind that is not stored, such as a binding.
pub(crate) fn prune_builtin(
    (group, version, kind): (&str, &str, &str),
    value: &mut Value,
) -> Result<Vec<String>, Mismatch> {
    let schema = builtin(group, version, kind).unwrap_or_default();
    prune_typed(&schema, kind, value)
}

fn prune_typed(schema: &Schema, kind: &str, value: &mut Value) -> Result<Vec<String>, Mismatch> {
    if let Some(wrong) = mismatch(schema, value, kind) {
        return Err(wrong);
    }
    let unknown = schema.prune(value);
    metadata::normalize(value);
    Ok(unknown)
}

/// What is wrong with the labels and annotations of an object.
pub(crate) fn validate_texts(value: &Value) -> Vec<Cause> {
    let of_object = value.get("metadata").unwrap_or(&Value::Null);
    causes(&metadata::validate_texts(of_object, &Path::new("metadata")))
}

/// Fills in what was left out.
pub(crate) fn default(resource: &Resource, value: &mut Value) {
    if resource.custom.is_some() {
        if let Some(compiled) = compiled(resource) {
            compiled.default(value);
        }
        return;
    }
    let (group, version) = resource.stored_type();
    builtin::normalize(group, version, &resource.kind, value);
    if let Some(kind) = resource.builtin {
        (kind.defaults)(value);
    }
}

/// An object as it is read: what was stored before its definition had a default has it, too.
pub(crate) fn defaulted<'a>(resource: &Resource, value: &'a Value) -> Cow<'a, Value> {
    match compiled(resource) {
        Some(compiled) if compiled.schema().lacks_defaults(value) => {
            let mut value = value.clone();
            compiled.default(&mut value);
            Cow::Owned(value)
        }
        _ => Cow::Borrowed(value),
    }
}

/// Drops the nulls of a custom resource that are no values. What is applied keeps them until it is
/// stored, and is refused for them.
pub(crate) fn drop_nulls(resource: &Resource, value: &mut Value) {
    if let Some(compiled) = compiled(resource) {
        compiled.drop_nulls(value);
    }
}

fn compiled(resource: &Resource) -> Option<&schema::custom::CustomSchema> {
    resource.custom.as_ref()?.compiled.as_ref()
}

/// What is wrong with a new object.
pub(crate) fn validate_create(resource: &Resource, value: &Value) -> Vec<Cause> {
    if let Some(kind) = resource.builtin {
        let rules = kind.validation.as_ref();
        let errors = rules.map(|rules| validate::create(rules, resource.namespaced, value));
        return causes(&errors.unwrap_or_default());
    }
    let path = Path::new("metadata");
    let all = value.get("metadata").unwrap_or(&Value::Null);
    let mut errors = metadata::validate(all, resource.namespaced, subdomain_name, &path);
    if let Some(compiled) = compiled(resource) {
        errors.extend(compiled.validate(value));
    }
    causes(&errors)
}

/// What is wrong with a changed object.
pub(crate) fn validate_update(
    resource: &Resource,
    subresource: &str,
    new: &Value,
    old: &Value,
) -> Vec<Cause> {
    let path = Path::new("metadata");
    let (all, all_old) = (new.get("metadata"), old.get("metadata"));
    let (all, all_old) = (all.unwrap_or(&Value::Null), all_old.unwrap_or(&Value::Null));
    // The real server checks what all kinds have, and then the kind checks it again.
    let mut errors = metadata::validate(all, resource.namespaced, path_segment, &path);
    errors.extend(metadata::validate_update(all, all_old, &path));
    if let Some(kind) = resource.builtin {
        if let Some(rules) = &kind.validation {
            errors.extend(validate::update(rules, new, old));
        }
        return causes(&errors);
    }
    errors.extend(metadata::validate_update(all, all_old, &path));
    if let Some(compiled) = compiled(resource) {
        errors.extend(match subresource {
            "status" => compiled.validate_status(new, old),
            _ => compiled.validate_update(new, old),
        });
    }
    causes(&errors)
}

/// The fields that a write to the object itself, or to its status, does not reach.
fn reset(resource: &Resource, subresource: &str) -> &'static FieldSet {
    static NOTHING: LazyLock<FieldSet> = LazyLock::new(FieldSet::default);
    static STATUS: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of(&[&["status"]]));
    static SPEC: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of(&[&["spec"]]));
    static LABELS: LazyLock<FieldSet> =
        LazyLock::new(|| FieldSet::of(&[&["spec"], &["metadata", "labels"]]));
    let restored = resource
        .builtin
        .map_or(&[][..], |kind| kind.restored_by_status);
    let keeps_labels = restored.contains(&"labels");
    match subresource {
        "status" if keeps_labels => &LABELS,
        "status" => &SPEC,
        "" | "scale" if resource.has_status() => &STATUS,
        _ => &NOTHING,
    }
}

/// Calls with what `apply` wants to know of a write.
fn with_target<T>(
    resource: &Resource,
    writer: &Writer<'_>,
    call: impl FnOnce(&Target<'_>, &Manager<'_>) -> T,
) -> T {
    let (group, version) = resource.stored_type();
    let api_version = crate::kinds::group_version(group, version);
    let schema = stored_schema(resource);
    let target = Target {
        api_version: &api_version,
        kind: &resource.kind,
        subresource: writer.subresource,
        schema: &schema,
        reset: reset(resource, writer.subresource),
    };
    let manager = Manager {
        name: writer.manager,
        time: writer.time,
    };
    call(&target, &manager)
}

/// Records who has set what.
pub(crate) fn manage(
    resource: &Resource,
    old: Option<&Value>,
    new: &mut Value,
    writer: &Writer<'_>,
) {
    with_target(resource, writer, |target, manager| {
        apply::update(old, new, target, manager);
    });
}

/// Refuses a configuration that is not of its type.
pub(crate) fn check_applied(resource: &Resource, config: &Value) -> Result<(), Error> {
    let Some(schema) = schema_of(resource) else {
        return Ok(());
    };
    let target = Target {
        api_version: &resource.api_version(),
        kind: &resource.kind,
        subresource: "",
        schema: &schema,
        reset: reset(resource, ""),
    };
    apply::check_applied(config, &target).map_err(|error| Error::Unforeseen(error.to_string()))
}

/// Applies a configuration to an object; none to create it.
pub(crate) fn apply(
    resource: &Resource,
    live: Option<&Value>,
    config: &Value,
    force: bool,
    writer: &Writer<'_>,
) -> Result<Value, Error> {
    let applied = with_target(resource, writer, |target, manager| {
        apply::apply(live, config, target, manager, force)
    });
    applied.map_err(|error| match &error {
        ApplyError::BadRequest(why) => Error::BadRequest(why.clone()),
        ApplyError::Untyped(why) => Error::Unforeseen(why.clone()),
        ApplyError::Conflicts(conflicts) => {
            let causes = conflicts.causes().into_iter();
            let causes: Vec<Cause> = causes
                .map(|cause| Cause::new(apply::Cause::REASON, &cause.field, cause.message))
                .collect();
            Error::Managed {
                message: error.to_string(),
                causes,
            }
        }
    })
}

/// A write that changes nothing but the times of managed fields changes nothing.
pub(crate) fn keep_times(old: &Value, new: &mut Value) {
    apply::keep_times(old, new);
}

/// Applies a JSON patch.
pub(crate) fn json_patch(value: &Value, patch: &Value) -> Result<Value, Error> {
    Ok(patch::json_patch(value, patch)?)
}

/// The fields of a JSON patch that nobody knows, each as field validation reports it.
pub(crate) fn unknown_json_patch_fields(patch: &Value) -> Vec<String> {
    patch::unknown_json_patch_fields(patch)
}

/// Applies a merge patch.
pub(crate) fn merge_patch(value: &Value, patch: &Value) -> Result<Value, Error> {
    Ok(patch::merge_patch(value, patch)?)
}

/// Applies a strategic merge patch.
pub(crate) fn strategic_merge_patch(
    resource: &Resource,
    value: &Value,
    patch: &Value,
) -> Result<Value, Error> {
    let schema = schema_of(resource).unwrap_or_default();
    Ok(patch::strategic_merge_patch(value, patch, &schema)?)
}
