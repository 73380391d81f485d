//! Namespaces that are deleted: first what is in them, then themselves.

use serde_json::{Value, json};
use tracing::warn;

use super::{Emptied, Written, delete_all};
use crate::kinds::{Resource, table};
use crate::meta::{is_deleting, items, name, namespace, object_in};
use crate::plane::Plane;
use crate::store::{Key, WriteError};

/// The namespace to be looked at after a write: one that is being deleted.
pub(super) fn concerned(plane: &Plane, written: &Written) -> Option<String> {
    let object = written.after.as_ref().or(written.before.as_ref())?;
    let name = if written.table == table("", "namespaces") {
        name(object.value())
    } else {
        namespace(object.value())
    };
    let found = plane.store.get(&key(name))?;
    is_deleting(found.value()).then(|| name.to_owned())
}

fn key(name: &str) -> Key {
    Key::new(&table("", "namespaces"), None, name)
}

/// Deletes what is in a namespace, and the namespace once it is empty.
pub(super) async fn empty(plane: &Plane, namespace: &str) -> Emptied {
    let kinds = plane.registry.now();
    let mut emptied = Emptied::Fully;
    for resource in kinds
        .stored()
        .into_iter()
        .filter(|resource| resource.namespaced)
    {
        emptied = emptied.max(delete_all(plane, resource, Some(namespace)).await);
    }
    match kinds.find("", "v1", "namespaces") {
        Some(resource) if emptied == Emptied::Fully => finalize(plane, resource, namespace).await,
        _ => emptied,
    }
}

/// Takes the namespace itself away, if nobody else holds on to it.
async fn finalize(plane: &Plane, resource: &Resource, name: &str) -> Emptied {
    let Some(object) = plane.store.get(&key(name)) else {
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
        plane.update(resource, &object, value, false).await
    } else {
        plane.remove(resource, &object, false).await
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
