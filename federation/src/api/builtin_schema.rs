//! What Kubernetes' own types take and a schema generated from them does not: nulls, numbers for
//! quantities, and fields whose absence is a value. A pod template that a Deployment takes is to be
//! taken as part of a custom resource, too, also by server-side apply, which keeps nulls.

use serde_json::{Value, json};

/// A quantity as text: as Kubernetes reads it, spaces around it included.
const QUANTITY: &str = r"^\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkKMGTPE]|[KMGTPE]i|[eE][+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))?\s*$";

/// Fields of a pod template that hold a quantity.
const QUANTITIES: [&str; 2] = ["divisor", "sizeLimit"];

/// Maps whose values are quantities.
const QUANTITY_MAPS: [&str; 3] = ["limits", "overhead", "requests"];

/// Fields that Kubernetes' description of its types requires, but whose absence its validation
/// takes for the empty value.
const NOT_REQUIRED: [&str; 4] = ["lun", "preference", "seconds", "value"];

/// Lets a schema take the nulls and the quantities that the built-in types in it take. To be called
/// when list types are set.
pub(super) fn accept_as_builtin(schema: &mut Value) {
    let required = schema.get("required").and_then(Value::as_array).cloned();
    let required = required.unwrap_or_default();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties {
            replace_quantities(name, property);
            accept_as_builtin(property);
            if !required.iter().any(|other| other == name) && property.get("default").is_none() {
                accept_null(property);
            }
        }
    }
    let in_keyed_list = schema.get("x-kubernetes-list-type").is_some();
    for below in ["items", "additionalProperties"] {
        let Some(inner) = schema.get_mut(below).filter(|inner| inner.is_object()) else {
            continue;
        };
        accept_as_builtin(inner);
        // The null item of a list of texts, and the null value of a map, is the empty text.
        if below == "additionalProperties" || inner["type"] == "string" && !in_keyed_list {
            accept_null(inner);
        }
    }
}

/// Refuses in a pod template what a Deployment's or a Job's validation refuses and a schema can
/// say in a word: names, ports, and words that are none. An empty word is the default.
pub(super) fn refuse_as_builtin(template: &mut Value) {
    let spec = &mut template["properties"]["spec"]["properties"];
    one_of(&mut spec["restartPolicy"], "Always|OnFailure|Never");
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        let container = &mut spec[containers]["items"]["properties"];
        container["name"]["pattern"] = json!("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$");
        container["name"]["maxLength"] = json!(63);
        one_of(
            &mut container["imagePullPolicy"],
            "Always|IfNotPresent|Never",
        );
        let port = &mut container["ports"]["items"]["properties"];
        one_of(&mut port["protocol"], "TCP|UDP|SCTP");
        for (name, least) in [("containerPort", 1), ("hostPort", 0)] {
            port[name]["minimum"] = json!(least);
            port[name]["maximum"] = json!(65_535);
        }
    }
}

/// One of these words, or none: not an enumeration, which would not take null.
pub(super) fn one_of(schema: &mut Value, words: &str) {
    schema["pattern"] = json!(format!("^({words}|)$"));
}

/// An enumeration never takes null, whatever it lists: left as it is, at least the null of a `POST`
/// is dropped.
fn accept_null(schema: &mut Value) {
    if schema.get("enum").is_none() {
        schema["nullable"] = json!(true);
    } else if let Some(schema) = schema.as_object_mut() {
        schema.remove("nullable");
    }
}

/// Lets a pod template leave out what a Deployment's may.
pub(super) fn relax_required(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(required)) = fields.get_mut("required") {
                required.retain(|name| !NOT_REQUIRED.iter().any(|other| name == other));
            }
            fields.retain(|name, value| name != "required" || *value != json!([]));
            fields.values_mut().for_each(relax_required);
        }
        Value::Array(items) => items.iter_mut().for_each(relax_required),
        _ => {}
    }
}

/// The generated schema takes whole numbers and texts for quantities; Kubernetes takes any number.
/// Rules can't see such a field: where they have to, as in metrics, it stays as it is.
fn replace_quantities(name: &str, property: &mut Value) {
    let quantity = if QUANTITY_MAPS.contains(&name) {
        property.get_mut("additionalProperties")
    } else {
        Some(property).filter(|_| QUANTITIES.contains(&name))
    };
    if let Some(quantity) = quantity
        && quantity.get("x-kubernetes-int-or-string").is_some()
    {
        *quantity = json!({
            // A structural schema has no type for "number or text": neither list nor object.
            "x-kubernetes-preserve-unknown-fields": true,
            "pattern": QUANTITY,
            "maxItems": 0,
            "maxProperties": 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_takes_no_null_and_the_rest_does() {
        let mut schema = json!({
            "type": "object",
            "required": ["name", "value"],
            "properties": {
                "name": { "type": "string" },
                "value": { "type": "string" },
                "args": { "type": "array", "items": { "type": "string" } },
                "mode": { "type": "string", "default": "A", "enum": ["A", "B"] },
                "kind": { "type": "string", "enum": ["A", "B"], "nullable": true },
            },
        });
        relax_required(&mut schema);
        accept_as_builtin(&mut schema);
        let nullable = |pointer: &str| schema.pointer(pointer).unwrap()["nullable"] == true;
        assert_eq!(schema["required"], json!(["name"]));
        assert!(!nullable("/properties/name") && nullable("/properties/value"));
        assert!(nullable("/properties/args") && nullable("/properties/args/items"));
        assert!(!nullable("/properties/mode"), "a null becomes the default");
        assert!(!nullable("/properties/kind"), "it would be refused");
    }

    #[test]
    fn quantities_are_numbers_or_texts_and_ports_are_not() {
        let port = json!({ "x-kubernetes-int-or-string": true });
        let mut schema = json!({ "properties": {
            "limits": { "type": "object", "additionalProperties": port },
            "sizeLimit": port, "port": port,
        }});
        accept_as_builtin(&mut schema);
        let cpu = &schema["properties"]["limits"]["additionalProperties"];
        assert_eq!(cpu["pattern"], QUANTITY);
        assert_eq!(schema["properties"]["sizeLimit"]["pattern"], QUANTITY);
        assert_eq!(
            schema["properties"]["port"]["x-kubernetes-int-or-string"],
            true
        );
    }
}
