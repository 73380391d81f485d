//! The status of a definition.

use serde_json::{Map, Value, json};

use super::names::Names;
use crate::meta::{items, object_in, put, strings, text};

/// The status of a condition; none if it is not set.
pub(super) fn condition<'a>(crd: &'a Value, kind: &str) -> Option<&'a str> {
    let mut found = items(crd, "/status/conditions").iter();
    let found = found.find(|condition| text(condition, "/type") == kind)?;
    Some(text(found, "/status"))
}

/// Sets a condition; its time changes with its status.
fn set_condition(crd: &mut Value, now: &str, kind: &str, status: &str, why: (&str, &str)) {
    let mut conditions = items(crd, "/status/conditions").to_vec();
    let (reason, message) = why;
    let there = conditions
        .iter()
        .position(|condition| text(condition, "/type") == kind);
    let mut time = now.to_owned();
    if let Some(there) = there.and_then(|index| conditions.get(index))
        && text(there, "/status") == status
    {
        text(there, "/lastTransitionTime").clone_into(&mut time);
    }
    let condition = json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": time,
    });
    match there.and_then(|index| conditions.get_mut(index)) {
        Some(there) => *there = condition,
        None => conditions.push(condition),
    }
    object_in(crd, "status").insert("conditions".to_owned(), conditions.into());
}

/// Accepts names and sets conditions.
pub(super) fn settle(crd: &mut Value, names: &Names, now: &str) {
    let (accepted, conflict) = accept_names(crd, names);
    object_in(crd, "status").insert("acceptedNames".to_owned(), accepted);
    let holds = match &conflict {
        None => ("True", ("NoConflicts", "no conflicts found")),
        Some((reason, message)) => ("False", (*reason, message.as_str())),
    };
    set_condition(crd, now, "NamesAccepted", holds.0, holds.1);
    if conflict.is_none() {
        let why = (
            "InitialNamesAccepted",
            "the initial names have been accepted",
        );
        set_condition(crd, now, "Established", "True", why);
    } else if condition(crd, "Established").is_none() {
        let why = ("NotAccepted", "not all names are accepted");
        set_condition(crd, now, "Established", "False", why);
    }
    let mut stored = strings(crd, "/status/storedVersions");
    for version in items(crd, "/spec/versions") {
        let name = text(version, "/name");
        if version.get("storage") == Some(&json!(true)) && !stored.iter().any(|other| other == name)
        {
            stored.push(name.to_owned());
        }
    }
    object_in(crd, "status").insert("storedVersions".to_owned(), stored.into());
}

/// The names that are free, and the conflict that keeps others from being accepted.
fn accept_names(crd: &Value, names: &Names) -> (Value, Option<(&'static str, String)>) {
    let mut accepted: Map<String, Value> = crd
        .pointer("/status/acceptedNames")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    // The last of several is told of, as apiextensions-apiserver has it.
    let mut conflict = None;
    let mut refuse = |reason, name: &str| {
        conflict = Some((reason, format!("{name:?} is already in use")));
    };
    for (field, reason) in [
        ("plural", "PluralConflict"),
        ("singular", "SingularConflict"),
        ("shortNames", "ShortNamesConflict"),
        ("kind", "KindConflict"),
        ("listKind", "ListKindConflict"),
    ] {
        let pointer = format!("/spec/names/{field}");
        let wanted = crd.pointer(&pointer).cloned();
        let all = match &wanted {
            Some(Value::String(name)) if !name.is_empty() => vec![name.clone()],
            _ => strings(crd, &pointer),
        };
        let of_kind = matches!(field, "kind" | "listKind");
        match all.iter().find(|name| names.is_taken(crd, of_kind, name)) {
            Some(name) => refuse(reason, name),
            None => put(&mut accepted, field, wanted.filter(|_| !all.is_empty())),
        }
    }
    let categories = crd.pointer("/spec/names/categories").cloned();
    put(&mut accepted, "categories", categories);
    (accepted.into(), conflict)
}
