//! Checks objects within objects (`x-kubernetes-embedded-resource`): their type and metadata.

use serde_json::{Map, Value, json};

use crate::schema::{FieldError, Form, Path, Schema, metadata, names};
use crate::work::is_late;

/// Checks every embedded object in a value. The value itself is not looked at as one.
pub(super) fn check(schema: &Schema, value: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    if is_late(value) {
        return;
    }
    match (&schema.form, value) {
        (Form::Object(object), Value::Object(fields)) => {
            if object.embedded_resource {
                check_resource(fields, path, errors);
            }
            for (name, value) in fields {
                if let Some(schema) = object.properties.get(name) {
                    check(schema, value, &path.field(name), errors);
                } else if let Some(schema) = &object.additional {
                    check(schema, value, &path.key(name), errors);
                }
            }
        }
        (Form::List(list), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                check(&list.items, item, &path.index(index), errors);
            }
        }
        _ => {}
    }
}

fn check_resource(fields: &Map<String, Value>, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    for (field, rule) in [
        ("apiVersion", api_version as fn(&str) -> Option<String>),
        ("kind", kind),
    ] {
        let path = path.field(field);
        match fields.get(field) {
            None => errors.push(FieldError::required(&path, "")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::invalid(&path, "", "must not be empty"));
            }
            Some(Value::String(text)) => {
                let complaint = rule(text);
                let error =
                    complaint.map(|detail| FieldError::invalid(&path, text.as_str(), detail));
                errors.extend(error);
            }
            Some(value) => {
                errors.push(FieldError::invalid(
                    &path,
                    value.clone(),
                    "must be a string",
                ));
            }
        }
    }
    if let Some(of_resource) = fields.get("metadata") {
        // A name is not needed, so one that is missing is made up.
        let mut of_resource = of_resource.clone();
        if let Value::Object(fields) = &mut of_resource
            && fields.get("name").is_none_or(|name| name == "")
        {
            fields.insert("name".to_string(), json!("fakename"));
        }
        let is_namespaced = of_resource.get("namespace").is_some_and(|name| name != "");
        errors.extend(metadata::validate(
            &of_resource,
            is_namespaced,
            names::path_segment,
            &path.field("metadata"),
        ));
    }
}

fn api_version(text: &str) -> Option<String> {
    (text.matches('/').count() > 1).then(|| format!("unexpected GroupVersion string: {text}"))
}

fn kind(text: &str) -> Option<String> {
    let complaints = names::label_1035(&text.to_lowercase());
    (!complaints.is_empty()).then(|| {
        let complaints = complaints.join(",");
        format!("may have mixed case, but should otherwise match: {complaints}")
    })
}
