//! The kinds of objects that are served: built-in ones and those that CRDs add.

mod builtin;
mod conversion;
mod custom;
mod custom_version;
mod registry;

use std::sync::Arc;

pub(crate) use builtin::{Builtin, PrinterColumn, Selectable, Traits};
pub(crate) use conversion::Conversion;
pub(crate) use custom::resources as custom_resources;
pub(crate) use custom_version::{Column, CustomVersion, ScalePaths};
pub(crate) use registry::{Kinds, Registry};

/// One kind in one version, under the name that it has in paths.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// The API group; empty for the core.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) verbs: Vec<&'static str>,
    pub(crate) subresources: Vec<Subresource>,
    /// Where the store keeps its objects: the same for all versions of a kind.
    pub(crate) table: String,
    pub(crate) traits: Traits,
    /// How it differs from what is stored.
    pub(crate) conversion: Conversion,
    /// Its row in the table of built-in kinds; none for others.
    pub(crate) builtin: Option<&'static Builtin>,
    /// What discovery tells of how it is stored; empty for kinds that are not stored, and for those
    /// of CRDs, of which it is computed.
    pub(crate) storage_hash: &'static str,
    /// What the CRD says; none for built-in kinds.
    pub(crate) custom: Option<Arc<CustomVersion>>,
}

/// A part of an object, or an action on it, that has a path of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subresource {
    pub(crate) name: &'static str,
    /// The type of what is sent and answered.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) verbs: Vec<&'static str>,
}

impl Resource {
    /// `apps/v1`, or `v1` for the core.
    pub(crate) fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// The group and the version in which its objects are stored.
    pub(crate) fn stored_type(&self) -> (&str, &str) {
        self.conversion.stored_type(&self.group, &self.version)
    }

    pub(crate) fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// Whether `status` is written on its own.
    pub(crate) fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

/// `apps/v1`, or `v1` for the core.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// `name.group`, or `name` for the core.
pub(crate) fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

/// Where the store keeps the objects of a resource.
pub(crate) fn table(group: &str, plural: &str) -> String {
    format!("{group}/{plural}")
}
