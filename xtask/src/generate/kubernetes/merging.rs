//! How lists, structs and maps of the built-in types are merged, by apply and by strategic merge
//! patches, where that differs from the rule.

use anyhow::{Context, Result};
use control_plane::schema::Form;
use control_plane::schema::builtin::builtin_type;
use serde_json::{Map, Value};

use super::Sources;

/// A line: type, field, apply, strategic merge patch.
type Row = [String; 4];

/// The text of `merging.txt`; `control-plane/src/schema/builtin/merging.rs` says its form.
pub(super) fn table(sources: &Sources) -> Result<String> {
    let document = sources.document("openapi-spec/swagger.json")?;
    let definitions = document["definitions"].as_object();
    let definitions = definitions.context("the OpenAPI document has no definitions")?;
    Ok(align(&rows(definitions, is_known)))
}

/// Whether the control plane has a schema of a type, and knows its fields.
fn is_known(type_name: &str) -> bool {
    builtin_type(type_name).is_some_and(|schema| matches!(schema.form, Form::Object(_)))
}

fn rows(definitions: &Map<String, Value>, is_known: impl Fn(&str) -> bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, definition) in definitions {
        if !is_known(name) {
            continue;
        }
        let row = |field: &str, (apply, patch): (String, String)| {
            let type_name = name.strip_prefix("io.k8s.").unwrap_or(name);
            [type_name.to_owned(), field.to_owned(), apply, patch]
        };
        let whole = text(definition, "x-kubernetes-map-type");
        if !whole.is_empty() {
            rows.push(row(".", (whole.to_owned(), String::new())));
        }
        let fields = definition["properties"].as_object().into_iter().flatten();
        rows.extend(fields.filter_map(|(field, schema)| Some(row(field, merging(schema)?))));
    }
    rows.sort();
    rows
}

/// How a field is merged by apply and by a patch; none if by the rule.
fn merging(field: &Value) -> Option<(String, String)> {
    let patch = patch(field);
    let apply = if field["type"] == "array" {
        list(field)
    } else {
        // Maps are granular anyway; a field may make a type granular that is atomic elsewhere.
        let map_type = text(field, "x-kubernetes-map-type");
        let is_rule = map_type.is_empty() || map_type == "granular" && field["type"] == "object";
        (!is_rule).then(|| map_type.to_owned())
    };
    match apply {
        Some(apply) => Some((apply, patch)),
        None if patch.is_empty() => None,
        None => Some(("atomic".to_owned(), patch)),
    }
}

/// How apply merges a list; none if as a whole.
fn list(field: &Value) -> Option<String> {
    match text(field, "x-kubernetes-list-type") {
        "set" => Some("set".to_owned()),
        "map" => {
            let keys = field["x-kubernetes-list-map-keys"].as_array()?;
            let keys: Vec<_> = keys.iter().filter_map(Value::as_str).collect();
            Some(format!("map={}", keys.join(",")))
        }
        _ => None,
    }
}

/// How a strategic merge patch merges a list; empty where it replaces it.
fn patch(field: &Value) -> String {
    let strategies = text(field, "x-kubernetes-patch-strategy");
    if !strategies.split(',').any(|strategy| strategy == "merge") {
        return String::new();
    }
    match text(field, "x-kubernetes-patch-merge-key") {
        "" => "merge=*".to_owned(),
        key => format!("merge={key}"),
    }
}

fn text<'a>(schema: &'a Value, field: &str) -> &'a str {
    schema[field].as_str().unwrap_or_default()
}

/// Rows in columns.
fn align(rows: &[Row]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    let lines = rows.iter().map(|[type_name, field, apply, patch]| {
        let line = format!("{type_name:first$} {field:second$} {apply:third$} {patch}");
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_from_the_rule_is_told() {
        let definitions = json!({
            "io.k8s.api.things.v1.Thing": {"x-kubernetes-map-type": "atomic", "properties": {
                "atomic": {"type": "array", "x-kubernetes-list-type": "atomic"},
                "keyed": {
                    "type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["a", "b"],
                    "x-kubernetes-patch-strategy": "merge,retainKeys",
                    "x-kubernetes-patch-merge-key": "a"
                },
                "labels": {"type": "object", "x-kubernetes-map-type": "granular"},
                "patched": {"type": "array", "x-kubernetes-patch-strategy": "merge"},
                "retained": {"x-kubernetes-patch-strategy": "retainKeys"},
                "reference": {"x-kubernetes-map-type": "granular"},
                "values": {"type": "array", "x-kubernetes-list-type": "set"}
            }},
            "io.k8s.api.things.v1.Unknown": {"x-kubernetes-map-type": "atomic"}
        });
        let rows = rows(definitions.as_object().unwrap(), |name| {
            !name.ends_with("Unknown")
        });
        assert_eq!(
            align(&rows),
            "api.things.v1.Thing .         atomic\n\
             api.things.v1.Thing keyed     map=a,b  merge=a\n\
             api.things.v1.Thing patched   atomic   merge=*\n\
             api.things.v1.Thing reference granular\n\
             api.things.v1.Thing values    set\n"
        );
    }
}
