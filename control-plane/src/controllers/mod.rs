//! What an API server must see to itself: definitions, namespaces that are deleted, and the
//! dependents of what was deleted.
//!
//! Definitions are settled by whoever writes one, before the answer. The rest is done by one task,
//! which is told of every write, in order, and needs no timer.

pub(crate) mod definitions;
mod garbage;
mod namespaces;

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use tokio::sync::mpsc;
use tracing::warn;

use crate::api::query::DeleteOptions;
use crate::api::write::key_of;
use crate::kinds::Resource;
use crate::meta::is_deleting;
use crate::plane::Plane;
use crate::store::{Object, Page};
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
    let mut garbage = Garbage::default();
    let mut emptied = BTreeSet::new();
    if let Some(plane) = plane.upgrade() {
        for written in everything(&plane) {
            note(&plane, &mut garbage, &mut emptied, &written);
        }
        work(&plane, &mut garbage, &mut emptied).await;
    }
    while let Some(written) = reports.recv().await {
        let Some(plane) = plane.upgrade() else { return };
        note(&plane, &mut garbage, &mut emptied, &written);
        // What is known already is looked at once.
        while let Ok(written) = reports.try_recv() {
            note(&plane, &mut garbage, &mut emptied, &written);
        }
        work(&plane, &mut garbage, &mut emptied).await;
    }
}

/// All that was there at the start, as if it had just been written.
fn everything(plane: &Plane) -> Vec<Written> {
    let mut all = Vec::new();
    for resource in plane.registry.now().stored() {
        let list = plane.store.list(&resource.table, None, &Page::default());
        let items = list.map(|list| list.items).unwrap_or_default();
        all.extend(
            items
                .iter()
                .map(|object| Written::of(resource, None, Some(object))),
        );
    }
    all
}

fn note(plane: &Plane, garbage: &mut Garbage, emptied: &mut BTreeSet<String>, written: &Written) {
    garbage.note(written);
    emptied.extend(namespaces::concerned(plane, written));
}

async fn work(plane: &Arc<Plane>, garbage: &mut Garbage, emptied: &mut BTreeSet<String>) {
    garbage.work(plane).await;
    for namespace in std::mem::take(emptied) {
        namespaces::empty(plane, &namespace).await;
    }
    definitions::clean(plane).await;
}

/// Deletes the objects of a kind, in a namespace or everywhere. True if some are still there.
async fn delete_all(plane: &Plane, resource: &Resource, namespace: Option<&str>) -> bool {
    let list = plane
        .store
        .list(&resource.table, namespace, &Page::default());
    let mut left = false;
    for object in list.map(|list| list.items).unwrap_or_default() {
        if is_deleting(object.value()) {
            left = true;
            continue;
        }
        let key = key_of(resource, object.value());
        match plane
            .delete(resource, &key, &DeleteOptions::background())
            .await
        {
            Ok(deleted) => left |= !deleted.gone,
            Err(error) if error.code == 404 => {}
            Err(error) => {
                let (kind, message) = (&resource.kind, error.message);
                warn!(kind, message, "an object that shall go stays");
                left = true;
            }
        }
    }
    left
}
