//! Keys and objects.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::error::WriteError;
use crate::bounds;

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Group and plural, as `apps/deployments`. The store takes any text.
    pub resource: String,
    /// The namespace; none for what is cluster-scoped.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl Key {
    /// Of these parts.
    pub fn new(resource: &str, namespace: Option<&str>, name: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// Where the object stands among those of its resource: `namespace/name`, or `name`. Compared
    /// as etcd compares its keys, so that lists have kube-apiserver's order.
    pub(super) fn path(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Where an object stands: its resource and its path in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) resource: Arc<str>,
    pub(super) path: Arc<str>,
}

impl Place {
    pub(super) fn of(key: &Key) -> Result<Self, WriteError> {
        let wrong = |part: &str| part.is_empty() || part.contains('/');
        if wrong(&key.name) || key.namespace.as_deref().is_some_and(wrong) {
            return Err(WriteError::Invalid("a name is empty or contains a slash"));
        }
        Ok(Self {
            resource: Arc::from(key.resource.as_str()),
            path: Arc::from(key.path()),
        })
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.path.split_once('/').map(|(namespace, _)| namespace)
    }
}

/// An object as it was stored. Never changed; shared by all who read it.
#[derive(Debug)]
pub struct Object {
    revision: u64,
    value: Value,
    json: OnceLock<String>,
}

impl Object {
    /// The revision at which it was written, which `metadata.resourceVersion` says as well.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The object as JSON, written once however often it is asked for.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| {
            serde_json::to_string(&self.value).unwrap_or_else(|_| self.value.to_string())
        })
    }

    /// A value that is written at a revision, which it learns.
    pub(super) fn written(mut value: Value, revision: u64) -> Result<Self, WriteError> {
        let Value::Object(fields) = &mut value else {
            return Err(WriteError::Invalid("it is not an object"));
        };
        let metadata = fields
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(metadata) = metadata else {
            return Err(WriteError::Invalid("its metadata is not an object"));
        };
        metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
        Ok(Self::recovered(value, revision))
    }

    /// A value that was read back.
    pub(super) fn recovered(value: Value, revision: u64) -> Self {
        Self {
            revision,
            value,
            json: OnceLock::new(),
        }
    }
}

/// Refuses a value that is too large or too deep to be stored.
pub(super) fn check_bounds(value: &Value) -> Result<(), WriteError> {
    if bounds::is_deeper_than(value, bounds::DEPTH) {
        return Err(WriteError::Invalid("it nests too deep"));
    }
    if bounds::json_size(value, bounds::OBJECT_BYTES) > bounds::OBJECT_BYTES {
        return Err(WriteError::TooLarge);
    }
    Ok(())
}
