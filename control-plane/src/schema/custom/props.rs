//! An `OpenAPI` schema as a CRD writes it (`JSONSchemaProps`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A schema as it was written. Empty texts, lists and maps are as good as none.
// The flags are those of OpenAPI: none excludes another.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Props {
    #[serde(deserialize_with = "or_default")]
    pub id: String,
    #[serde(rename = "$schema", deserialize_with = "or_default")]
    pub schema: String,
    #[serde(rename = "$ref")]
    pub reference: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub description: String,
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub type_name: String,
    #[serde(deserialize_with = "or_default")]
    pub nullable: bool,
    #[serde(deserialize_with = "or_default")]
    pub format: String,
    #[serde(deserialize_with = "or_default")]
    pub title: String,
    pub default: Option<Value>,
    pub maximum: Option<f64>,
    #[serde(deserialize_with = "or_default")]
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    #[serde(deserialize_with = "or_default")]
    pub exclusive_minimum: bool,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    pub pattern: String,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    pub unique_items: bool,
    pub multiple_of: Option<f64>,
    #[serde(rename = "enum", deserialize_with = "or_default")]
    pub enumeration: Vec<Value>,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    pub required: Vec<String>,
    pub items: Option<Items>,
    #[serde(deserialize_with = "or_default")]
    pub all_of: Vec<Props>,
    #[serde(deserialize_with = "or_default")]
    pub one_of: Vec<Props>,
    #[serde(deserialize_with = "or_default")]
    pub any_of: Vec<Props>,
    pub not: Option<Box<Props>>,
    #[serde(deserialize_with = "or_default")]
    pub properties: BTreeMap<String, Props>,
    pub additional_properties: Option<Additional>,
    #[serde(deserialize_with = "or_default")]
    pub pattern_properties: BTreeMap<String, Value>,
    pub dependencies: Option<Value>,
    pub additional_items: Option<Value>,
    #[serde(deserialize_with = "or_default")]
    pub definitions: BTreeMap<String, Props>,
    pub external_docs: Option<Value>,
    pub example: Option<Value>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    pub preserve_unknown: Option<bool>,
    #[serde(
        rename = "x-kubernetes-embedded-resource",
        deserialize_with = "or_default"
    )]
    pub embedded_resource: bool,
    #[serde(rename = "x-kubernetes-int-or-string", deserialize_with = "or_default")]
    pub int_or_string: bool,
    #[serde(rename = "x-kubernetes-list-map-keys", deserialize_with = "or_default")]
    pub list_map_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-list-type")]
    pub list_type: Option<String>,
    #[serde(rename = "x-kubernetes-map-type")]
    pub map_type: Option<String>,
    #[serde(rename = "x-kubernetes-validations", deserialize_with = "or_default")]
    pub validations: Vec<Rule>,
}

/// The schema of a list's items.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Items {
    /// One for all.
    One(Box<Props>),
    /// One for each, which Kubernetes does not support.
    Many(Vec<Props>),
}

/// The schema of the fields that are not named.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Additional {
    /// Whether they may be there.
    Allowed(bool),
    /// They may be there, as this.
    Schema(Box<Props>),
}

/// A rule in CEL (`x-kubernetes-validations`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Rule {
    #[serde(rename = "rule", deserialize_with = "or_default")]
    pub expression: String,
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    #[serde(deserialize_with = "or_default")]
    pub message_expression: String,
    pub reason: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub field_path: String,
    pub optional_old_self: Option<bool>,
}

impl Props {
    /// The schema of all items, where there is one.
    pub(super) fn item(&self) -> Option<&Props> {
        match &self.items {
            Some(Items::One(item)) => Some(item),
            _ => None,
        }
    }

    /// The schema of the fields that are not named, where there is one.
    pub(super) fn additional(&self) -> Option<&Props> {
        match &self.additional_properties {
            Some(Additional::Schema(schema)) => Some(schema),
            _ => None,
        }
    }

    /// How the list is merged, where that is said.
    pub(super) fn list_type(&self) -> Option<&str> {
        self.list_type.as_deref()
    }

    /// Unknown fields are kept.
    pub(super) fn preserves_unknown(&self) -> bool {
        self.preserve_unknown == Some(true)
    }
}

/// Null is as good as absent.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
