//! Keys and objects.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde::de::IgnoredAny;
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
///
/// It is kept as JSON, as a parsed value, or as both: a value takes about ten times the memory of
/// its JSON, and most objects are only sent.
#[derive(Debug)]
pub struct Object {
    revision: u64,
    value: OnceLock<Value>,
    json: OnceLock<Arc<str>>,
    /// Whether the value was read since the store checked last.
    was_read: AtomicBool,
}

impl Object {
    /// The revision at which it was written, which `metadata.resourceVersion` says as well.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The object, parsed once however often it is asked for.
    pub fn value(&self) -> &Value {
        if !self.was_read.load(Ordering::Relaxed) {
            self.was_read.store(true, Ordering::Relaxed);
        }
        // What was written or recovered as JSON is JSON.
        self.value
            .get_or_init(|| serde_json::from_str(self.json()).unwrap_or_default())
    }

    /// The object as JSON, written once however often it is asked for.
    pub fn json(&self) -> &str {
        self.text()
    }

    fn text(&self) -> &Arc<str> {
        self.json.get_or_init(|| {
            let value = self.value.get().unwrap_or(&Value::Null);
            let json = serde_json::to_string(value);
            Arc::from(json.unwrap_or_else(|_| value.to_string()))
        })
    }

    /// Bytes of its JSON.
    pub(crate) fn size(&self) -> usize {
        self.json().len()
    }

    #[cfg(test)]
    pub(super) fn is_parsed(&self) -> bool {
        self.value.get().is_some()
    }

    /// The same object, not parsed.
    pub(super) fn unparsed(&self) -> Arc<Self> {
        Arc::new(Self::of_json(Arc::clone(self.text()), self.revision))
    }

    /// The same object, not parsed, if nobody has read its value since this was called last.
    pub(super) fn unread(&self) -> Option<Arc<Self>> {
        let was_read = self.was_read.swap(false, Ordering::Relaxed);
        (!was_read && self.value.get().is_some()).then(|| self.unparsed())
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
        Ok(Self {
            revision,
            value: OnceLock::from(value),
            json: OnceLock::new(),
            was_read: AtomicBool::new(false),
        })
    }

    /// JSON that was read back; none if it is not JSON, or nests deeper than what is written.
    pub(super) fn recovered(json: &[u8], revision: u64) -> Option<Self> {
        let _: IgnoredAny = serde_json::from_slice(json).ok()?;
        let json = str::from_utf8(json).ok()?;
        Some(Self::of_json(Arc::from(json), revision))
    }

    fn of_json(json: Arc<str>, revision: u64) -> Self {
        Self {
            revision,
            value: OnceLock::new(),
            json: OnceLock::from(json),
            was_read: AtomicBool::new(false),
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
