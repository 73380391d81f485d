//! Writing to the store, with what follows from it.

use std::sync::Arc;

use serde_json::Value;

use super::admission::NewObject;
use super::error::Taken;
use super::{Error, Objects, pipeline};
use crate::kinds::{Resource, group_version};
use crate::meta::{name, namespace};
use crate::store::{Check, Key, Lookup, Object, Refusal, WriteError};

/// An object without its type, which the resource knows.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// As it was stored.
    Stored(Arc<Object>),
    /// As it would have been stored.
    Made(Value),
}

impl Item {
    pub(crate) fn value(&self) -> &Value {
        match self {
            Self::Stored(object) => object.value(),
            Self::Made(value) => value,
        }
    }

    /// Bytes of JSON that are stored.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Stored(object) => object.size(),
            Self::Made(_) => 0,
        }
    }
}

/// Completes an object by what others have, when it is its turn to be written.
pub(super) type Complete = Box<dyn FnOnce(&dyn Lookup, &mut Value) -> Result<(), Error> + Send>;

impl Objects {
    /// Adds an object, which has a name.
    pub(crate) async fn create(
        &self,
        resource: &Resource,
        value: Value,
        dry_run: bool,
    ) -> Result<Item, Error> {
        self.create_completed(resource, value, dry_run, None).await
    }

    /// Adds an object, which has a name, and which is completed when it is its turn.
    pub(super) async fn create_completed(
        &self,
        resource: &Resource,
        value: Value,
        dry_run: bool,
        complete: Option<Complete>,
    ) -> Result<Item, Error> {
        let key = key_of(resource, &value);
        let mut value = untyped(value);
        let place = NewObject::of(resource, &key);
        let check = move |others: &dyn Lookup, value: &mut Value| {
            place.check(others)?;
            complete.map_or(Ok(()), |complete| complete(others, value))
        };
        if dry_run {
            if self.store.get(&key).is_some() {
                return Err(Error::already_exists(resource, &key.name, Taken::There));
            }
            check(&self.store, &mut value)?;
            let bounds = self.store.check(&value);
            bounds.map_err(|error| Error::write(resource, &key.name, &error))?;
            return Ok(Item::Made(value));
        }
        let created = self
            .store
            .create_checked(key.clone(), value, in_turn(check));
        match created.await {
            Ok(object) => Ok(Item::Stored(object)),
            Err(error) => Err(self.explain(resource, &key, &error)),
        }
    }

    /// An object that is on its way out explains why its name is taken.
    fn explain(&self, resource: &Resource, key: &Key, error: &WriteError) -> Error {
        let there = self.store.get(key);
        if matches!(error, WriteError::Exists)
            && there.is_some_and(|object| crate::meta::is_deleting(object.value()))
        {
            return Error::already_exists(resource, &key.name, Taken::Deleting);
        }
        Error::write(resource, &key.name, error)
    }

    /// Replaces an object that was read.
    pub(crate) async fn update(
        &self,
        resource: &Resource,
        old: &Arc<Object>,
        value: Value,
        dry_run: bool,
    ) -> Result<Item, WriteError> {
        self.update_completed(resource, old, value, dry_run, None)
            .await
    }

    /// Replaces an object that was read with one that is completed when it is its turn.
    pub(super) async fn update_completed(
        &self,
        resource: &Resource,
        old: &Arc<Object>,
        value: Value,
        dry_run: bool,
        complete: Option<Complete>,
    ) -> Result<Item, WriteError> {
        let key = key_of(resource, &value);
        let mut value = untyped(value);
        if dry_run {
            if let Some(complete) = complete {
                let completed = complete(&self.store, &mut value);
                completed.map_err(|error| WriteError::Refused(Arc::new(error)))?;
            }
            self.store.check(&value)?;
            return Ok(Item::Made(value));
        }
        let object = match complete {
            Some(complete) => {
                let check = in_turn(complete);
                let updated = self.store.update_checked(key, value, old.revision(), check);
                updated.await?
            }
            None => self.store.update(key, value, old.revision()).await?,
        };
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
        Ok(Item::Stored(object))
    }
}

/// What the store does when it is a write's turn.
fn in_turn(
    check: impl FnOnce(&dyn Lookup, &mut Value) -> Result<(), Error> + Send + 'static,
) -> Check {
    Box::new(move |view, value| check(view, value).map_err(|error| -> Refusal { Arc::new(error) }))
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

/// An object as it is read, with its type.
pub(crate) fn typed(resource: &Resource, value: &Value) -> Value {
    let mut value = pipeline::defaulted(resource, value).into_owned();
    if let Some(fields) = value.as_object_mut() {
        let version = group_version(&resource.group, &resource.version);
        fields.insert("apiVersion".to_owned(), version.into());
        fields.insert("kind".to_owned(), resource.kind.clone().into());
    }
    value
}
