//! Namespaces that are deleted: first what is in them, then themselves.

use std::sync::Arc;

use serde_json::{Value, json};
use tracing::warn;

use super::emptying::{Emptied, delete_all};
use super::garbage::manage;
use super::remains;
use super::written::Written;
use crate::kinds::{Resource, table};
use crate::meta::{is_deleting, items, name, namespace, object_in};
use crate::objects::Objects;
use crate::store::{Key, WriteError};

/// The namespace to be looked at after a write: one that is being deleted.
pub(super) fn concerned(objects: &Objects, written: Written<'_>) -> Option<String> {
    let object = written.after.or(written.before)?;
    let name = if written.table == table("", "namespaces") {
        name(object.value())
    } else {
        namespace(object.value())
    };
    let found = objects.store.get(&key(name))?;
    is_deleting(found.value()).then(|| name.to_owned())
}

fn key(name: &str) -> Key {
    Key::new(&table("", "namespaces"), None, name)
}

/// Deletes what is in a namespace, and the namespace once it is empty.
pub(super) async fn empty(objects: &Objects, namespace: &str) -> Emptied {
    let kinds = objects.registry.now();
    let mut emptied = Emptied::Fully;
    let mut left = Vec::new();
    for resource in kinds.stored().iter().filter(|resource| resource.namespaced) {
        let of_kind = delete_all(objects, resource, Some(namespace)).await;
        if of_kind != Emptied::Fully {
            left.push(resource);
        }
        emptied = emptied.max(of_kind);
    }
    let Some(resource) = kinds.find("", "v1", "namespaces") else {
        return emptied;
    };
    if emptied == Emptied::Fully {
        return finalize(objects, resource, namespace).await;
    }
    report(objects, resource, namespace, &left).await;
    emptied
}

/// Says in the namespace's status what it waits for.
async fn report(objects: &Objects, resource: &Resource, name: &str, left: &[&Arc<Resource>]) {
    let Some(object) = objects.store.get(&key(name)) else {
        return;
    };
    let mut value = object.value().clone();
    let conditions = remains::conditions(objects, name, left);
    remains::set(&mut value, conditions, &objects.sources.now_text());
    if value == *object.value() {
        return;
    }
    manage(objects, resource, object.value(), &mut value, "status");
    if let Err(error) = objects.update(resource, &object, value, false).await {
        warn!(%error, namespace = name, "a namespace's conditions could not be written");
    }
}

/// Takes the namespace itself away, if nobody else holds on to it.
async fn finalize(objects: &Objects, resource: &Resource, name: &str) -> Emptied {
    let Some(object) = objects.store.get(&key(name)) else {
        return Emptied::Fully;
    };
    let mut value = object.value().clone();
    let mut finalizers = items(&value, "/spec/finalizers").to_vec();
    finalizers.retain(|finalizer| *finalizer != json!("kubernetes"));
    let held = !finalizers.is_empty() || !items(&value, "/metadata/finalizers").is_empty();
    let done = if held {
        let finalizers = Some(finalizers).filter(|finalizers| !finalizers.is_empty());
        let spec = object_in(&mut value, "spec");
        crate::meta::put(spec, "finalizers", finalizers.map(Value::from));
        if value == *object.value() {
            return Emptied::NotYet;
        }
        objects.update(resource, &object, value, false).await
    } else {
        objects.remove(resource, &object, false).await
    };
    match done {
        Ok(_) => Emptied::Fully,
        // Of the write that was in between this will be told.
        Err(WriteError::Conflict { .. } | WriteError::NotFound) => Emptied::NotYet,
        Err(error) => {
            warn!(%error, namespace = name, "a namespace could not be finalized");
            Emptied::Failed
        }
    }
}
