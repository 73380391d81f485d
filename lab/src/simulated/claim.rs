//! Whom an object controls: a controller takes what its selector matches and nobody controls, and
//! lets go of what its selector does not match any more.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use kube::core::{Selector, SelectorExt as _};
use kube::{Resource, ResourceExt as _};
use serde_json::json;

use super::cache::{Cache, ObjectKey};
use super::context::{Context, Namespaced};
use super::pods::owner_reference;

impl Context {
    /// Takes and lets go for an owner of this selector.
    pub(crate) async fn claim<K, O>(
        &self,
        cache: &Cache<K>,
        owner: &O,
        selector: &LabelSelector,
    ) -> kube::Result<()>
    where
        K: Namespaced,
        O: Resource<DynamicType = ()>,
    {
        let (Some(uid), Some(reference)) = (owner.uid(), owner_reference(owner)) else {
            return Ok(());
        };
        let Some(selector) = parsed(selector) else {
            return Ok(());
        };
        for own in cache.owned_by(&uid) {
            if !selector.matches(own.labels()) && own.meta().deletion_timestamp.is_none() {
                self.own(cache, &*own, |owners| owners.retain(|one| one.uid != uid))
                    .await?;
            }
        }
        if owner.meta().deletion_timestamp.is_some() {
            return Ok(());
        }
        for free in cache.free() {
            let wanted = free.namespace() == owner.namespace()
                && free.meta().deletion_timestamp.is_none()
                && selector.matches(free.labels());
            if wanted {
                self.own(cache, &*free, |owners| owners.push(reference.clone()))
                    .await?;
            }
        }
        Ok(())
    }

    async fn own<K: Namespaced>(
        &self,
        cache: &Cache<K>,
        object: &K,
        change: impl FnOnce(&mut Vec<OwnerReference>),
    ) -> kube::Result<()> {
        let mut owners = object.owner_references().to_vec();
        change(&mut owners);
        let patch = json!({ "metadata": { "uid": object.uid(), "ownerReferences": owners } });
        match self.merge(cache, &ObjectKey::of(object), &patch).await {
            // It is gone, or another one has its name.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            other => other,
        }
    }
}

/// Whether a selector matches an object. One that is empty or malformed matches nothing.
pub(crate) fn selects(selector: &LabelSelector, object: &impl Resource) -> bool {
    parsed(selector).is_some_and(|selector| selector.matches(object.labels()))
}

fn parsed(selector: &LabelSelector) -> Option<Selector> {
    let parsed = Selector::try_from(selector.clone()).ok()?;
    (!parsed.selects_all()).then_some(parsed)
}
