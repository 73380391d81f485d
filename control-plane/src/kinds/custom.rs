//! The kinds that a CRD adds.

use std::sync::Arc;

use serde_json::Value;

use super::{Column, Conversion, CustomVersion, Resource, ScalePaths, Subresource, Traits, table};
use crate::meta::{items, strings, text};
use crate::schema::Path;
use crate::schema::custom::CustomSchema;

/// What can be done with custom resources.
const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// The resources of a CRD whose names are accepted: its served versions, by priority.
pub(crate) fn resources(crd: &Value) -> Vec<Arc<Resource>> {
    let mut versions: Vec<&Value> = items(crd, "/spec/versions").iter().collect();
    versions.retain(|version| version.get("served") == Some(&Value::Bool(true)));
    versions.sort_by_key(|version| std::cmp::Reverse(priority(text(version, "/name"))));
    let resource = |version| Arc::new(resource(crd, version));
    versions.into_iter().map(resource).collect()
}

fn resource(crd: &Value, version: &Value) -> Resource {
    let group = text(crd, "/spec/group");
    let name = text(version, "/name");
    let kind = text(crd, "/status/acceptedNames/kind");
    let plural = text(crd, "/status/acceptedNames/plural");
    let part = |name, group: &str, version: &str, kind: &str| Subresource {
        name,
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        verbs: vec!["get", "patch", "update"],
    };
    let mut subresources = Vec::new();
    if version.pointer("/subresources/status").is_some() {
        subresources.push(part("status", group, name, kind));
    }
    if version.pointer("/subresources/scale").is_some() {
        subresources.push(part("scale", "autoscaling", "v1", "Scale"));
    }
    Resource {
        group: group.to_owned(),
        version: name.to_owned(),
        kind: kind.to_owned(),
        list_kind: text(crd, "/status/acceptedNames/listKind").to_owned(),
        plural: plural.to_owned(),
        singular: text(crd, "/status/acceptedNames/singular").to_owned(),
        namespaced: text(crd, "/spec/scope") == "Namespaced",
        short_names: strings(crd, "/status/acceptedNames/shortNames"),
        categories: strings(crd, "/status/acceptedNames/categories"),
        verbs: VERBS.to_vec(),
        subresources,
        table: table(group, plural),
        traits: Traits {
            generation: true,
            conditional_update: true,
            ..Traits::default()
        },
        conversion: Conversion::None,
        builtin: None,
        storage_hash: "",
        custom: Some(Arc::new(custom_version(crd, version))),
    }
}

fn custom_version(crd: &Value, version: &Value) -> CustomVersion {
    let path = |pointer: &str| text(version, pointer).to_owned();
    let schema = version.pointer("/schema/openAPIV3Schema");
    let scale = version.pointer("/subresources/scale").map(|_| ScalePaths {
        spec: path("/subresources/scale/specReplicasPath"),
        status: path("/subresources/scale/statusReplicasPath"),
        selector: Some(path("/subresources/scale/labelSelectorPath"))
            .filter(|path| !path.is_empty()),
    });
    let selectable = items(version, "/selectableFields").iter();
    let deprecated = version.get("deprecated") == Some(&Value::Bool(true));
    CustomVersion {
        schema: schema.cloned().unwrap_or(Value::Null),
        compiled: schema.and_then(|schema| CustomSchema::parse(schema, &Path::ROOT).ok()),
        scale,
        columns: columns(version),
        selectable: selectable
            .map(|field| text(field, "/jsonPath").to_owned())
            .collect(),
        deprecation: deprecated.then(|| deprecation(crd, version)),
        storage_version: storage_version(crd),
    }
}

fn storage_version(crd: &Value) -> String {
    let mut versions = items(crd, "/spec/versions").iter();
    let stored = versions.find(|version| version.get("storage") == Some(&Value::Bool(true)));
    stored
        .map_or("", |version| text(version, "/name"))
        .to_owned()
}

fn columns(version: &Value) -> Vec<Column> {
    let column = |column: &Value| Column {
        name: text(column, "/name").to_owned(),
        kind: text(column, "/type").to_owned(),
        format: text(column, "/format").to_owned(),
        description: text(column, "/description").to_owned(),
        priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
        path: text(column, "/jsonPath").to_owned(),
    };
    let given = items(version, "/additionalPrinterColumns");
    if !given.is_empty() {
        return given.iter().map(column).collect();
    }
    vec![Column {
        name: "Age".to_owned(),
        kind: "date".to_owned(),
        format: String::new(),
        description: AGE.to_owned(),
        priority: 0,
        path: ".metadata.creationTimestamp".to_owned(),
    }]
}

/// What a column of ages says about itself.
const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

fn deprecation(crd: &Value, version: &Value) -> String {
    let given = text(version, "/deprecationWarning");
    if !given.is_empty() {
        return given.to_owned();
    }
    let (group, name) = (text(crd, "/spec/group"), text(version, "/name"));
    let kind = text(crd, "/spec/names/kind");
    let told = format!("{group}/{name} {kind} is deprecated");
    let others = items(crd, "/spec/versions").iter().filter(|other| {
        other.get("served") == Some(&Value::Bool(true))
            && other.get("deprecated") != Some(&Value::Bool(true))
            && priority(text(other, "/name")) > priority(name)
    });
    match others.max_by_key(|other| priority(text(other, "/name"))) {
        None => told,
        Some(better) => format!("{told}; use {group}/{} {kind}", text(better, "/name")),
    }
}

/// Sorts versions as Kubernetes does: `v2`, `v1`, `v1beta2`, `v1alpha1`, then the rest by name.
fn priority(version: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let other = || (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else {
        return other();
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (major, rest) = rest.split_at(digits);
    let Ok(major) = major.parse() else {
        return other();
    };
    let (stage, minor) = match rest {
        "" => (3, "0"),
        _ if rest.starts_with("beta") => (2, rest.trim_start_matches("beta")),
        _ if rest.starts_with("alpha") => (1, rest.trim_start_matches("alpha")),
        _ => return other(),
    };
    match minor.parse() {
        Ok(minor) => (stage, major, minor, std::cmp::Reverse(String::new())),
        Err(_) => other(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_sorted_as_kubernetes_does() {
        let mut versions = [
            "foo1",
            "v1",
            "v10",
            "v11alpha2",
            "v12alpha1",
            "v2",
            "v3beta1",
            "v10beta3",
            "foo10",
            "v11beta2",
        ];
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(
            versions,
            [
                "v10",
                "v2",
                "v1",
                "v11beta2",
                "v10beta3",
                "v3beta1",
                "v12alpha1",
                "v11alpha2",
                "foo1",
                "foo10"
            ]
        );
    }
}
