//! What a CRD says about one version of its kind.

use serde_json::Value;

use crate::schema::custom::CustomSchema;

/// What a CRD says about one version.
#[derive(Debug)]
pub(crate) struct CustomVersion {
    /// The `OpenAPI` schema, as the CRD has it.
    pub(crate) schema: Value,
    /// The schema, compiled; none if it is not structural.
    pub(crate) compiled: Option<CustomSchema>,
    /// Where the scale subresource looks.
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) columns: Vec<Column>,
    /// Fields that a field selector may name, as `.spec.color`.
    pub(crate) selectable: Vec<String>,
    /// What clients of a deprecated version are told.
    pub(crate) deprecation: Option<String>,
    /// The version in which objects are kept.
    pub(crate) storage_version: String,
}

/// Where the scale subresource looks, as `.spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) path: String,
}
