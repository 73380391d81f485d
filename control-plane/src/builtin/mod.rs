//! The table of built-in kinds: a row for each, with all that is written by hand about it.
//!
//! Names, verbs and subresources are in `discovery.txt`, fields in the schemas
//! ([`crate::schema::builtin`]) and in `protobuf/messages.txt`. Those are made by `cargo xtask
//! generate` from what Kubernetes publishes; what a row says is that of kube-apiserver v1.34, of the
//! strategies, validations and printers in its `pkg/registry`, `pkg/apis` and `pkg/printers`.
//!
//! A new kind is a row here, its type in `schema/builtin/kinds.rs`, and `cargo xtask generate`.

mod access;
#[cfg(test)]
pub(crate) mod by_name;
mod cluster;
mod core;
mod discovery;
mod metrics;
mod network;
mod storage;
#[cfg(test)]
mod tests;
mod workloads;

use crate::kinds::{Builtin, Conversion, Resource, table};
use discovery::Facts;

/// The release of Kubernetes whose kinds and behaviour are followed, with its leading `v`.
pub const KUBERNETES_VERSION: &str = "v1.34.3";

/// The kinds, in the order in which discovery lists their groups.
const TABLES: [&[Builtin]; 21] = [
    core::CORE,
    cluster::API_REGISTRATION,
    workloads::APPS,
    cluster::EVENTS,
    access::AUTHENTICATION,
    access::AUTHORIZATION,
    workloads::AUTOSCALING,
    workloads::BATCH,
    access::CERTIFICATES,
    network::NETWORKING,
    workloads::POLICY,
    access::RBAC,
    storage::STORAGE,
    cluster::ADMISSION,
    cluster::API_EXTENSIONS,
    cluster::SCHEDULING,
    cluster::COORDINATION,
    cluster::NODE,
    network::DISCOVERY,
    cluster::RESOURCE,
    cluster::FLOW_CONTROL,
];

fn rows() -> impl Iterator<Item = &'static Builtin> {
    TABLES.into_iter().flatten()
}

/// A built-in kind in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedKind {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The version: `v1`.
    pub version: &'static str,
    /// The kind: `Deployment`.
    pub kind: &'static str,
    /// Whether it is read in protobuf.
    pub has_message: bool,
}

/// The built-in kinds of kube-apiserver that are served, in discovery's order.
pub fn served_kinds() -> impl Iterator<Item = ServedKind> {
    rows().flat_map(|row| {
        row.versions.iter().map(|(version, _)| ServedKind {
            group: row.group,
            version,
            kind: row.kind,
            has_message: row.without_message.is_none(),
        })
    })
}

/// The built-in kinds as resources, in discovery's order; those of `metrics.k8s.io` if there is a
/// source of metrics. A kind that `discovery.txt` does not have is not served.
pub(crate) fn resources(metrics: bool) -> Vec<Resource> {
    let metrics = if metrics { metrics::METRICS } else { &[] };
    let rows = rows().chain(metrics);
    rows.flat_map(|row| {
        let versions = row.versions.iter();
        versions.filter_map(move |&(version, conversion)| resource(row, version, conversion))
    })
    .collect()
}

fn resource(
    row: &'static Builtin,
    version: &'static str,
    conversion: Conversion,
) -> Option<Resource> {
    let facts = Facts::of(row.group, version, row.kind)?;
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let (stored_group, _) = conversion.stored_type(row.group, version);
    Some(Resource {
        group: row.group.to_owned(),
        version: version.to_owned(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        plural: facts.plural.to_owned(),
        singular: facts.singular.to_owned(),
        namespaced: facts.namespaced,
        short_names: owned(&facts.short_names),
        categories: owned(&facts.categories),
        verbs: facts.verbs.clone(),
        subresources: facts.subresources.clone(),
        table: table(stored_group, facts.plural),
        traits: row.traits,
        conversion,
        builtin: Some(row),
        storage_hash: facts.storage_hash,
        custom: None,
    })
}
