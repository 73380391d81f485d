//! Objects of lists and watches, read one by one: one that cannot be read is its own problem, and
//! not that of all others in the same list.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tracing::warn;

/// An object, or what is known of one that cannot be read.
pub type Read<K> = Result<K, Box<Unreadable>>;

/// An object that cannot be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// What of its metadata can be read.
    pub metadata: ObjectMeta,
    /// What cannot be read; without any value, which may be a secret.
    pub problem: String,
    raw: Box<RawValue>,
}

/// What an `Api` is of whose objects are read one by one.
#[derive(Clone, Debug)]
pub struct Item<K>(pub(super) Read<K>);

/// What metadata says of most objects.
pub fn metadata<K: kube::Resource>(object: &Read<K>) -> &ObjectMeta {
    match object {
        Ok(object) => object.meta(),
        Err(unreadable) => &unreadable.metadata,
    }
}

/// The object, without what of its metadata cannot be read if that is all that keeps it from being
/// read.
pub fn mended<K: DeserializeOwned>(object: Read<K>) -> Read<K> {
    object.or_else(|unreadable| unreadable.mended().ok_or(unreadable))
}

/// An object of any kind; of one that cannot be read, what can be.
pub fn or_metadata(object: Read<DynamicObject>) -> DynamicObject {
    object.unwrap_or_else(|unreadable| {
        unreadable.mended().unwrap_or(DynamicObject {
            types: None,
            metadata: unreadable.metadata,
            data: Value::Null,
        })
    })
}

impl<K> Item<K> {
    /// The object, or what is known of it.
    pub fn read(self) -> Read<K> {
        self.0
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Item<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).map_err(|error| {
            Box::new(Unreadable::new(raw.to_owned(), &error))
        })))
    }
}

impl<K: kube::Resource> kube::Resource for Item<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }
    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }
    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }
    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }
    fn metadata_api() -> bool {
        K::metadata_api()
    }
    fn meta(&self) -> &ObjectMeta {
        metadata(&self.0)
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(unreadable) => &mut unreadable.metadata,
        }
    }
}

impl Unreadable {
    fn new(raw: Box<RawValue>, error: &serde_json::Error) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Object {
            metadata: Map<String, Value>,
        }
        let object: Object = serde_json::from_str(raw.get()).unwrap_or_default();
        let (kept, dropped) = readable_part(&object.metadata);
        let problem = match dropped.as_slice() {
            [] => format!("it cannot be read at character {}", error.column()),
            [first] => format!("{first} cannot be read"),
            [first, others @ ..] => {
                format!("{first} and {} more fields cannot be read", others.len())
            }
        };
        Self {
            metadata: ObjectMeta::deserialize(Value::Object(kept)).unwrap_or_default(),
            problem,
            raw,
        }
    }

    /// The object without what of its metadata cannot be read; none if it is not that, or not that
    /// alone, which keeps it from being read.
    pub fn mended<K: DeserializeOwned>(&self) -> Option<K> {
        let mut object: Map<String, Value> = serde_json::from_str(self.raw.get()).ok()?;
        let metadata = serde_json::to_value(&self.metadata).ok()?;
        object.insert("metadata".to_owned(), metadata);
        K::deserialize(Value::Object(object)).ok()
    }
}

/// The fields of metadata that can be read, of maps and lists their entries; and the others' paths.
fn readable_part(metadata: &Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let can_be_read = |field: &str, value: Value| {
        let alone = Map::from_iter([(field.to_owned(), value)]);
        ObjectMeta::deserialize(Value::Object(alone)).is_ok()
    };
    let (mut kept, mut dropped) = (Map::new(), Vec::new());
    for (field, value) in metadata {
        if can_be_read(field, value.clone()) {
            kept.insert(field.clone(), value.clone());
            continue;
        }
        match value {
            Value::Object(entries) => {
                let mut some = Map::new();
                for (key, value) in entries {
                    let alone = Map::from_iter([(key.clone(), value.clone())]);
                    if can_be_read(field, Value::Object(alone)) {
                        some.insert(key.clone(), value.clone());
                    } else {
                        dropped.push(format!("metadata.{field}.{key}"));
                    }
                }
                kept.insert(field.clone(), Value::Object(some));
            }
            Value::Array(entries) => {
                let mut some = Vec::new();
                for (position, value) in entries.iter().enumerate() {
                    if can_be_read(field, Value::Array(vec![value.clone()])) {
                        some.push(value.clone());
                    } else {
                        dropped.push(format!("metadata.{field}[{position}]"));
                    }
                }
                kept.insert(field.clone(), Value::Array(some));
            }
            _ => dropped.push(format!("metadata.{field}")),
        }
    }
    (kept, dropped)
}

/// Warns of objects that cannot be read, once for each version of one.
#[derive(Default)]
pub(super) struct Warnings {
    versions: BTreeMap<(Option<String>, Option<String>), Option<String>>,
}

/// So many are remembered; more are warned of again.
const REMEMBERED: usize = 1024;

impl Warnings {
    /// An object was read, or not.
    pub(super) fn note<K: kube::Resource>(&mut self, resource: &str, object: &Read<K>) {
        let Err(unreadable) = object else {
            if !self.versions.is_empty() {
                self.versions.remove(&name_of(metadata(object)));
            }
            return;
        };
        let (name, version) = (
            name_of(&unreadable.metadata),
            &unreadable.metadata.resource_version,
        );
        if self.versions.get(&name) == Some(version) {
            return;
        }
        warn!(
            resource,
            namespace = name.0,
            name = name.1,
            problem = unreadable.problem,
            "an object cannot be read and is left as it is: correct or delete it"
        );
        if self.versions.len() >= REMEMBERED {
            self.versions.clear();
        }
        self.versions.insert(name, version.clone());
    }
}

fn name_of(metadata: &ObjectMeta) -> (Option<String>, Option<String>) {
    (metadata.namespace.clone(), metadata.name.clone())
}

#[cfg(test)]
#[path = "readable_tests.rs"]
mod tests;
