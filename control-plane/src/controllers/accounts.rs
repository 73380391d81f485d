//! The service account `default`, which every namespace has.

use serde_json::json;
use tracing::warn;

use super::written::Written;
use crate::kinds::table;
use crate::meta::{is_deleting, name, namespace};
use crate::objects::{Error, Objects};
use crate::store::Key;

const DEFAULT: &str = "default";

/// The namespace that may have lost its account, or is new.
pub(super) fn concerned(written: Written<'_>) -> Option<String> {
    if written.table == table("", "namespaces") {
        return Some(name(written.after?.value()).to_owned());
    }
    let is_account = written.table == table("", "serviceaccounts");
    let lost = written.before.filter(|_| written.after.is_none())?;
    (is_account && name(lost.value()) == DEFAULT).then(|| namespace(lost.value()).to_owned())
}

/// Makes the account of a namespace that is there to stay. False if it could not be written.
pub(super) async fn provide(objects: &Objects, namespace: &str) -> bool {
    let place = Key::new(&table("", "namespaces"), None, namespace);
    let stays = objects.store.get(&place);
    if stays.is_none_or(|namespace| is_deleting(namespace.value())) {
        return true;
    }
    let key = Key::new(&table("", "serviceaccounts"), Some(namespace), DEFAULT);
    if objects.store.get(&key).is_some() {
        return true;
    }
    let kinds = objects.registry.now();
    let Some(resource) = kinds.find("", "v1", "serviceaccounts") else {
        return true;
    };
    let account = json!({"metadata": {
        "name": DEFAULT,
        "namespace": namespace,
        "uid": objects.sources.uid(),
        "creationTimestamp": objects.sources.now_text(),
    }});
    match objects.create(resource, account, false).await {
        // One that goes in between needs none.
        Ok(_)
        | Err(Error::AlreadyExists { .. } | Error::Forbidden { .. } | Error::NotFound { .. }) => {
            true
        }
        Err(error) => {
            warn!(
                namespace,
                %error, "a namespace has no default service account"
            );
            false
        }
    }
}
