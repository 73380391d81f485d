//! The old `OpenAPI` document, version 2. kubectl asks for it when it is given a `List`, and reads
//! it in protobuf only.

use serde_json::{Map, Value};

use crate::protobuf::Writer;

/// What the document is called in protobuf. (Clients ask with `@` in the place of the first dot
/// after `v2`, which is no media type.)
pub(super) const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Leaves out of a schema what version 2 does not know, and what kubectl would misread: as
/// `ToStructuralOpenAPIV2` does it in apiextensions-apiserver.
pub(super) fn simplify(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    // A description beside a reference stands in the way of nobody here.
    let reference = schema.get("allOf").and_then(|all| all.get(0)?.get("$ref"));
    if let Some(reference) = reference.cloned() {
        schema.insert("$ref".to_owned(), reference);
    }
    for key in ["allOf", "anyOf", "oneOf", "not"] {
        schema.remove(key);
    }
    let nullable = is(schema, "nullable");
    schema.remove("nullable");
    let open = is(schema, "x-kubernetes-preserve-unknown-fields");
    if nullable || open {
        schema.remove("items");
        schema.remove("properties");
    }
    let kind = schema.get("type").and_then(Value::as_str);
    let untyped = match kind {
        Some("array") => nullable || !schema.contains_key("items"),
        Some("object") => nullable || open,
        _ => nullable,
    };
    if untyped {
        schema.remove("type");
    }
    may_be_missing(schema);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(simplify);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(key) {
            simplify(inner);
        }
    }
}

/// A field that may be null is not required either.
fn may_be_missing(schema: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return;
    };
    let nullable: Vec<String> = properties
        .iter()
        .filter(|(_, inner)| inner["nullable"] == true)
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| !nullable.iter().any(|other| name == other));
    }
}

fn is(schema: &Map<String, Value>, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

/// The document in protobuf. The numbers are those of `openapiv2/OpenAPIv2.proto` in gnostic-models.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut info = Writer::default();
    info.text(1, &document["info"]["title"]);
    info.text(2, &document["info"]["version"]);
    let mut all = Writer::default();
    all.text(1, &document["swagger"]);
    all.message(2, &info);
    all.message(8, &Writer::default());
    all.message(9, &named(&document["definitions"]));
    all.done()
}

/// Schemas by name: `Definitions`, or `Properties`.
fn named(schemas: &Value) -> Writer {
    let mut all = Writer::default();
    for (name, inner) in schemas.as_object().into_iter().flatten() {
        let mut one = Writer::default();
        one.bytes(1, name.as_bytes());
        one.message(2, &schema(inner));
        all.message(1, &one);
    }
    all
}

fn schema(schema: &Value) -> Writer {
    let mut shown = Writer::default();
    shown.text(1, &schema["$ref"]);
    shown.text(2, &schema["format"]);
    shown.text(4, &schema["description"]);
    for name in schema["required"].as_array().into_iter().flatten() {
        shown.text(19, name);
    }
    if schema["additionalProperties"].is_object() {
        shown.message(21, &wrapped(&self::schema(&schema["additionalProperties"])));
    }
    if schema["type"].is_string() {
        let mut kind = Writer::default();
        kind.text(1, &schema["type"]);
        shown.message(22, &kind);
    }
    if schema["items"].is_object() {
        shown.message(23, &wrapped(&self::schema(&schema["items"])));
    }
    if schema["properties"].is_object() {
        shown.message(25, &named(&schema["properties"]));
    }
    let extensions = schema.as_object().into_iter().flatten();
    for (name, value) in extensions.filter(|(name, _)| name.starts_with("x-kubernetes-")) {
        let mut any = Writer::default();
        // YAML, which JSON is.
        any.bytes(2, value.to_string().as_bytes());
        let mut extension = Writer::default();
        extension.bytes(1, name.as_bytes());
        extension.message(2, &any);
        shown.message(31, &extension);
    }
    shown
}

/// A message in a message of its own.
fn wrapped(inner: &Writer) -> Writer {
    let mut outer = Writer::default();
    outer.message(1, inner);
    outer
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_kubectl_would_misread_is_left_out() {
        let mut schema = json!({
            "type": "object",
            "required": ["a", "b"],
            "properties": {
                "a": {"type": "string", "nullable": true, "anyOf": [{"format": "x"}]},
                "b": {"description": "why", "allOf": [{"$ref": "#/definitions/B"}]},
                "c": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"d": {}}},
                "e": {"type": "array"},
            },
        });
        simplify(&mut schema);
        let expected = json!({
            "type": "object",
            "required": ["b"],
            "properties": {
                "a": {},
                "b": {"description": "why", "$ref": "#/definitions/B"},
                "c": {"x-kubernetes-preserve-unknown-fields": true},
                "e": {},
            },
        });
        assert_eq!(schema, expected);
    }

    #[test]
    fn protobuf_has_the_numbers_of_gnostic() {
        let document = json!({"swagger": "2.0", "definitions": {"A": {"type": "object"}}});
        // By hand: swagger, info, paths, definitions { A { type { "object" } } }.
        let expected = [
            &[0x0a, 3][..],
            b"2.0",
            &[0x12, 0],
            &[0x42, 0],
            &[0x4a, 18, 0x0a, 16],
            &[0x0a, 1],
            b"A",
            &[0x12, 11],
            &[0xb2, 1, 8, 0x0a, 6],
            b"object",
        ];
        assert_eq!(encode(&document), expected.concat());
    }
}
