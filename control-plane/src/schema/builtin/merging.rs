//! How the lists and structs of the Go types are merged. The generated schemas do not say.
//!
//! `merging.txt` has the facts, one line for each field that is not merged by the rule: lists are
//! atomic, structs and maps are granular. `cargo xtask generate` makes it from the published
//! `OpenAPI` document (`x-kubernetes-list-type`, `-list-map-keys`, `-map-type`, `-patch-strategy`,
//! `-patch-merge-key`).
//!
//! ```text
//! type                field       apply                          strategic merge patch
//! api.core.v1.PodSpec containers  map=name                       merge=name
//! api.core.v1.PodSpec .           atomic | granular | set | …    merge=* (values)
//! ```
//!
//! The field `.` is the type itself.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::schema::{Form, ListKind, PatchMerge, Schema};

/// How one field is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merging {
    /// `atomic`, `granular`, `set` or `map=key,key`.
    apply: &'static str,
    /// `merge=key` or `merge=*`; empty where a strategic merge patch replaces.
    patch: &'static str,
}

static TABLE: LazyLock<HashMap<(&str, &str), Merging>> = LazyLock::new(|| {
    let lines = include_str!("merging.txt").lines();
    lines.filter_map(entry).collect()
});

fn entry(line: &'static str) -> Option<((&'static str, &'static str), Merging)> {
    let mut words = line.split_whitespace();
    let place = (words.next()?, words.next()?);
    let merging = Merging {
        apply: words.next()?,
        patch: words.next().unwrap_or_default(),
    };
    Some((place, merging))
}

/// How a field of a type is merged (`api.core.v1.PodSpec`), if not by the rule. The field `.` is
/// the type itself.
pub(super) fn of(type_name: &str, field: &str) -> Option<Merging> {
    TABLE.get(&(type_name, field)).copied()
}

impl Merging {
    /// Tells a field's schema.
    pub(super) fn mark(self, schema: &mut Schema) {
        match &mut schema.form {
            Form::List(list) => {
                list.kind = match self.apply.strip_prefix("map=") {
                    Some(keys) => ListKind::Map(keys.split(',').map(str::to_string).collect()),
                    None if self.apply == "set" => ListKind::Set,
                    None => ListKind::Atomic,
                };
                list.patch_merge = self.patch.strip_prefix("merge=").map(|key| match key {
                    "*" => PatchMerge::Values,
                    key => PatchMerge::Key(key.to_string()),
                });
            }
            Form::Object(object) => object.atomic = self.apply == "atomic",
            _ => {}
        }
    }
}
