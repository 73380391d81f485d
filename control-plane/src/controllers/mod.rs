//! What an API server must see to itself: definitions, namespaces that are deleted, the dependents
//! of what was deleted, default service accounts, and events that have expired.
//!
//! Definitions are settled by whoever writes one, before the answer. The rest is done by one task,
//! which is told of every write, in order. What can't be done because the store can't be written is
//! tried again with the next write that it is told of.

mod accounts;
pub(crate) mod definitions;
mod events;
mod garbage;
mod namespaces;
mod remains;

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::warn;

use crate::api::query::DeleteOptions;
use crate::api::write::key_of;
use crate::kinds::Resource;
use crate::meta::is_deleting;
use crate::plane::Plane;
use crate::store::{Object, Page};
use events::Expiry;
use garbage::Garbage;

/// Something that was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The table of the store.
    pub(crate) table: String,
    pub(crate) before: Option<Arc<Object>>,
    /// None if it was removed.
    pub(crate) after: Option<Arc<Object>>,
}

impl Written {
    pub(crate) fn of(
        resource: &Resource,
        before: Option<&Arc<Object>>,
        after: Option<&Arc<Object>>,
    ) -> Self {
        Self {
            table: resource.table.clone(),
            before: before.cloned(),
            after: after.cloned(),
        }
    }
}

/// Where writes are reported.
pub(crate) struct Changes(mpsc::UnboundedSender<Written>);

/// Where reports are read.
pub(crate) type Reports = mpsc::UnboundedReceiver<Written>;

impl Changes {
    pub(crate) fn new() -> (Self, Reports) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(crate) fn tell(&self, written: Written) {
        // At the end nobody listens any more.
        let _ = self.0.send(written);
    }
}

/// Sees to what follows from writes, as long as the control plane is there.
pub(crate) async fn run(plane: Weak<Plane>, mut reports: Reports) {
    let Some((clock, mut work)) = plane.upgrade().map(|plane| {
        let mut work = Work::default();
        let now = plane.sources.now();
        for (written, at) in everything(&plane, now) {
            work.note(&plane, &written, at);
        }
        (Arc::clone(&plane.sources.clock), work)
    }) else {
        return;
    };
    loop {
        {
            let Some(plane) = plane.upgrade() else { return };
            let now = clock();
            // What is known already is looked at once.
            while let Ok(written) = reports.try_recv() {
                work.note(&plane, &written, now);
            }
            work.work(&plane).await;
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
        let (Some(written), Some(plane)) = (written, plane.upgrade()) else {
            return;
        };
        work.note(&plane, &written, clock());
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
    expiry: Expiry,
}

impl Work {
    fn note(&mut self, plane: &Plane, written: &Written, at: Timestamp) {
        self.garbage.note(written);
        self.emptied.extend(namespaces::concerned(plane, written));
        self.provided.extend(accounts::concerned(written));
        self.definitions |= definitions::concerned(plane, written);
        self.expiry.note(written, at);
    }

    async fn work(&mut self, plane: &Arc<Plane>) {
        self.garbage.work(plane).await;
        for namespace in std::mem::take(&mut self.provided) {
            accounts::provide(plane, &namespace).await;
        }
        for namespace in std::mem::take(&mut self.emptied) {
            if namespaces::empty(plane, &namespace).await == Emptied::Failed {
                self.emptied.insert(namespace);
            }
        }
        if self.definitions {
            self.definitions = definitions::clean(plane).await == Emptied::Failed;
        }
        self.expiry.work(plane).await;
    }
}

/// All that was there at the start, as if it had been written when it was last.
fn everything(plane: &Plane, now: Timestamp) -> Vec<(Written, Timestamp)> {
    let mut all = Vec::new();
    for resource in plane.registry.now().stored() {
        let list = plane.store.list(&resource.table, None, &Page::default());
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
async fn delete_all(plane: &Plane, resource: &Resource, namespace: Option<&str>) -> Emptied {
    let list = plane
        .store
        .list(&resource.table, namespace, &Page::default());
    let mut emptied = Emptied::Fully;
    for object in list.map(|list| list.items).unwrap_or_default() {
        if is_deleting(object.value()) {
            emptied = emptied.max(Emptied::NotYet);
            continue;
        }
        let key = key_of(resource, object.value());
        match plane
            .delete(resource, &key, &DeleteOptions::background())
            .await
        {
            Ok(deleted) if deleted.gone => {}
            Ok(_) => emptied = emptied.max(Emptied::NotYet),
            Err(error) if error.code == 404 => {}
            Err(error) => {
                let (kind, message) = (&resource.kind, error.message);
                warn!(kind, message, "an object that shall go stays");
                emptied = Emptied::Failed;
            }
        }
    }
    emptied
}
