//! The table against what is generated from what Kubernetes publishes.

use std::collections::BTreeSet;

use super::{Facts, metrics, resources, rows};
use crate::kinds::{Builtin, group_version};
use crate::protobuf;
use crate::schema::builtin::builtin;

/// All kinds, each with its versions.
fn versions() -> impl Iterator<Item = (&'static Builtin, &'static str)> {
    let rows = rows().chain(metrics::METRICS);
    rows.flat_map(|row| row.versions.iter().map(move |(version, _)| (row, *version)))
}

#[test]
fn every_kind_is_in_discovery_and_nothing_else() {
    let of_table: BTreeSet<_> = versions()
        .map(|(row, version)| (row.group, version, row.kind))
        .collect();
    let of_discovery: BTreeSet<_> = Facts::kinds().copied().collect();
    assert_eq!(of_table, of_discovery, "run `cargo xtask generate`");
    assert_eq!(resources(true).len(), versions().count());
}

#[test]
fn what_rows_say_agrees_with_discovery() {
    for resource in resources(true) {
        let name = (&resource.group, &resource.kind);
        let row = resource.builtin.unwrap();
        let is_stored = resource.verbs.contains(&"delete");
        assert_eq!(resource.traits.virtual_, !is_stored, "{name:?}");
        assert_eq!(resource.storage_hash.is_empty(), !is_stored, "{name:?}");
        assert!(is_stored || row.validation.is_none(), "{name:?}");
        let has_status = resource.has_status();
        let restores = row.restore.is_some() || !row.restored_by_status.is_empty();
        assert!(has_status || !restores, "{name:?}");
    }
}

/// Groups whose types are not compiled in.
const WITHOUT_SCHEMA: [&str; 2] = ["resource.k8s.io", "flowcontrol.apiserver.k8s.io"];

#[test]
fn every_kind_has_a_schema_and_a_message_or_says_why_not() {
    for (row, version) in versions() {
        let name = (row.group, version, row.kind);
        let has_schema = builtin(row.group, version, row.kind).is_some();
        let is_compiled = !WITHOUT_SCHEMA.contains(&row.group);
        assert_eq!(has_schema, is_compiled, "{name:?}");
        let api_version = group_version(row.group, version);
        let is_read = protobuf::knows(&api_version, row.kind);
        assert_eq!(!is_read, row.without_message.is_some(), "{name:?}");
    }
}

#[test]
fn every_column_and_field_is_named_once() {
    for (row, _) in versions() {
        let columns = (row.columns)();
        let names: BTreeSet<_> = columns.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), columns.len(), "{}", row.kind);
        let labels: BTreeSet<_> = row.selectable.iter().map(|field| field.label).collect();
        assert_eq!(labels.len(), row.selectable.len(), "{}", row.kind);
    }
}
