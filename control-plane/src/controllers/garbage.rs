//! Dependents of what was deleted, as the garbage collector of kube-controller-manager treats them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use tracing::warn;

use super::written::Written;
use crate::kinds::{Kinds, Resource};
use crate::meta::{is_deleting, items, metadata, name, namespace, put, strings, text, uid};
use crate::objects::pipeline::{self, Writer};
use crate::objects::{DeleteOptions, Error, FOREGROUND, ORPHAN, Objects, Propagation, goes};
use crate::store::{Key, Object, WriteError};

/// How often a change is tried anew when others write, too.
const ATTEMPTS: usize = 20;

/// Who depends on whom, and what is to be looked at.
#[derive(Default)]
pub(super) struct Garbage {
    /// By the uid of the owner.
    dependents: BTreeMap<String, BTreeSet<Key>>,
    queue: VecDeque<Key>,
}

fn owners(value: &Value) -> &[Value] {
    items(value, "/metadata/ownerReferences")
}

fn has_finalizer(value: &Value, finalizer: &str) -> bool {
    strings(value, "/metadata/finalizers")
        .iter()
        .any(|name| name == finalizer)
}

/// It goes after its dependents.
fn waits_for_dependents(value: &Value) -> bool {
    is_deleting(value) && has_finalizer(value, FOREGROUND)
}

/// The key of an object of a table.
pub(super) fn key(table: &str, value: &Value) -> Key {
    let namespace = namespace(value);
    Key::new(
        table,
        Some(namespace).filter(|namespace| !namespace.is_empty()),
        name(value),
    )
}

impl Garbage {
    /// Learns of a write.
    pub(super) fn note(&mut self, written: Written<'_>) {
        let before = written.before.map(Object::value);
        let after = written.after.map(Object::value);
        let Some(value) = after.or(before) else {
            return;
        };
        let key = key(written.table, value);
        for owner in before.map(owners).unwrap_or_default() {
            let uid = text(owner, "/uid");
            if let Some(dependents) = self.dependents.get_mut(uid) {
                dependents.remove(&key);
                if dependents.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        for owner in after.map(owners).unwrap_or_default() {
            let dependents = self.dependents.entry(text(owner, "/uid").to_owned());
            dependents.or_default().insert(key.clone());
        }
        let refers = |value: Option<&Value>| value.map(owners).unwrap_or_default().to_vec();
        match after {
            None => {
                let orphans = self.dependents.remove(uid(value)).unwrap_or_default();
                self.queue.extend(orphans);
            }
            Some(value) if is_deleting(value) || refers(before) != refers(after) => {
                self.queue.push_back(key.clone());
            }
            Some(_) => {}
        }
        // An owner may have waited for this.
        let released = refers(before);
        if !released.is_empty() && (after.is_none() || released != refers(after)) {
            self.queue
                .extend(released.iter().filter_map(|owner| owner_key(owner, &key)));
        }
    }

    /// Looks at all that is queued, and at what follows from it. What fails stays in the queue.
    pub(super) async fn work(&mut self, objects: &Objects) {
        let kinds = objects.registry.now();
        let mut failed = Vec::new();
        while let Some(key) = self.queue.pop_front() {
            let Some(key) = resolve(&kinds, key) else {
                continue;
            };
            let Some(resource) = kinds.of_table(&key.resource) else {
                continue;
            };
            let Some(object) = objects.store.get(&key) else {
                continue;
            };
            let done = self.look(objects, &kinds, resource, &key, &object).await;
            if let Err(message) = done {
                warn!(message, name = key.name, "garbage could not be collected");
                failed.push(key);
            }
        }
        self.queue.extend(failed);
    }

    /// Nothing is queued, so nothing has failed.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty()
    }

    async fn look(
        &mut self,
        objects: &Objects,
        kinds: &Kinds,
        resource: &Resource,
        key: &Key,
        object: &Object,
    ) -> Result<(), String> {
        let value = object.value();
        let uid = uid(value).to_owned();
        if is_deleting(value) && has_finalizer(value, ORPHAN) {
            for dependent in self.dependents.get(&uid).cloned().unwrap_or_default() {
                drop_owners(objects, kinds, &dependent, &[&uid]).await?;
            }
            return change(objects, resource, key, |value| {
                remove_finalizer(value, ORPHAN);
            })
            .await;
        }
        if waits_for_dependents(value) {
            let dependents = self.dependents.get(&uid).cloned().unwrap_or_default();
            let blocking: Vec<Key> = dependents
                .into_iter()
                .filter(|dependent| blocks(objects, dependent, &uid))
                .collect();
            if blocking.is_empty() {
                return change(objects, resource, key, |value| {
                    remove_finalizer(value, FOREGROUND);
                })
                .await;
            }
            for dependent in blocking {
                self.collect(objects, kinds, &dependent).await?;
            }
            return Ok(());
        }
        self.collect(objects, kinds, key).await
    }

    /// Deletes an object whose owners are all gone.
    async fn collect(&mut self, objects: &Objects, kinds: &Kinds, key: &Key) -> Result<(), String> {
        let (Some(resource), Some(object)) =
            (kinds.of_table(&key.resource), objects.store.get(key))
        else {
            return Ok(());
        };
        let value = object.value();
        if is_deleting(value) || owners(value).is_empty() {
            return Ok(());
        }
        let (mut solid, mut dangling, mut waiting) = (0, Vec::new(), Vec::new());
        for owner in owners(value) {
            match find_owner(objects, kinds, owner, key) {
                Found::Unknown => solid += 1,
                Found::Gone => dangling.push(text(owner, "/uid")),
                Found::There(found) => {
                    let blocks = owner.get("blockOwnerDeletion") == Some(&Value::Bool(true));
                    if blocks && waits_for_dependents(found.value()) {
                        waiting.push(text(owner, "/uid"));
                    } else {
                        solid += 1;
                    }
                }
            }
        }
        if solid > 0 {
            dangling.extend(waiting);
            if dangling.is_empty() {
                return Ok(());
            }
            return drop_owners(objects, kinds, key, &dangling).await;
        }
        let has_dependents = self
            .dependents
            .get(uid(value))
            .is_some_and(|dependents| !dependents.is_empty());
        let propagation = if !waiting.is_empty() && has_dependents {
            Propagation::Foreground
        } else if has_finalizer(value, ORPHAN) {
            Propagation::Orphan
        } else if has_finalizer(value, FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        let options = DeleteOptions {
            propagation: Some(propagation),
            uid: Some(uid(value).to_owned()),
            ..DeleteOptions::default()
        };
        match objects.delete(resource, key, &options).await {
            Ok(_) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Where an owner would be that waits for its dependents; kinds are looked up later.
fn owner_key(owner: &Value, dependent: &Key) -> Option<Key> {
    let (group, _) = text(owner, "/apiVersion")
        .split_once('/')
        .unwrap_or(("", ""));
    let kind = text(owner, "/kind");
    // The kind stands for the plural until the key is resolved.
    let marker = format!("{OWNER}{group}/{kind}");
    let name = text(owner, "/name");
    (!name.is_empty() && !name.contains('/'))
        .then(|| Key::new(&marker, dependent.namespace.as_deref(), name))
}

/// Marks keys that name a kind in place of a table.
const OWNER: &str = "owner:";

fn resolve(kinds: &Kinds, key: Key) -> Option<Key> {
    let Some(marker) = key.resource.strip_prefix(OWNER) else {
        return Some(key);
    };
    let (group, kind) = marker.rsplit_once('/')?;
    let mut found = kinds
        .all()
        .iter()
        .filter(|resource| resource.is(group, kind));
    let resource = found.next()?;
    let namespace = key.namespace.as_deref().filter(|_| resource.namespaced);
    Some(Key::new(&resource.table, namespace, &key.name))
}

enum Found {
    There(std::sync::Arc<Object>),
    Gone,
    /// Its kind is not served: nobody can tell.
    Unknown,
}

fn find_owner(objects: &Objects, kinds: &Kinds, owner: &Value, dependent: &Key) -> Found {
    let Some(resource) = kinds.find_kind(text(owner, "/apiVersion"), text(owner, "/kind")) else {
        return Found::Unknown;
    };
    let namespace = dependent.namespace.as_deref();
    if resource.namespaced && namespace.is_none() {
        return Found::Unknown;
    }
    let namespace = namespace.filter(|_| resource.namespaced);
    let key = Key::new(&resource.table, namespace, text(owner, "/name"));
    match objects.store.get(&key) {
        Some(object) if uid(object.value()) == text(owner, "/uid") => Found::There(object),
        _ => Found::Gone,
    }
}

/// Whether a dependent keeps its owner from going.
fn blocks(objects: &Objects, dependent: &Key, owner: &str) -> bool {
    let Some(object) = objects.store.get(dependent) else {
        return false;
    };
    owners(object.value()).iter().any(|reference| {
        text(reference, "/uid") == owner
            && reference.get("blockOwnerDeletion") == Some(&Value::Bool(true))
    })
}

async fn drop_owners(
    objects: &Objects,
    kinds: &Kinds,
    key: &Key,
    uids: &[&str],
) -> Result<(), String> {
    let Some(resource) = kinds.of_table(&key.resource) else {
        return Ok(());
    };
    change(objects, resource, key, |value| {
        let mut left = owners(value).to_vec();
        left.retain(|owner| !uids.contains(&text(owner, "/uid")));
        let left = Some(left).filter(|left| !left.is_empty());
        put(metadata(value), "ownerReferences", left.map(Value::from));
    })
    .await
}

fn remove_finalizer(value: &mut Value, finalizer: &str) {
    let mut left = strings(value, "/metadata/finalizers");
    left.retain(|name| name != finalizer);
    let left = Some(left).filter(|left| !left.is_empty());
    put(metadata(value), "finalizers", left.map(Value::from));
}

/// Records what a controller has changed.
pub(super) fn manage(
    objects: &Objects,
    resource: &Resource,
    old: &Value,
    new: &mut Value,
    subresource: &str,
) {
    let writer = Writer {
        manager: "kube-controller-manager",
        subresource,
        time: objects.sources.now(),
    };
    pipeline::manage(resource, Some(old), new, &writer);
    pipeline::keep_times(old, new);
}

/// Changes an object; removes it if that was what it waited for.
pub(super) async fn change(
    objects: &Objects,
    resource: &Resource,
    key: &Key,
    change: impl Fn(&mut Value),
) -> Result<(), String> {
    for _ in 0..ATTEMPTS {
        let Some(object) = objects.store.get(key) else {
            return Ok(());
        };
        let mut value = object.value().clone();
        change(&mut value);
        manage(objects, resource, object.value(), &mut value, "");
        let done = if goes(resource, object.value(), &value) {
            objects.remove(resource, &object, false).await
        } else if value == *object.value() {
            return Ok(());
        } else {
            objects.update(resource, &object, value, false).await
        };
        match done {
            Ok(_) => return Ok(()),
            Err(WriteError::Conflict { .. } | WriteError::NotFound) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("too many others write".to_owned())
}
