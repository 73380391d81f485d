//! What the server itself sets or restores before an object is stored: its status, its generation,
//! and what a subresource may not touch. What differs from kind to kind says the table of built-in
//! kinds.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kinds::Resource;
use crate::meta::{metadata, number, put};

/// Before an object is created.
pub(crate) fn prepare_create(resource: &Resource, value: &mut Value) {
    if let Some(kind) = resource.builtin {
        (kind.prepare_create)(value);
    }
    if !resource.has_status() {
        return;
    }
    let status = resource.builtin.map(|kind| (kind.initial_status)(value));
    if let Some(fields) = value.as_object_mut() {
        put(fields, "status", status);
    }
}

/// Before an object, or a part of it, is replaced.
pub(crate) fn prepare_update(resource: &Resource, subresource: &str, new: &mut Value, old: &Value) {
    if let Some(kind) = resource.builtin
        && subresource.is_empty()
    {
        (kind.prepare_update)(new, old);
    }
    let generation = old.pointer("/metadata/generation").cloned();
    put(metadata(new), "generation", generation);
    match resource.builtin.and_then(|kind| kind.restore) {
        Some(restore_of_kind) => restore_of_kind(subresource, new, old),
        None => restore(resource, subresource, new, old),
    }
    if matches!(subresource, "" | "scale") {
        count_generation(resource, new, old);
    }
}

/// Restores what an update of an object, or of a part of it, must not change.
fn restore(resource: &Resource, subresource: &str, new: &mut Value, old: &Value) {
    match subresource {
        "status" => restore_but_status(resource, new, old),
        "approval" | "ephemeralcontainers" | "resize" | "scale" | "" if resource.has_status() => {
            if let Some(fields) = new.as_object_mut() {
                put(fields, "status", old.get("status").cloned());
            }
        }
        _ => {}
    }
}

/// A write to the status changes nothing else.
fn restore_but_status(resource: &Resource, new: &mut Value, old: &Value) {
    let Some(fields) = new.as_object_mut() else {
        return;
    };
    let status = fields.remove("status");
    let mut sent = fields.remove("metadata").unwrap_or(Value::Null);
    let mut kept = old.as_object().cloned().unwrap_or_default();
    put(&mut kept, "status", status);
    if let Some(kind) = resource.builtin {
        // Built-in kinds let labels, annotations and finalizers through, with few exceptions.
        if let (Some(sent), Some(there)) = (sent.as_object_mut(), old.get("metadata")) {
            for &field in ["generation"].iter().chain(kind.restored_by_status) {
                put(sent, field, there.get(field).cloned());
            }
        }
        kept.insert("metadata".to_owned(), sent);
    } else if let Some(Value::Object(there)) = kept.get_mut("metadata") {
        put(there, "managedFields", sent.get("managedFields").cloned());
    }
    *fields = kept;
}

/// The generation counts changes of what is wanted.
fn count_generation(resource: &Resource, new: &mut Value, old: &Value) {
    if resource.traits.generation && has_changed(resource, new, old) {
        let generation = number(old, "/metadata/generation").unwrap_or(0) + 1;
        metadata(new).insert("generation".to_owned(), generation.into());
    }
}

fn has_changed(resource: &Resource, new: &Value, old: &Value) -> bool {
    let Some(kind) = resource.builtin else {
        let ignored: &[&str] = if resource.has_status() {
            &["metadata", "status"]
        } else {
            &["metadata"]
        };
        return without(new, ignored) != without(old, ignored);
    };
    let mut counted = kind.counted_metadata.iter();
    let is_changed = if old.get("spec").is_some() || new.get("spec").is_some() {
        new.get("spec") != old.get("spec")
    } else {
        without(new, &["metadata"]) != without(old, &["metadata"])
    };
    is_changed || counted.any(|pointer| new.pointer(pointer) != old.pointer(pointer))
}

/// The fields of an object but for some.
fn without<'a>(value: &'a Value, ignored: &[&str]) -> BTreeMap<&'a str, &'a Value> {
    let fields = value.as_object().into_iter().flatten();
    let fields = fields.map(|(name, field)| (name.as_str(), field));
    fields.filter(|(name, _)| !ignored.contains(name)).collect()
}
