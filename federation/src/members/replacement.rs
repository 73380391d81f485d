//! The object that replaces one that is there. Pure.
//!
//! A whole replacement (PUT) and not server-side apply, because apply leaves every default that no
//! manager owns: a `rollingUpdate` under `type: Recreate`, the `emptyDir` of a volume that is a
//! `configMap` by now, the alias `serviceAccount`. What a replacement does not say, the server
//! defaults again, as for a new object. It also takes lists whose keys are not unique, which a
//! Deployment has always taken. What other managers hold stays.

use serde_json::{Map, Value, json};

use super::bundle::ManagedKind;
use crate::api::{FIELD_MANAGER, LABEL_OWNER_PREFIX};

/// What a member generates for a Job's pods; a Job that says otherwise is refused.
const JOB_LABELS: [&str; 4] = [
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

/// The fields of a Job's spec that are ours; all others are the member's.
const JOB_FIELDS: [&str; 6] = [
    "parallelism",
    "completions",
    "backoffLimit",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
    "template",
];

/// What becomes of the fields that other managers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// They stay.
    Kept,
    /// Those of the metadata stay; those of the content contradict what is wanted.
    MetadataOnly,
}

/// What is written in the place of `live`: `wanted`, and what is not ours of `live`.
pub(super) fn replacement(
    kind: ManagedKind,
    wanted: &Value,
    live: &Value,
    foreign: Foreign,
) -> Value {
    let mut object = wanted.clone();
    keep_generated(kind, &mut object, live);
    for entry in foreign_entries(live) {
        for (field, below) in entry {
            let is_metadata = field == "f:metadata";
            if is_metadata {
                let only = ["f:labels", "f:annotations"];
                let mut maps = below.as_object().cloned().unwrap_or_default();
                maps.retain(|field, _| only.contains(&field.as_str()));
                keep(&mut object["metadata"], &live["metadata"], &maps);
            } else if field != "f:status" && foreign == Foreign::Kept {
                keep(
                    &mut object,
                    live,
                    &Map::from_iter([(field.clone(), below.clone())]),
                );
            }
        }
    }
    let labels = live["metadata"]["labels"].as_object();
    for (label, value) in labels.into_iter().flatten() {
        // Each owner takes off its own.
        if label.starts_with(LABEL_OWNER_PREFIX) {
            object["metadata"]["labels"][label] = value.clone();
        }
    }
    for field in ["uid", "resourceVersion", "finalizers", "ownerReferences"] {
        if let Some(value) = live["metadata"].get(field) {
            object["metadata"][field] = value.clone();
        }
    }
    object
}

/// The fields that other managers hold. Also those that they wrote with the status: a Deployment's
/// controller writes its annotation of the revision so.
fn foreign_entries(live: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    let entries = live["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().filter_map(|entry| {
        let manager = entry["manager"].as_str().unwrap_or_default();
        entry["fieldsV1"].as_object().filter(|_| !is_ours(manager))
    })
}

/// Whether a field manager is this program, in this release or an earlier one.
pub(super) fn is_ours(manager: &str) -> bool {
    manager.starts_with(FIELD_MANAGER)
}

/// What the member itself puts into an object of this kind when it is made, and never takes back.
fn keep_generated(kind: ManagedKind, object: &mut Value, live: &Value) {
    match kind {
        ManagedKind::Job => {
            for (field, value) in live["spec"].as_object().into_iter().flatten() {
                if !JOB_FIELDS.contains(&field.as_str()) {
                    object["spec"][field] = value.clone();
                }
            }
            let generated = &live["spec"]["template"]["metadata"]["labels"];
            for label in JOB_LABELS {
                if let Some(value) = generated.get(label) {
                    object["spec"]["template"]["metadata"]["labels"][label] = value.clone();
                }
            }
        }
        ManagedKind::PersistentVolumeClaim => {
            let mut spec = live["spec"].clone();
            for (field, value) in object["spec"].as_object().into_iter().flatten() {
                spec[field] = value.clone();
            }
            object["spec"] = spec;
        }
        _ => {}
    }
}

/// Takes from `live` what `fields` (`FieldsV1`) names and `wanted` does not say.
fn keep(wanted: &mut Value, live: &Value, fields: &Map<String, Value>) {
    for (field, below) in fields {
        let below = below.as_object();
        if let Some(name) = field.strip_prefix("f:") {
            if let Some(live) = live.get(name) {
                keep_field(wanted, name, live, below);
            }
        } else if let Some(key) = field.strip_prefix("k:") {
            if let Ok(Value::Object(key)) = serde_json::from_str(key) {
                keep_item(wanted, live, &key, below);
            }
        } else if let Some(value) = field.strip_prefix("v:")
            && let Ok(value) = serde_json::from_str::<Value>(value)
        {
            keep_value(wanted, live, value);
        }
    }
}

fn keep_field(wanted: &mut Value, name: &str, live: &Value, below: Option<&Map<String, Value>>) {
    let Some(object) = wanted.as_object_mut() else {
        return;
    };
    let below = below.filter(|below| below.keys().any(|field| field != "."));
    match (object.get_mut(name), below) {
        (Some(ours), Some(below)) => keep(ours, live, below),
        (Some(_), None) => {}
        (None, None) => {
            object.insert(name.to_owned(), live.clone());
        }
        (None, Some(below)) => {
            let mut kept = match live {
                Value::Array(_) => json!([]),
                Value::Object(_) => json!({}),
                _ => return,
            };
            let empty = kept.clone();
            keep(&mut kept, live, below);
            if kept != empty {
                object.insert(name.to_owned(), kept);
            }
        }
    }
}

/// An item of a list with keys. One that we do not want stays only if another manager added it,
/// which the field "." says.
fn keep_item(
    wanted: &mut Value,
    live: &Value,
    key: &Map<String, Value>,
    below: Option<&Map<String, Value>>,
) {
    let is_it = |item: &Value| {
        key.iter()
            .all(|(field, value)| item.get(field) == Some(value))
    };
    let (Some(wanted), Some(live), Some(below)) = (wanted.as_array_mut(), live.as_array(), below)
    else {
        return;
    };
    let Some(live) = live.iter().find(|item| is_it(item)) else {
        return;
    };
    match wanted.iter_mut().find(|item| is_it(item)) {
        Some(ours) => keep(ours, live, below),
        None if below.contains_key(".") => wanted.push(live.clone()),
        None => {}
    }
}

fn keep_value(wanted: &mut Value, live: &Value, value: Value) {
    let is_live = live.as_array().is_some_and(|live| live.contains(&value));
    if let Some(wanted) = wanted.as_array_mut()
        && is_live
        && !wanted.contains(&value)
    {
        wanted.push(value);
    }
}

#[cfg(test)]
#[path = "replacement_tests.rs"]
mod tests;
