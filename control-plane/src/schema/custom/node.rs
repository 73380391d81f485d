//! What a CRD's schema demands of values, ready to be checked.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cel::rules::Rules;
use super::formats::{self, Check};
use super::props::{Additional, Props};
use crate::schema::ListKind;

/// A schema, or a part of one below `allOf` and the like.
// The flags are those of OpenAPI: none excludes another.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The types that are permitted; anything if there is none.
    pub types: Vec<&'static str>,
    pub nullable: bool,
    pub format: Option<Format>,
    pub maximum: Option<Bound>,
    pub minimum: Option<Bound>,
    pub multiple_of: Option<f64>,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    /// A regular expression, which is compiled when it is used.
    pub pattern: Option<String>,
    pub enumeration: Vec<Value>,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    pub unique_items: bool,
    pub items: Option<Box<Node>>,
    pub list_kind: ListKind,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
    pub required: Vec<String>,
    pub properties: BTreeMap<String, Node>,
    pub additional: Option<Box<Node>>,
    /// No other fields than the properties may be there.
    pub is_closed: bool,
    pub embedded_resource: bool,
    pub all_of: Vec<Node>,
    pub any_of: Vec<Node>,
    pub one_of: Vec<Node>,
    pub not: Option<Box<Node>>,
    /// The rules for this value.
    pub rules: Rules,
    /// There are rules here or further down.
    pub has_rules: bool,
}

/// A format that is checked.
#[derive(Debug)]
pub(super) struct Format {
    pub name: String,
    pub check: Check,
}

/// A bound of a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub value: f64,
    pub is_exclusive: bool,
}

impl Node {
    /// The demands of a schema that is valid. `is_resource` says that it is the root of an object,
    /// whose type and name rules can see.
    pub(super) fn new(props: &Props, is_resource: bool) -> Self {
        let mut node = Self::plain(props);
        node.items = props.item().map(Self::boxed);
        for (name, property) in &props.properties {
            let property = Self::new(property, property.embedded_resource);
            node.properties.insert(name.clone(), property);
        }
        node.additional = props.additional().map(Self::boxed);
        node.rules = Rules::compile(props, is_resource || props.embedded_resource);
        let below = node.properties.values();
        let below = below
            .chain(node.items.as_deref())
            .chain(node.additional.as_deref());
        node.has_rules = !node.rules.is_empty() || below.into_iter().any(|node| node.has_rules);
        node
    }

    fn boxed(props: &Props) -> Box<Self> {
        Box::new(Self::new(props, props.embedded_resource))
    }

    /// Below `allOf` and the like, where there are no rules.
    fn nested(props: &Props) -> Self {
        let mut node = Self::plain(props);
        node.items = props.item().map(|item| Box::new(Self::nested(item)));
        for (name, property) in &props.properties {
            node.properties.insert(name.clone(), Self::nested(property));
        }
        node
    }

    /// What does not depend on where it is.
    fn plain(props: &Props) -> Self {
        let bound = |value: Option<f64>, is_exclusive| {
            value.map(|value| Bound {
                value,
                is_exclusive,
            })
        };
        let nested = |schemas: &[Props]| schemas.iter().map(Self::nested).collect();
        Self {
            types: types(props),
            nullable: props.nullable,
            format: formats::check(&props.format).map(|check| Format {
                name: props.format.clone(),
                check,
            }),
            maximum: bound(props.maximum, props.exclusive_maximum),
            minimum: bound(props.minimum, props.exclusive_minimum),
            multiple_of: props.multiple_of,
            max_length: props.max_length,
            min_length: props.min_length,
            pattern: (!props.pattern.is_empty()).then(|| props.pattern.clone()),
            enumeration: props.enumeration.clone(),
            max_items: props.max_items,
            min_items: props.min_items,
            unique_items: props.unique_items,
            list_kind: match props.list_type() {
                Some("map") => ListKind::Map(props.list_map_keys.clone()),
                Some("set") => ListKind::Set,
                _ => ListKind::Atomic,
            },
            max_properties: props.max_properties,
            min_properties: props.min_properties,
            required: props.required.clone(),
            is_closed: props.additional_properties == Some(Additional::Allowed(false)),
            embedded_resource: props.embedded_resource,
            all_of: nested(&props.all_of),
            any_of: nested(&props.any_of),
            one_of: nested(&props.one_of),
            not: props.not.as_deref().map(|not| Box::new(Self::nested(not))),
            ..Self::default()
        }
    }

    /// The demands on a field, if it is known.
    pub(super) fn field(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or(self.additional.as_deref())
    }
}

fn types(props: &Props) -> Vec<&'static str> {
    if props.int_or_string {
        return vec!["integer", "string"];
    }
    let known = ["array", "boolean", "integer", "number", "object", "string"];
    let name = known.into_iter().find(|name| *name == props.type_name);
    name.into_iter().collect()
}
