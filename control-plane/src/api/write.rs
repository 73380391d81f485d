//! Writing to the store, with what follows from it.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::call::Call;
use super::pipeline;
use super::query::WriteOptions;
use super::status::ApiError;
use super::view::Item;
use crate::controllers::Written;
use crate::kinds::{Resource, group_version};
use crate::meta::{name, namespace};
use crate::plane::Plane;
use crate::store::{Key, Object, WriteError};

impl Plane {
    /// Adds an object, which has a name.
    pub(crate) async fn create(
        &self,
        resource: &Resource,
        value: Value,
        dry_run: bool,
    ) -> Result<Item, ApiError> {
        let key = key_of(resource, &value);
        let name = key.name.clone();
        let value = untyped(value);
        if dry_run {
            if self.store.get(&key).is_some() {
                return Err(ApiError::already_exists(resource, &name));
            }
            let checked = self.store.check(&value);
            checked.map_err(|error| ApiError::write(resource, &name, &error))?;
            return Ok(Item::Made(value));
        }
        let created = self.store.create(key.clone(), value).await;
        let object = created.map_err(|error| self.explain(resource, &key, &error))?;
        self.changes
            .tell(Written::of(resource, None, Some(&object)));
        Ok(Item::Stored(object))
    }

    /// An object that is on its way out explains why its name is taken.
    fn explain(&self, resource: &Resource, key: &Key, error: &WriteError) -> ApiError {
        let mut refused = ApiError::write(resource, &key.name, error);
        if matches!(error, WriteError::Exists) {
            let there = self.store.get(key);
            if there.is_some_and(|object| crate::meta::is_deleting(object.value())) {
                refused.message = format!("object is being deleted: {}", refused.message);
            }
        }
        refused
    }

    /// Replaces an object that was read.
    pub(crate) async fn update(
        &self,
        resource: &Resource,
        old: &Arc<Object>,
        value: Value,
        dry_run: bool,
    ) -> Result<Item, WriteError> {
        let key = key_of(resource, &value);
        let value = untyped(value);
        if dry_run {
            self.store.check(&value)?;
            return Ok(Item::Made(value));
        }
        let object = self.store.update(key, value, old.revision()).await?;
        self.changes
            .tell(Written::of(resource, Some(old), Some(&object)));
        Ok(Item::Stored(object))
    }

    /// Removes an object that was read.
    pub(crate) async fn remove(
        &self,
        resource: &Resource,
        old: &Arc<Object>,
        dry_run: bool,
    ) -> Result<Item, WriteError> {
        if dry_run {
            return Ok(Item::Stored(Arc::clone(old)));
        }
        let key = key_of(resource, old.value());
        let object = self.store.delete(key, old.revision()).await?;
        self.changes.tell(Written::of(resource, Some(old), None));
        Ok(Item::Stored(object))
    }
}

/// What must be done before a write is answered: a definition counts at once.
pub(crate) async fn after_write(call: &Call) {
    if call
        .resource
        .is("apiextensions.k8s.io", "CustomResourceDefinition")
    {
        crate::controllers::definitions::settle(&call.plane).await;
    }
}

/// The key of an object.
pub(crate) fn key_of(resource: &Resource, value: &Value) -> Key {
    let namespace = namespace(value);
    let namespace = (resource.namespaced && !namespace.is_empty()).then_some(namespace);
    Key::new(&resource.table, namespace, name(value))
}

/// The type is not stored: it is that of the path under which an object is read.
pub(crate) fn untyped(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    value
}

/// An object with its type.
pub(crate) fn typed(resource: &Resource, value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        let version = group_version(&resource.group, &resource.version);
        fields.insert("apiVersion".to_owned(), version.into());
        fields.insert("kind".to_owned(), resource.kind.clone().into());
    }
    value
}

/// Who writes: what the query says, or else the beginning of the user agent.
pub(crate) fn manager<'a>(call: &Call, options: &'a WriteOptions) -> Cow<'a, str> {
    let agent = call.headers.get(http::header::USER_AGENT);
    let agent = agent.and_then(|value| value.to_str().ok());
    pipeline::manager_name(&options.field_manager, agent.unwrap_or_default())
}
