//! Finalizers: what holds an object until an operator has cleared up after it.

use std::fmt::Debug;
use std::time::Duration;

use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::status::WriteError;
use crate::api::KOPF_FINALIZER;
use crate::members::Deadlined as _;

/// Whether the original operator, which does not run any more, still holds an object.
pub fn is_held_by_kopf(metadata: &ObjectMeta) -> bool {
    has_finalizer(metadata, KOPF_FINALIZER)
}

/// Whether an object has this finalizer.
pub fn has_finalizer(metadata: &ObjectMeta, finalizer: &str) -> bool {
    let finalizers = metadata.finalizers.iter().flatten();
    finalizers.into_iter().any(|one| one == finalizer)
}

/// The finalizers of an object with this one as the last, and without the original's.
pub fn with_finalizer(finalizers: &[String], added: &str) -> Vec<String> {
    let mut all = without_finalizer(finalizers, added);
    all.push(added.to_owned());
    all
}

/// The finalizers of an object without this one and the original's.
pub fn without_finalizer(finalizers: &[String], removed: &str) -> Vec<String> {
    let kept = |one: &&String| *one != removed && *one != KOPF_FINALIZER;
    finalizers.iter().filter(kept).cloned().collect()
}

/// Adds a finalizer, and removes the original's. `metadata` is the object as it was read; if it has
/// been written since, the answer is [`WriteError::Stale`].
pub async fn add_finalizer<K>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    finalizer: &str,
    deadline: Duration,
) -> Result<(), WriteError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    write(
        api,
        metadata,
        with_finalizer(finalizers, finalizer),
        deadline,
    )
    .await
}

/// Removes a finalizer and the original's. An object that is gone needs none removed. `metadata` is
/// the object as it was read; if it has been written since, the answer is [`WriteError::Stale`].
pub async fn remove_finalizer<K>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    finalizer: &str,
    deadline: Duration,
) -> Result<(), WriteError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    let kept = without_finalizer(finalizers, finalizer);
    match write(api, metadata, kept, deadline).await {
        Err(WriteError::Gone) => Ok(()),
        written => written,
    }
}

/// Removes the original's finalizer and no other.
pub async fn remove_kopf_finalizer<K>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    deadline: Duration,
) -> Result<(), WriteError>
where
    K: Clone + DeserializeOwned + Debug,
{
    remove_finalizer(api, metadata, KOPF_FINALIZER, deadline).await
}

async fn write<K>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    finalizers: Vec<String>,
    deadline: Duration,
) -> Result<(), WriteError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let patch = Patch::Merge(json!({ "metadata": {
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "finalizers": finalizers,
    }}));
    let name = metadata.name.as_deref().unwrap_or_default();
    api.patch_metadata(name, &PatchParams::default(), &patch)
        .with_deadline(deadline)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(finalizers: &[&str]) -> Vec<String> {
        finalizers.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn those_of_others_stay_and_the_originals_goes() {
        let before = names(&["other/a", KOPF_FINALIZER, "ours", "other/b"]);
        let with = with_finalizer(&before, "ours");
        assert_eq!(with, names(&["other/a", "other/b", "ours"]));
        let without = without_finalizer(&before, "ours");
        assert_eq!(without, names(&["other/a", "other/b"]));
        let only_kopf = without_finalizer(&before, KOPF_FINALIZER);
        assert_eq!(only_kopf, names(&["other/a", "ours", "other/b"]));
    }

    #[test]
    fn an_object_that_the_original_held_is_recognized() {
        let held = ObjectMeta {
            finalizers: Some(names(&["other/a", KOPF_FINALIZER])),
            ..ObjectMeta::default()
        };
        assert!(is_held_by_kopf(&held));
        assert!(!is_held_by_kopf(&ObjectMeta::default()));
    }
}
