//! Custom resource definitions: their names, their conditions, and what is served because of them.
//!
//! One task settles every definition that is written, in the order of the store. What a definition
//! says of its kinds is compiled when that has changed, and of that definition alone.

mod cleanup;
mod names;
mod status;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Weak};

use tracing::warn;

use super::backoff::Backoff;
use crate::kinds::{Resource, custom_resources, table};
use crate::meta::{name, text};
use crate::objects::{Item, Objects, Waiting};
use crate::store::{Key, Object, Page, Store, Watch, WriteError};
pub(super) use cleanup::{clean, concerned};
use names::Names;

/// How often a status is tried again when others write, too.
const ATTEMPTS: usize = 20;

fn definitions_table() -> String {
    table("apiextensions.k8s.io", "customresourcedefinitions")
}

fn key(name: &str) -> Key {
    Key::new(&definitions_table(), None, name)
}

fn resource(objects: &Objects) -> Option<Arc<Resource>> {
    let kinds = objects.registry.now();
    kinds
        .find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        .cloned()
}

/// Settles definitions, as long as the control plane is there.
pub(crate) struct Controller {
    watch: Watch,
    names: Names,
    /// The definitions of which something is served, as they were when that was compiled.
    served: BTreeMap<String, Arc<Object>>,
    /// Those whose names are taken by others.
    refused: BTreeSet<String>,
    /// Those that are to be settled, in the order in which they were written.
    queue: VecDeque<String>,
    /// Those that could not be written.
    failed: BTreeSet<String>,
    backoff: Backoff,
}

impl Controller {
    /// Settles the definitions that are there.
    pub(crate) async fn begin(objects: &Objects) -> Self {
        let (mut all, watch) = everything(&objects.store);
        // Who came first keeps a name.
        all.sort_by_key(|object| text(object.value(), "/metadata/creationTimestamp").to_owned());
        let mut names = Names::default();
        for object in &all {
            names.set(name(object.value()), object.value());
        }
        let queue: VecDeque<String> = all
            .iter()
            .map(|object| name(object.value()).to_owned())
            .collect();
        objects.registry.retain_custom(|name| names.knows(name));
        let mut controller = Self {
            watch,
            names,
            served: BTreeMap::new(),
            refused: BTreeSet::new(),
            queue,
            failed: BTreeSet::new(),
            backoff: Backoff::default(),
        };
        controller.work(objects).await;
        controller
    }

    /// Settles what is written, until the control plane ends. Those who wait are answered when
    /// what they have written is settled, or could not be.
    pub(crate) async fn run(mut self, objects: Weak<Objects>, mut waiting: Waiting) {
        loop {
            let retry = (!self.failed.is_empty()).then(|| self.backoff.wait());
            let later = async {
                match retry {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let (event, waiter) = tokio::select! {
                biased;
                event = self.watch.next() => (Some(event), None),
                waiter = waiting.recv() => match waiter {
                    Some(waiter) => (None, Some(waiter)),
                    None => return,
                },
                () = later => {
                    self.queue.extend(std::mem::take(&mut self.failed));
                    (None, None)
                }
            };
            let Some(objects) = objects.upgrade() else {
                return;
            };
            // What those who wait have written is known by now.
            let mut next = event.or_else(|| self.watch.try_next().map(Some));
            while let Some(event) = next {
                match event {
                    None => return,
                    Some(Ok(event)) => {
                        let definition = name(event.object.value()).to_owned();
                        self.queue.push_back(definition);
                        next = self.watch.try_next().map(Some);
                    }
                    Some(Err(_)) => {
                        self = Self::begin(&objects).await;
                        next = None;
                    }
                }
            }
            self.work(&objects).await;
            if let Some(waiter) = waiter {
                // Whoever waited may be gone.
                let _ = waiter.send(());
            }
        }
    }

    /// Settles what is queued.
    async fn work(&mut self, objects: &Objects) {
        let Some(resource) = resource(objects) else {
            return;
        };
        while let Some(definition) = self.queue.pop_front() {
            self.settle(objects, &resource, &definition).await;
        }
        if self.failed.is_empty() {
            self.backoff.reset();
        } else {
            self.backoff.grow();
        }
    }

    /// Accepts the names of a definition, sets its conditions, and serves it if it is established.
    async fn settle(&mut self, objects: &Objects, resource: &Resource, definition: &str) {
        for _ in 0..ATTEMPTS {
            let Some(object) = objects.store.get(&key(definition)) else {
                return self.forget(objects, definition);
            };
            let mut settled = object.value().clone();
            status::settle(&mut settled, &self.names, &objects.sources.now_text());
            let object = if settled == *object.value() {
                object
            } else {
                match objects.update(resource, &object, settled, false).await {
                    Ok(Item::Stored(settled)) => settled,
                    Ok(Item::Made(_)) | Err(WriteError::Conflict { .. } | WriteError::NotFound) => {
                        continue;
                    }
                    Err(error) => {
                        warn!(%error, definition, "the status of a definition could not be written");
                        self.failed.insert(definition.to_owned());
                        object
                    }
                }
            };
            return self.take(objects, definition, object);
        }
        self.failed.insert(definition.to_owned());
    }

    /// Learns what a definition says by now.
    fn take(&mut self, objects: &Objects, definition: &str, object: Arc<Object>) {
        let value = object.value();
        if status::condition(value, "NamesAccepted") == Some("True") {
            self.refused.remove(definition);
        } else {
            self.refused.insert(definition.to_owned());
        }
        if self.names.set(definition, value) {
            self.reconsider(definition);
        }
        if status::condition(value, "Established") != Some("True") {
            return;
        }
        let same = |field: &str| {
            let before = self.served.get(definition);
            before.is_some_and(|before| before.value().pointer(field) == value.pointer(field))
        };
        if same("/spec") && same("/status/acceptedNames") {
            return;
        }
        let order = text(value, "/metadata/creationTimestamp").to_owned();
        let resources = custom_resources(value);
        objects.registry.set_custom(definition, order, resources);
        self.served.insert(definition.to_owned(), object);
    }

    /// A definition is gone.
    fn forget(&mut self, objects: &Objects, definition: &str) {
        objects.registry.drop_custom(definition);
        self.served.remove(definition);
        self.refused.remove(definition);
        self.failed.remove(definition);
        if self.names.remove(definition) {
            self.reconsider(definition);
        }
    }

    /// Names may have become free that others want.
    fn reconsider(&mut self, definition: &str) {
        let others = self.refused.iter().filter(|other| *other != definition);
        self.queue.extend(others.cloned());
    }
}

/// The definitions, and what happens to them from then on.
fn everything(store: &Store) -> (Vec<Arc<Object>>, Watch) {
    loop {
        let Ok(list) = store.list(&definitions_table(), None, &Page::default()) else {
            continue;
        };
        // Fails if a whole history is written in between.
        if let Ok(watch) = store.watch(&definitions_table(), None, list.revision) {
            return (list.items, watch);
        }
    }
}
