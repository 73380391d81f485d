//! Deleting all objects of a kind.

use tracing::warn;

use crate::kinds::Resource;
use crate::meta::is_deleting;
use crate::objects::{DeleteOptions, Error, Objects, key_of};
use crate::store::Page;

/// How far the objects of a kind are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Emptied {
    /// None is left.
    Fully,
    /// Some have finalizers; whoever takes them away writes.
    NotYet,
    /// Some could not be deleted.
    Failed,
}

/// Deletes the objects of a kind, in a namespace or everywhere.
pub(super) async fn delete_all(
    objects: &Objects,
    resource: &Resource,
    namespace: Option<&str>,
) -> Emptied {
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
