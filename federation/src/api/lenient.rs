//! Reads fields of a spec as Kubernetes reads its own types: a null says nothing, and where there
//! must be a value, as in a list or in a map, it is the empty one; a number is a quantity, too.

use k8s_openapi::api::core::v1::ServiceSpec;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;

/// Maps of texts.
const TEXT_MAPS: [&str; 6] = [
    "annotations",
    "labels",
    "matchLabels",
    "nodeSelector",
    "options",
    "volumeAttributes",
];

/// Maps of quantities.
const QUANTITY_MAPS: [&str; 3] = ["limits", "overhead", "requests"];

/// Fields that hold a quantity.
const QUANTITIES: [&str; 2] = ["divisor", "sizeLimit"];

/// Brings a pod template, or another value of Kubernetes' types, into the form that means the same
/// everywhere: without nulls, and with quantities as texts. An API server that decodes the value
/// does the same; one that takes it by server-side apply does not.
pub fn normalize(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                normalize_field(name, field);
            }
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(normalize);
        }
        Value::Array(items) => {
            replace_nulls(items.iter_mut(), "");
            items.iter_mut().for_each(normalize);
        }
        _ => {}
    }
}

fn normalize_field(name: &str, field: &mut Value) {
    match field {
        Value::Object(texts) if TEXT_MAPS.contains(&name) => replace_nulls(texts.values_mut(), ""),
        Value::Object(amounts) if QUANTITY_MAPS.contains(&name) => {
            replace_nulls(amounts.values_mut(), "0");
            amounts.values_mut().for_each(write_number);
        }
        field if QUANTITIES.contains(&name) => write_number(field),
        _ => {}
    }
}

fn replace_nulls<'a>(values: impl Iterator<Item = &'a mut Value>, by: &str) {
    for value in values.filter(|value| value.is_null()) {
        *value = Value::String(by.to_owned());
    }
}

fn write_number(value: &mut Value) {
    if let Value::Number(number) = value {
        *value = Value::String(number.to_string());
    }
}

/// Reads a field whose absence is a null's meaning.
pub(super) fn field<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let mut value = Value::deserialize(deserializer)?;
    if value.is_null() {
        return Ok(T::default());
    }
    normalize(&mut value);
    T::deserialize(value).map_err(D::Error::custom)
}

/// Reads a map of texts.
pub(super) fn texts<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let mut value = Value::deserialize(deserializer)?;
    normalize_field("labels", &mut value);
    field(value).map_err(D::Error::custom)
}

/// Reads a Service's spec, whose selector is a map of texts.
pub(super) fn service<'de, D>(deserializer: D) -> Result<ServiceSpec, D::Error>
where
    D: Deserializer<'de>,
{
    let mut value = Value::deserialize(deserializer)?;
    if let Some(selector) = value.get_mut("selector") {
        normalize_field("labels", selector);
    }
    field(value).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::api::{MultiClusterDeploymentSpec, MultiClusterServiceSpec};
    use crate::capacity::shape_of_template;

    /// Fields of the spec of a deployment that may be left empty, by where they are: lists first,
    /// then maps and objects, then the rest, which can only be null.
    const EMPTY: [(&str, [&[&str]; 3]); 6] = [
        (
            "",
            [
                &["clusterReplicas", "tolerations", "overrides"],
                &["policyParameters", "strategy", "clusterSelector"],
                &[
                    "locations",
                    "clusters",
                    "minReadySeconds",
                    "overflow",
                    "origin",
                ],
            ],
        ),
        ("/selector", [&["matchExpressions"], &[], &[]]),
        (
            "/template/metadata",
            [&["finalizers"], &["annotations"], &["creationTimestamp"]],
        ),
        (
            "/template/spec",
            [
                &[
                    "initContainers",
                    "volumes",
                    "tolerations",
                    "imagePullSecrets",
                ],
                &["nodeSelector", "affinity", "securityContext", "overhead"],
                &["nodeName", "restartPolicy", "resources"],
            ],
        ),
        (
            "/template/spec/containers/0",
            [
                &["env", "ports", "args"],
                &["securityContext"],
                &["livenessProbe", "restartPolicy"],
            ],
        ),
        (
            "/template/spec/containers/0/resources",
            [&["claims"], &["limits"], &[]],
        ),
    ];

    fn full() -> Value {
        json!({
            "selector": { "matchLabels": { "app": "x" } },
            "template": {
                "metadata": { "labels": { "app": "x" } },
                "spec": { "containers": [
                    { "name": "c", "image": "i", "resources": { "requests": { "cpu": "500m" } } },
                ] },
            },
        })
    }

    proptest! {
        #[test]
        fn what_is_left_empty_changes_nothing(choices in prop::collection::vec(0..3, 64)) {
            let mut spec = full();
            let mut choices = choices.into_iter();
            for (place, kinds) in EMPTY {
                for (kind, fields) in kinds.into_iter().enumerate() {
                    for field in fields {
                        let value = match (choices.next(), kind) {
                            (Some(0) | None, _) => continue,
                            (Some(1), 0) => json!([]),
                            (Some(1), 1) => json!({}),
                            _ => Value::Null,
                        };
                        spec.pointer_mut(place).unwrap()[*field] = value;
                    }
                }
            }
            let read = |spec: Value| MultiClusterDeploymentSpec::deserialize(spec).unwrap();
            let (plain, given) = (read(full()), read(spec));
            prop_assert_eq!(
                shape_of_template(&plain.template, "default").unwrap(),
                shape_of_template(&given.template, "default").unwrap()
            );
            prop_assert_eq!(plain.selector.match_labels, given.selector.match_labels);
        }
    }

    #[test]
    fn a_service_may_have_nulls() {
        let spec = json!({
            "locations": null, "ports": null, "selector": { "app": "x", "team": null }, "type": null,
        });
        let spec = MultiClusterServiceSpec::deserialize(spec).unwrap();
        assert_eq!(spec.service.selector.unwrap()["team"], "");
        assert_eq!((spec.locations, spec.service.ports), (None, None));
    }

    #[test]
    fn a_null_is_read_as_kubernetes_reads_it() {
        let mut template = json!({
            "metadata": { "creationTimestamp": null, "labels": { "team": null }, "annotations": null },
            "spec": {
                "nodeSelector": { "zone": null },
                "containers": [{
                    "name": "c", "args": ["a", null], "env": null, "resources": {
                        "requests": { "cpu": 0.5, "memory": 1024 }, "limits": { "cpu": null },
                    },
                }],
                "volumes": [{ "name": "v", "emptyDir": { "sizeLimit": 5, "medium": null } }],
            },
        });
        normalize(&mut template);
        assert_eq!(
            template,
            json!({
                "metadata": { "labels": { "team": "" } },
                "spec": {
                    "nodeSelector": { "zone": "" },
                    "containers": [{
                        "name": "c", "args": ["a", ""], "resources": {
                            "requests": { "cpu": "0.5", "memory": "1024" }, "limits": { "cpu": "0" },
                        },
                    }],
                    "volumes": [{ "name": "v", "emptyDir": { "sizeLimit": "5" } }],
                },
            })
        );
    }
}
