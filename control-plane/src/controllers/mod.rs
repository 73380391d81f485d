//! What an API server must see to itself: definitions, namespaces that are deleted, the dependents
//! of what was deleted, default service accounts, and events that have expired.
//!
//! Definitions are settled by whoever writes one, before the answer. The rest is done by one task,
//! which is told of every write, in order. What can't be done because the store can't be written is
//! tried again with the next write that it is told of.

mod accounts;
pub(crate) mod aggregation;
pub(crate) mod definitions;
mod events;
mod garbage;
mod namespaces;
mod remains;
mod signing;

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use tracing::warn;

use crate::access::Access;
use crate::kinds::Resource;
use crate::meta::is_deleting;
use crate::objects::{DeleteOptions, Error, Objects, Reports, Written, key_of};
use crate::store::Page;
use events::Expiry;
use garbage::Garbage;
use signing::Signing;

/// Sees to what follows from writes, as long as the control objects is there.
pub(crate) async fn run(access: Weak<Access>, mut reports: Reports) {
    let Some((clock, mut work)) = access.upgrade().map(|access| {
        let objects = &access.objects;
        let mut work = Work::default();
        let now = objects.sources.now();
        for (written, at) in everything(objects, now) {
            work.note(objects, &written, at);
        }
        (Arc::clone(&objects.sources.clock), work)
    }) else {
        return;
    };
    loop {
        {
            let Some(access) = access.upgrade() else {
                return;
            };
            let now = clock();
            // What is known already is looked at once.
            while let Ok(written) = reports.try_recv() {
                work.note(&access.objects, &written, now);
            }
            work.work(&access).await;
        }
        let expiry = work.expiry.wait(clock());
        let expired = async {
            match expiry {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        let written = tokio::select! {
            biased;
            written = reports.recv() => written,
            () = expired => continue,
        };
        let (Some(written), Some(access)) = (written, access.upgrade()) else {
            return;
        };
        work.note(&access.objects, &written, clock());
    }
}

/// What is to be done.
#[derive(Default)]
struct Work {
    garbage: Garbage,
    /// Namespaces that are deleted.
    emptied: BTreeSet<String>,
    /// Namespaces that may lack their account.
    provided: BTreeSet<String>,
    /// A definition that is deleted, or its last object, may go.
    definitions: bool,
    /// Rules of cluster roles may have to be gathered anew.
    aggregation: bool,
    signing: Signing,
    expiry: Expiry,
}

impl Work {
    fn note(&mut self, objects: &Objects, written: &Written, at: Timestamp) {
        self.garbage.note(written);
        self.emptied.extend(namespaces::concerned(objects, written));
        self.provided.extend(accounts::concerned(written));
        self.definitions |= definitions::concerned(objects, written);
        self.aggregation |= aggregation::concerned(written);
        self.signing.note(objects, written);
        self.expiry.note(written, at);
    }

    async fn work(&mut self, access: &Access) {
        let objects = &access.objects;
        self.garbage.work(objects).await;
        for namespace in std::mem::take(&mut self.provided) {
            if !accounts::provide(objects, &namespace).await {
                self.provided.insert(namespace);
            }
        }
        for namespace in std::mem::take(&mut self.emptied) {
            if namespaces::empty(objects, &namespace).await == Emptied::Failed {
                self.emptied.insert(namespace);
            }
        }
        if self.definitions {
            self.definitions = definitions::clean(objects).await == Emptied::Failed;
        }
        if self.aggregation {
            self.aggregation = !aggregation::gather(objects).await;
        }
        self.signing.work(access).await;
        self.expiry.work(objects).await;
    }
}

/// All that was there at the start, as if it had been written when it was last.
fn everything(objects: &Objects, now: Timestamp) -> Vec<(Written, Timestamp)> {
    let mut all = Vec::new();
    for resource in objects.registry.now().stored() {
        let list = objects.store.list(&resource.table, None, &Page::default());
        let items = list.map(|list| list.items).unwrap_or_default();
        all.extend(items.iter().map(|object| {
            let written = Written::of(resource, None, Some(object));
            (written, events::last_written(object.value(), now))
        }));
    }
    all
}

/// How far the objects of a kind are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Emptied {
    /// None is left.
    Fully,
    /// Some have finalizers; whoever takes them away writes.
    NotYet,
    /// Some could not be deleted.
    Failed,
}

/// Deletes the objects of a kind, in a namespace or everywhere.
async fn delete_all(objects: &Objects, resource: &Resource, namespace: Option<&str>) -> Emptied {
    let list = objects
        .store
        .list(&resource.table, namespace, &Page::default());
    let mut emptied = Emptied::Fully;
    for object in list.map(|list| list.items).unwrap_or_default() {
        if is_deleting(object.value()) {
            emptied = emptied.max(Emptied::NotYet);
            continue;
        }
        let key = key_of(resource, object.value());
        match objects
            .delete(resource, &key, &DeleteOptions::background())
            .await
        {
            Ok(deleted) if deleted.gone => {}
            Ok(_) => emptied = emptied.max(Emptied::NotYet),
            Err(Error::NotFound { .. }) => {}
            Err(error) => {
                let kind = &resource.kind;
                warn!(kind, %error, "an object that shall go stays");
                emptied = Emptied::Failed;
            }
        }
    }
    emptied
}
