//! Schemas of the Go types, from those that are generated for their Rust twins.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::merging;
use crate::schema::{Form, List, ListKind, Object, Schema};

const DEFINITIONS: &str = "#/$defs/";

/// Keys of map lists whose value is known where it is not given. Apply needs them to tell items
/// apart.
const KEY_DEFAULTS: &[(&str, &str, &str)] = &[
    ("api.core.v1.ContainerPort", "protocol", "TCP"),
    ("api.core.v1.ServicePort", "protocol", "TCP"),
];

/// Types that hold anything, though they are generated as objects, and one that holds itself.
const ANY: &[&str] = &[
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
    "apimachinery.pkg.apis.meta.v1.FieldsV1",
    "apimachinery.pkg.runtime.RawExtension",
];

/// Converts generated definitions. A type that several others use is converted once and shared.
pub(super) struct Converter<'a> {
    definitions: &'a Map<String, Value>,
    done: HashMap<String, Arc<Schema>>,
}

impl<'a> Converter<'a> {
    pub(super) fn new(definitions: &'a Map<String, Value>) -> Self {
        Self {
            definitions,
            done: HashMap::new(),
        }
    }

    /// The schema of a definition; of anything if there is none.
    pub(super) fn definition(&mut self, name: &str) -> Arc<Schema> {
        if let Some(schema) = self.done.get(name) {
            return Arc::clone(schema);
        }
        let type_name = name.strip_prefix("io.k8s.").unwrap_or(name);
        let schema = match self.definitions.get(name) {
            Some(definition) if !ANY.contains(&type_name) => self.convert(definition, type_name),
            _ => Schema::default(),
        };
        let schema = Arc::new(Schema {
            type_name: Some(name.into()),
            ..schema
        });
        self.done.insert(name.to_string(), Arc::clone(&schema));
        schema
    }

    fn convert(&mut self, generated: &Value, type_name: &str) -> Schema {
        let mut schema = Schema {
            form: self.form(generated, type_name),
            description: text(generated, "description").map(str::to_string),
            ..Schema::default()
        };
        if let Some(merging) = merging::of(type_name, ".") {
            merging.mark(&mut schema);
        }
        schema
    }

    fn form(&mut self, generated: &Value, type_name: &str) -> Form {
        if generated.get("x-kubernetes-int-or-string").is_some() {
            return Form::IntOrString;
        }
        match text(generated, "type") {
            Some("object") => self.object(generated, type_name),
            Some("array") => Form::List(List {
                items: self.part(generated.get("items")),
                kind: ListKind::Atomic,
                patch_merge: None,
            }),
            Some("string") => Form::String(text(generated, "format").map(str::to_string)),
            Some("integer") if text(generated, "format") == Some("int32") => Form::ShortInteger,
            Some("integer") => Form::Integer,
            Some("number") => Form::Number,
            Some("boolean") => Form::Boolean,
            _ => Form::Any,
        }
    }

    fn object(&mut self, generated: &Value, type_name: &str) -> Form {
        let mut object = Object::default();
        if let Some(Value::Object(properties)) = generated.get("properties") {
            for (name, property) in properties {
                let schema = self.property(type_name, name, property);
                object.properties.insert(name.clone(), schema);
            }
        }
        if let Some(Value::Array(required)) = generated.get("required") {
            let names = required.iter().filter_map(Value::as_str);
            object.required = names.map(str::to_string).collect();
        }
        if let Some(additional) = generated.get("additionalProperties") {
            object.additional = Some(self.part(Some(additional)));
        }
        Form::Object(object)
    }

    fn property(&mut self, type_name: &str, name: &str, generated: &Value) -> Arc<Schema> {
        let schema = self.part(Some(generated));
        let description = text(generated, "description");
        let merging = merging::of(type_name, name);
        let default = KEY_DEFAULTS
            .iter()
            .find(|(of, field, _)| (*of, *field) == (type_name, name));
        if description == schema.description.as_deref() && merging.is_none() && default.is_none() {
            return schema;
        }
        let mut schema = Schema::clone(&schema);
        if let Some(merging) = merging {
            merging.mark(&mut schema);
        }
        if let Some(description) = description {
            schema.description = Some(description.to_string());
        }
        schema.default = default.map(|(_, _, value)| Value::from(*value));
        Arc::new(schema)
    }

    /// A schema inside another one: a reference, or written out.
    fn part(&mut self, generated: Option<&Value>) -> Arc<Schema> {
        let Some(generated) = generated else {
            return Arc::default();
        };
        match text(generated, "$ref").and_then(|name| name.strip_prefix(DEFINITIONS)) {
            Some(name) => self.definition(name),
            None => Arc::new(self.convert(generated, "")),
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}
