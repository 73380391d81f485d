//! Custom resource definitions: their names, their conditions, and what is served because of them.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tracing::warn;

use super::garbage::change;
use super::{Emptied, delete_all};
use crate::kinds::{Resource, custom_resources, table};
use crate::meta::{is_deleting, items, metadata, name, object_in, put, strings, text};
use crate::objects::{CLEANUP, Objects, Written, key_of};
use crate::store::{Key, Object, Page};

fn definitions(objects: &Objects) -> Vec<Arc<Object>> {
    let table = table("apiextensions.k8s.io", "customresourcedefinitions");
    let list = objects.store.list(&table, None, &Page::default());
    let mut all = list.map(|list| list.items).unwrap_or_default();
    // Who came first keeps a name.
    all.sort_by_key(|object| text(object.value(), "/metadata/creationTimestamp").to_owned());
    all
}

fn resource(objects: &Objects) -> Option<Arc<Resource>> {
    let kinds = objects.registry.now();
    kinds
        .find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        .cloned()
}

/// Accepts names, sets conditions, and serves what is established.
pub(crate) async fn settle(objects: &Objects) {
    let Some(resource) = resource(objects) else {
        return;
    };
    let now = objects.sources.now_text();
    for object in definitions(objects) {
        let all = definitions(objects);
        let others = all.iter().map(|object| object.value());
        let others: Vec<_> = others
            .filter(|other| name(other) != name(object.value()))
            .collect();
        let mut settled = object.value().clone();
        settle_one(&mut settled, &others, &now);
        if settled == *object.value() {
            continue;
        }
        if let Err(error) = objects.update(&resource, &object, settled, false).await {
            warn!(%error, "the status of a definition could not be written");
        }
    }
    serve(objects);
}

/// Serves what is established.
pub(crate) fn serve(objects: &Objects) {
    objects.registry.set_custom(|| {
        let established = definitions(objects)
            .into_iter()
            .filter(|object| condition(object.value(), "Established") == Some("True"));
        established
            .flat_map(|object| custom_resources(object.value()))
            .collect()
    });
}

fn condition<'a>(crd: &'a Value, kind: &str) -> Option<&'a str> {
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

fn settle_one(crd: &mut Value, others: &[&Value], now: &str) {
    let (accepted, conflict) = accept_names(crd, others);
    object_in(crd, "status").insert("acceptedNames".to_owned(), accepted);
    let names = match &conflict {
        None => ("True", ("NoConflicts", "no conflicts found")),
        Some((reason, message)) => ("False", (*reason, message.as_str())),
    };
    set_condition(crd, now, "NamesAccepted", names.0, names.1);
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
fn accept_names(crd: &Value, others: &[&Value]) -> (Value, Option<(&'static str, String)>) {
    let group = text(crd, "/spec/group");
    let rivals: Vec<&Value> = others
        .iter()
        .copied()
        .filter(|other| text(other, "/spec/group") == group)
        .collect();
    let taken_resource = |wanted: &str| {
        rivals.iter().any(|other| {
            let names = |field: &str| text(other, &format!("/status/acceptedNames/{field}"));
            let short = strings(other, "/status/acceptedNames/shortNames");
            [names("plural"), names("singular")].contains(&wanted)
                || short.iter().any(|name| name == wanted)
        })
    };
    let taken_kind = |wanted: &str| {
        rivals.iter().any(|other| {
            let names = |field: &str| text(other, &format!("/status/acceptedNames/{field}"));
            [names("kind"), names("listKind")].contains(&wanted)
        })
    };
    let mut accepted: Map<String, Value> = crd
        .pointer("/status/acceptedNames")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut conflict = None;
    let mut refuse = |reason, name: &str| {
        let message = format!("{name:?} is already in use");
        conflict.get_or_insert((reason, message));
    };
    for (field, reason) in [
        ("plural", "PluralConflict"),
        ("singular", "SingularConflict"),
        ("kind", "KindConflict"),
        ("listKind", "ListKindConflict"),
    ] {
        let wanted = text(crd, &format!("/spec/names/{field}"));
        let taken = if field.to_lowercase().ends_with("kind") {
            taken_kind(wanted)
        } else {
            taken_resource(wanted)
        };
        if wanted.is_empty() {
            continue;
        }
        if taken {
            refuse(reason, wanted);
        } else {
            accepted.insert(field.to_owned(), wanted.into());
        }
    }
    let short = strings(crd, "/spec/names/shortNames");
    match short.iter().find(|name| taken_resource(name)) {
        Some(name) => refuse("ShortNamesConflict", name),
        None => put(
            &mut accepted,
            "shortNames",
            Some(short)
                .filter(|names| !names.is_empty())
                .map(Value::from),
        ),
    }
    let categories = crd.pointer("/spec/names/categories").cloned();
    put(&mut accepted, "categories", categories);
    (accepted.into(), conflict)
}

/// Whether a write may be what a definition that is deleted has waited for: the definition's own, or
/// the removal of one of its objects.
pub(super) fn concerned(objects: &Objects, written: &Written) -> bool {
    let definitions = table("apiextensions.k8s.io", "customresourcedefinitions");
    if written.table == definitions {
        return true;
    }
    let Some((group, plural)) = written.table.split_once('/') else {
        return false;
    };
    let key = Key::new(&definitions, None, &format!("{plural}.{group}"));
    let definition = written.after.is_none().then(|| objects.store.get(&key));
    definition
        .flatten()
        .is_some_and(|definition| is_deleting(definition.value()))
}

/// Deletes the objects of definitions that are deleted, then the definitions.
pub(super) async fn clean(objects: &Arc<Objects>) -> Emptied {
    let Some(resource) = resource(objects) else {
        return Emptied::Fully;
    };
    let mut gone = false;
    let mut all = Emptied::Fully;
    for object in definitions(objects) {
        let crd = object.value();
        let waits = strings(crd, "/metadata/finalizers")
            .iter()
            .any(|name| name == CLEANUP);
        if !is_deleting(crd) || !waits {
            continue;
        }
        let emptied = delete_objects(objects, crd).await;
        all = all.max(emptied);
        if emptied != Emptied::Fully {
            continue;
        }
        // Whoever sees that the definition is gone shall find nothing served of it.
        for served in custom_resources(crd) {
            objects.registry.drop_custom(&served.table);
        }
        let key = key_of(&resource, crd);
        let done = change(objects, &resource, &key, |value| {
            let mut left = strings(value, "/metadata/finalizers");
            left.retain(|name| name != CLEANUP);
            let left = Some(left).filter(|left| !left.is_empty());
            put(metadata(value), "finalizers", left.map(Value::from));
        });
        if let Err(message) = done.await {
            warn!(message, "a definition could not be removed");
            all = Emptied::Failed;
        }
        gone = true;
    }
    if gone {
        settle(objects).await;
    }
    all
}

/// Deletes the objects of a definition.
async fn delete_objects(objects: &Objects, crd: &Value) -> Emptied {
    match custom_resources(crd).first() {
        Some(resource) => delete_all(objects, resource, None).await,
        None => Emptied::Fully,
    }
}
