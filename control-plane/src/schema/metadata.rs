//! The metadata that every object has.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::names::{self, NameRule};
use super::{FieldError, Path};

/// The name of the type.
pub(super) const TYPE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Bytes of all keys and values of the annotations together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

const FINALIZER_ORPHAN: &str = "orphan";
const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

/// Checks the metadata of a new object, whose name was generated if it had to be. `path` is
/// where the metadata is.
pub fn validate(
    metadata: &Value,
    is_namespaced: bool,
    name_rule: NameRule,
    path: &Path<'_>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let generate_name = text(metadata, "generateName");
    for complaint in name_complaints(generate_name, true, name_rule) {
        let path = path.field("generateName");
        errors.push(FieldError::invalid(&path, generate_name, complaint));
    }
    let name = text(metadata, "name");
    if name.is_empty() {
        let detail = "name or generateName is required";
        errors.push(FieldError::required(&path.field("name"), detail));
    }
    for complaint in name_complaints(name, false, name_rule) {
        errors.push(FieldError::invalid(&path.field("name"), name, complaint));
    }
    namespace(
        text(metadata, "namespace"),
        is_namespaced,
        path,
        &mut errors,
    );
    let generation = integer(metadata, "generation");
    if generation < 0 {
        let path = path.field("generation");
        errors.push(FieldError::invalid(&path, generation, NOT_NEGATIVE));
    }
    common(metadata, path, &mut errors);
    finalizers(metadata, &path.field("finalizers"), &mut errors);
    errors
}

/// Checks the metadata of an object that is written again.
pub fn validate_update(metadata: &Value, old: &Value, path: &Path<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !old["deletionTimestamp"].is_null() {
        new_finalizers(metadata, old, &path.field("finalizers"), &mut errors);
    }
    if text(metadata, "resourceVersion").is_empty() {
        let detail = "must be specified for an update";
        let path = path.field("resourceVersion");
        errors.push(FieldError::invalid(&path, "", detail));
    }
    let generation = integer(metadata, "generation");
    if generation < integer(old, "generation") {
        let path = path.field("generation");
        errors.push(FieldError::invalid(
            &path,
            generation,
            "must not be decremented",
        ));
    }
    for field in ["name", "namespace", "uid"] {
        let value = text(metadata, field);
        if value != text(old, field) {
            errors.push(immutable(&path.field(field), value));
        }
    }
    for field in [
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let value = &metadata[field];
        if *value != old[field] {
            errors.push(immutable(&path.field(field), value.clone()));
        }
    }
    common(metadata, path, &mut errors);
    errors
}

pub(super) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

pub(super) fn immutable(path: &Path<'_>, value: impl Into<Value>) -> FieldError {
    FieldError::invalid(path, value, "field is immutable")
}

fn name_complaints(name: &str, is_prefix: bool, rule: NameRule) -> Vec<String> {
    if name.is_empty() {
        Vec::new()
    } else {
        rule(name, is_prefix)
    }
}

fn namespace(namespace: &str, is_namespaced: bool, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let path = path.field("namespace");
    match (is_namespaced, namespace) {
        (true, "") => errors.push(FieldError::required(&path, "")),
        (true, namespace) => {
            for complaint in names::label(namespace) {
                errors.push(FieldError::invalid(&path, namespace, complaint));
            }
        }
        (false, "") => {}
        (false, _) => errors.push(FieldError::forbidden(&path, "not allowed on this type")),
    }
}

/// Checks the labels and the annotations.
pub(crate) fn validate_texts(metadata: &Value, path: &Path<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    labels(&metadata["labels"], &path.field("labels"), &mut errors);
    annotations(
        &metadata["annotations"],
        &path.field("annotations"),
        &mut errors,
    );
    errors
}

/// What is checked at every write.
fn common(metadata: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    errors.extend(validate_texts(metadata, path));
    owners(
        &metadata["ownerReferences"],
        &path.field("ownerReferences"),
        errors,
    );
    managed_fields(
        &metadata["managedFields"],
        &path.field("managedFields"),
        errors,
    );
}

/// Checks labels: their keys and their values.
pub(super) fn labels(labels: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        for complaint in names::qualified(key) {
            errors.push(FieldError::invalid(path, key.as_str(), complaint));
        }
        let value = value.as_str().unwrap_or_default();
        for complaint in names::label_value(value) {
            errors.push(FieldError::invalid(path, value, complaint));
        }
    }
}

/// Checks annotations: their keys, whose case does not matter, and their size.
pub(super) fn annotations(annotations: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        size += key.len() + value.as_str().unwrap_or_default().len();
        for complaint in names::qualified(&key.to_lowercase()) {
            errors.push(FieldError::invalid(path, key.as_str(), complaint));
        }
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS));
    }
}

fn owners(owners: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let mut controller: Option<String> = None;
    for owner in owners.as_array().into_iter().flatten() {
        let version = text(owner, "apiVersion");
        if version.is_empty() || version.ends_with('/') {
            let detail = "version must not be empty";
            errors.push(FieldError::invalid(
                &path.field("apiVersion"),
                version,
                detail,
            ));
        }
        for field in ["kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                errors.push(FieldError::invalid(
                    &path.field(field),
                    "",
                    "must not be empty",
                ));
            }
        }
        if (version, text(owner, "kind")) == ("v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(path, owner.clone(), detail));
        }
        if owner["controller"] == true {
            let this = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
            if let Some(first) = &controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in \
                     references for {first} and {this}"
                );
                errors.push(FieldError::invalid(path, owners.clone(), detail));
            } else {
                controller = Some(this);
            }
        }
    }
}

fn finalizers(metadata: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let finalizers = texts(&metadata["finalizers"]);
    for finalizer in &finalizers {
        for complaint in names::qualified(finalizer) {
            errors.push(FieldError::invalid(path, *finalizer, complaint));
        }
    }
    if [FINALIZER_ORPHAN, FINALIZER_FOREGROUND]
        .iter()
        .all(|both| finalizers.contains(both))
    {
        let detail =
            format!("finalizer {FINALIZER_ORPHAN} and {FINALIZER_FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid(
            path,
            metadata["finalizers"].clone(),
            detail,
        ));
    }
}

fn new_finalizers(metadata: &Value, old: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let old: BTreeSet<_> = texts(&old["finalizers"]).into_iter().collect();
    let new: BTreeSet<_> = texts(&metadata["finalizers"]).into_iter().collect();
    let added: Vec<_> = new
        .difference(&old)
        .map(|name| format!("{name:?}"))
        .collect();
    if !added.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers \
             []string{{{}}}",
            added.join(", ")
        );
        errors.push(FieldError::forbidden(path, detail));
    }
}

fn managed_fields(entries: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    for (index, entry) in entries.as_array().into_iter().flatten().enumerate() {
        let path = path.index(index);
        let operation = text(entry, "operation");
        if !matches!(operation, "Apply" | "Update") {
            let detail = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(
                &path.field("operation"),
                operation,
                detail,
            ));
        }
        let fields_type = text(entry, "fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            let detail = "must be `FieldsV1`";
            errors.push(FieldError::invalid(
                &path.field("fieldsType"),
                fields_type,
                detail,
            ));
        }
        for (field, max) in [("manager", 128), ("subresource", 256)] {
            if text(entry, field).len() > max {
                errors.push(FieldError::too_long(&path.field(field), max));
            }
        }
    }
}

/// Brings the metadata of an object into the form in which it is stored: without nulls, and
/// without labels, annotations, finalizers or owners where there are none.
pub fn normalize(object: &mut Value) {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return;
    };
    for field in ["labels", "annotations", "finalizers"] {
        match metadata.get_mut(field) {
            Some(Value::Object(texts)) => empty_nulls(texts.values_mut()),
            Some(Value::Array(texts)) => empty_nulls(texts.iter_mut()),
            _ => {}
        }
    }
    // Managed fields that are empty mean that they shall be forgotten.
    metadata
        .retain(|field, value| !is_empty(value) || field == "managedFields" && value.is_array());
    if metadata.is_empty()
        && let Some(object) = object.as_object_mut()
    {
        object.remove("metadata");
    }
}

/// A null among texts is the empty text, as Go reads it.
pub(super) fn empty_nulls<'a>(texts: impl Iterator<Item = &'a mut Value>) {
    for text in texts.filter(|text| text.is_null()) {
        *text = Value::String(String::new());
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(_) => false,
    }
}

/// The field's text; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The field's number; 0 if there is none.
pub(super) fn integer(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap_or_default()
}

/// The texts in a list.
pub(super) fn texts(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

/// The fields of an object; none if it is something else.
pub(super) fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
