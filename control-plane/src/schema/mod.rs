//! What the values of a type look like: of built-in types and of CRDs alike.
//!
//! [`Schema`] is the shape that everything shares: filling in defaults, dropping unknown fields,
//! patches and apply. [`custom`] makes it from a CRD, with what validation needs besides.
//! [`builtin`] makes it from the Go types of Kubernetes.

pub mod builtin;
pub mod custom;
mod defaults;
mod error;
pub mod metadata;
pub mod names;
mod path;
mod prune;
mod render;
pub(crate) mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub use error::{Cause, ErrorKind, FieldError, summary};
pub use path::Path;

/// The schema of one value. A tree that is shared, never changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// What it may hold.
    pub form: Form,
    /// For people.
    pub description: Option<String>,
    /// The Go type that it is made from, as `io.k8s.api.core.v1.Container`.
    pub type_name: Option<Arc<str>>,
    /// `null` is a value of its own, and not the same as leaving the field out.
    pub nullable: bool,
    /// What stands where nothing is given.
    pub default: Option<Value>,
}

/// What a value may hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Form {
    /// Anything (`x-kubernetes-preserve-unknown-fields` without properties, or an embedded value
    /// that nobody knows).
    #[default]
    Any,
    /// An object.
    Object(Object),
    /// A list.
    List(List),
    /// A text; its `format` (`date-time`, `byte`, …).
    String(Option<String>),
    /// A whole number.
    Integer,
    /// A whole number of 32 bits.
    ShortInteger,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A whole number or a text (`IntOrString`, `Quantity`).
    IntOrString,
}

/// An object with named fields, or a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// The fields that are known.
    pub properties: BTreeMap<String, Arc<Schema>>,
    /// The fields that must be there.
    pub required: Vec<String>,
    /// The schema of every other field: a map's values.
    pub additional: Option<Arc<Schema>>,
    /// Fields that are not known are kept (`x-kubernetes-preserve-unknown-fields`).
    pub preserve_unknown: bool,
    /// It is replaced as a whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// It is a Kubernetes object of its own (`x-kubernetes-embedded-resource`).
    pub embedded_resource: bool,
}

/// A list.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// Its items.
    pub items: Arc<Schema>,
    /// How two lists are merged.
    pub kind: ListKind,
    /// How a strategic merge patch merges it, where it does.
    pub patch_merge: Option<PatchMerge>,
}

/// How a strategic merge patch merges two lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatchMerge {
    /// Items with the same value under this key.
    Key(String),
    /// Values.
    Values,
}

/// How two lists are merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ListKind {
    /// Replaced as a whole.
    #[default]
    Atomic,
    /// Each value once.
    Set,
    /// Items with the same values under these keys are the same item. Keys that are absent count
    /// by their default.
    Map(Vec<String>),
}
