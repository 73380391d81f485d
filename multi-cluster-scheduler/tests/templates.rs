//! The random pod templates of the scenarios have all that a pod template can have.

#![allow(clippy::unwrap_used)]

#[path = "scenarios/templates/mod.rs"]
mod templates;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use templates::{Random, job_fields, job_template, spec};

const DRAWS: usize = 2_000;

/// Fields that no template has, wherever they are, and why.
const LEFT_OUT: [(&str, &str); 18] = [
    ("metadata/creationTimestamp", OF_OBJECTS),
    ("metadata/deletionGracePeriodSeconds", OF_OBJECTS),
    ("metadata/deletionTimestamp", OF_OBJECTS),
    ("metadata/finalizers", OF_OBJECTS),
    ("metadata/generateName", OF_OBJECTS),
    ("metadata/generation", OF_OBJECTS),
    ("metadata/managedFields", OF_OBJECTS),
    ("metadata/name", OF_OBJECTS),
    ("metadata/namespace", OF_OBJECTS),
    ("metadata/ownerReferences", OF_OBJECTS),
    ("metadata/resourceVersion", OF_OBJECTS),
    ("metadata/selfLink", OF_OBJECTS),
    ("metadata/uid", OF_OBJECTS),
    (
        "spec/activeDeadlineSeconds",
        "pods of a Deployment have none",
    ),
    ("spec/ephemeralContainers", "running pods alone have some"),
    ("spec/resources/claims", "a pod as a whole claims nothing"),
    (
        "valueFrom/fileKeyRef",
        "without EnvFiles, which is off, the variable has no source",
    ),
    (
        "readinessProbe/terminationGracePeriodSeconds",
        "a container that is not ready is not ended",
    ),
];
const OF_OBJECTS: &str = "it is of an object, not of a template";

/// The paths of all that the schema of a template has, `*` for each item of a list or a map.
fn paths(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let parts = below(schema);
    if parts.is_empty() {
        found.insert(path.to_owned());
    }
    for (name, schema) in parts {
        paths(schema, &format!("{path}/{name}"), found);
    }
}

fn below(schema: &Value) -> Vec<(&str, &Value)> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let properties = properties.map(|(name, schema)| (name.as_str(), schema));
    let items = ["items", "additionalProperties"].into_iter();
    let items = items.map(|field| ("*", &schema[field]));
    properties
        .chain(items.filter(|(_, schema)| schema.is_object()))
        .collect()
}

/// The paths that a template has a value at.
fn set(schema: &Value, value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let parts = below(schema);
    if parts.is_empty() {
        found.insert(path.to_owned());
    }
    for (name, schema) in parts {
        let values: Vec<&Value> = match value {
            Value::Array(items) if name == "*" => items.iter().collect(),
            Value::Object(fields) if name == "*" => fields.values().collect(),
            value => vec![&value[name]],
        };
        for value in values.into_iter().filter(|value| !value.is_null()) {
            set(schema, value, &format!("{path}/{name}"), found);
        }
    }
}

/// The schema of the template of a kind.
fn schema_of(kind: &str) -> Value {
    let crds = federation::api::crds().unwrap();
    let mut crds = crds.iter().map(|crd| json!(crd));
    let crd = crds.find(|crd| crd["spec"]["names"]["kind"] == kind);
    let template = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/template";
    crd.unwrap().pointer(template).unwrap().clone()
}

#[test]
fn every_field_of_a_pod_template_comes_up_or_is_left_out_for_a_reason() {
    let schema = schema_of("MultiClusterDeployment");
    let (mut all, mut drawn) = (BTreeSet::new(), BTreeSet::new());
    paths(&schema, "", &mut all);
    let mut random = Random::new(1);
    for _ in 0..DRAWS {
        set(&schema, &spec(&mut random)["template"], "", &mut drawn);
    }
    let is_part = |path: &str, part: &str| format!("{path}/").contains(&format!("/{part}/"));
    let is_left_out = |path: &str| LEFT_OUT.iter().any(|(part, _)| is_part(path, part));
    let missing: Vec<&String> = (all.difference(&drawn))
        .filter(|path| !is_left_out(path))
        .collect();
    assert!(missing.is_empty(), "never drawn: {missing:#?}");
    let in_vain: Vec<&String> = drawn.iter().filter(|path| is_left_out(path)).collect();
    assert!(in_vain.is_empty(), "drawn all the same: {in_vain:#?}");
    for (part, why) in LEFT_OUT {
        let is_known = all.iter().any(|path| is_part(path, part));
        assert!(is_known, "{part} ({why}) is no field");
    }
}

#[test]
fn a_job_gets_what_a_deployment_cannot_have() {
    let schema = schema_of("MultiClusterJob");
    let mut random = Random::new(1);
    let (mut drawn, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..DRAWS {
        set(&schema, &job_template(&mut random), "", &mut drawn);
        let of_job = job_fields(&mut random);
        fields.extend(of_job.as_object().unwrap().keys().cloned());
    }
    assert!(drawn.contains("/spec/activeDeadlineSeconds"));
    let changeable = [
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    ];
    assert_eq!(fields, changeable.map(str::to_owned).into());
}
