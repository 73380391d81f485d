//! What discovery tells of the built-in kinds that are served.
//!
//! Kubernetes publishes the answers of its discovery, a file for each version of a group.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use control_plane::{ServedKind, served_kinds};
use serde_json::Value;

use super::Sources;

/// A kind that is served, and the entries of discovery for it and for its subresources.
pub(super) struct Kind {
    pub(super) served: ServedKind,
    resource: Value,
    pub(super) subresources: Vec<Subresource>,
}

/// A subresource of a kind.
pub(super) struct Subresource {
    name: String,
    /// Of what is sent and answered.
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    entry: Value,
}

/// The kinds that are served, in the order of their table.
pub(super) fn kinds(sources: &Sources) -> Result<Vec<Kind>> {
    let mut documents = BTreeMap::new();
    served_kinds()
        .map(|served| {
            let file = match served.group {
                "" => format!("discovery/api__{}.json", served.version),
                group => format!("discovery/apis__{group}__{}.json", served.version),
            };
            if !documents.contains_key(&file) {
                documents.insert(file.clone(), sources.document(&file)?);
            }
            let document = documents.get(&file).context("it was read")?;
            kind(served, document).with_context(|| format!("{file} lacks {}", served.kind))
        })
        .collect()
}

/// A kind in the document of its version; none if it is not there.
fn kind(served: ServedKind, document: &Value) -> Option<Kind> {
    let entries = document["resources"].as_array()?;
    let named = |entry: &&Value| entry["kind"] == served.kind && !text(entry, "name").contains('/');
    let resource = entries.iter().find(named)?;
    let prefix = format!("{}/", text(resource, "name"));
    let subresources = entries.iter().filter_map(|entry| {
        let name = text(entry, "name").strip_prefix(&prefix)?;
        let or = |field: &str, otherwise: &str| match text(entry, field) {
            "" => otherwise.to_owned(),
            given => given.to_owned(),
        };
        Some(Subresource {
            name: name.to_owned(),
            group: or("group", served.group),
            version: or("version", served.version),
            kind: text(entry, "kind").to_owned(),
            entry: entry.clone(),
        })
    });
    Some(Kind {
        served,
        resource: resource.clone(),
        subresources: subresources.collect(),
    })
}

/// The text of `discovery.txt`; `control-plane/src/builtin/discovery.rs` says its form.
pub(super) fn table(kinds: &[Kind]) -> String {
    let mut lines = String::new();
    for kind in kinds {
        // Writing to a text does not fail.
        let _ = writeln!(lines, "{}", line(kind));
        for sub in &kind.subresources {
            let version = api_version(&sub.group, &sub.version);
            let verbs = list(&sub.entry, "verbs");
            let _ = writeln!(lines, "  {} {version} {} {verbs}", sub.name, sub.kind);
        }
    }
    lines
}

fn line(kind: &Kind) -> String {
    let Kind {
        served, resource, ..
    } = kind;
    let scope = match resource["namespaced"].as_bool() {
        Some(true) => "namespaced",
        _ => "cluster",
    };
    let mut line = format!(
        "{} {} {} {} {scope} verbs={}",
        api_version(served.group, served.version),
        served.kind,
        text(resource, "name"),
        text(resource, "singularName"),
        list(resource, "verbs"),
    );
    for (name, value) in [
        ("short", list(resource, "shortNames")),
        ("categories", list(resource, "categories")),
        ("hash", text(resource, "storageVersionHash").to_owned()),
    ] {
        if !value.is_empty() {
            let _ = write!(line, " {name}={value}");
        }
    }
    line
}

fn api_version(group: &str, version: &str) -> String {
    match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    }
}

fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry[field].as_str().unwrap_or_default()
}

/// The texts of a list, with commas between them.
fn list(entry: &Value, field: &str) -> String {
    let items = entry[field].as_array().into_iter().flatten();
    let items: Vec<_> = items.filter_map(Value::as_str).collect();
    items.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_has_a_line_and_its_subresources_have_theirs() {
        let served = ServedKind {
            group: "apps",
            version: "v1",
            kind: "Deployment",
            has_message: true,
        };
        let document = json!({"resources": [
            {
                "name": "deployments", "singularName": "deployment", "kind": "Deployment",
                "namespaced": true, "verbs": ["get", "list"], "shortNames": ["deploy"],
                "categories": ["all"], "storageVersionHash": "8aSe+NMegvE="
            },
            {
                "name": "deployments/scale", "kind": "Scale", "group": "autoscaling",
                "version": "v1", "verbs": ["get"]
            },
            {"name": "deployments/status", "kind": "Deployment", "verbs": ["get", "update"]}
        ]});
        let kind = kind(served, &document).unwrap();
        assert_eq!(
            table(&[kind]),
            "apps/v1 Deployment deployments deployment namespaced verbs=get,list short=deploy \
             categories=all hash=8aSe+NMegvE=\n  \
             scale autoscaling/v1 Scale get\n  \
             status apps/v1 Deployment get,update\n"
        );
    }

    #[test]
    fn a_kind_that_is_gone_is_none() {
        let served = ServedKind {
            group: "",
            version: "v1",
            kind: "Gone",
            has_message: true,
        };
        let document = json!({"resources": [{"name": "pods", "kind": "Pod"}]});
        assert!(kind(served, &document).is_none());
    }
}
