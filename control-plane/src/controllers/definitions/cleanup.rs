//! Definitions that are deleted: first their objects, then themselves.

use std::sync::Arc;

use serde_json::Value;
use tracing::warn;

use super::super::emptying::{Emptied, delete_all};
use super::super::garbage::change;
use super::super::written::Written;
use super::{definitions_table, key, resource};
use crate::kinds::{custom_resources, table};
use crate::meta::{is_deleting, metadata, name, put, strings, text};
use crate::objects::{CLEANUP, Objects, key_of};

/// The definition that may go after a write: one that is being deleted, and the write its own or
/// the removal of one of its objects.
pub(in super::super) fn concerned(objects: &Objects, written: Written<'_>) -> Option<String> {
    let definition = if written.table == definitions_table() {
        name(written.after?.value()).to_owned()
    } else {
        let (group, plural) = written.table.split_once('/')?;
        written
            .after
            .is_none()
            .then(|| format!("{plural}.{group}"))?
    };
    let found = objects.store.get(&key(&definition))?;
    is_deleting(found.value()).then_some(definition)
}

/// Deletes the objects of a definition that is deleted, and the definition once there are none.
pub(in super::super) async fn clean(objects: &Arc<Objects>, definition: &str) -> Emptied {
    let Some(resource) = resource(objects) else {
        return Emptied::Fully;
    };
    let Some(object) = objects.store.get(&key(definition)) else {
        return Emptied::Fully;
    };
    let crd = object.value();
    let waits = strings(crd, "/metadata/finalizers")
        .iter()
        .any(|name| name == CLEANUP);
    if !is_deleting(crd) || !waits {
        return Emptied::Fully;
    }
    let table = table(text(crd, "/spec/group"), text(crd, "/spec/names/plural"));
    let served = objects.registry.now().of_table(&table).cloned();
    // One whose names were not accepted, or that is served no more, may have objects, too.
    let served = served.or_else(|| custom_resources(crd).into_iter().next());
    let emptied = match served {
        Some(resource) => delete_all(objects, &resource, None).await,
        None => Emptied::Fully,
    };
    if emptied != Emptied::Fully {
        return emptied;
    }
    if strings(crd, "/metadata/finalizers").len() == 1 {
        // Whoever sees that the definition is gone must find nothing served of it.
        objects.registry.drop_custom(definition);
    }
    let key = key_of(&resource, crd);
    let done = change(objects, &resource, &key, |value| {
        let mut left = strings(value, "/metadata/finalizers");
        left.retain(|name| name != CLEANUP);
        let left = Some(left).filter(|left| !left.is_empty());
        put(metadata(value), "finalizers", left.map(Value::from));
    });
    if let Err(message) = done.await {
        warn!(message, definition, "a definition could not be removed");
        return Emptied::Failed;
    }
    Emptied::Fully
}
