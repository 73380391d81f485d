//! Namespaces, nodes, volumes, secrets and other things of a cluster.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::quantity::Quantity;
use super::check::{Errors, complain, fields, integer, is_set, text, texts, unchanged};
use super::{pod, resources, selector};
use crate::schema::metadata::immutable;
use crate::schema::{ErrorKind, FieldError, Path, names, render};

/// Bytes that a `Secret` or a `ConfigMap` may hold.
const MAX_DATA: usize = 1024 * 1024;

const IMMUTABLE: &str = "field is immutable when `immutable` is set";

pub(crate) fn secret(secret: &Value, errors: &mut Errors) {
    let path = Path::new("data");
    let data = &secret["data"];
    let mut size = 0;
    for (key, value) in fields(data) {
        complain(names::config_key(key), key, &path.key(key), errors);
        size += decoded_size(value.as_str().unwrap_or_default());
    }
    if size > MAX_DATA {
        errors.push(FieldError::too_long(&path, MAX_DATA));
    }
    let has = |key: &str| data.get(key).is_some();
    let mut require = |keys: &[&str]| {
        for key in keys.iter().filter(|key| !has(key)) {
            errors.push(FieldError::required(&path.key(key), ""));
        }
    };
    match text(secret, "type") {
        "kubernetes.io/dockercfg" => require(&[".dockercfg"]),
        "kubernetes.io/dockerconfigjson" => require(&[".dockerconfigjson"]),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            require(&["username", "password"]);
        }
        "kubernetes.io/ssh-auth" => require(&["ssh-privatekey"]),
        "kubernetes.io/tls" => require(&["tls.crt", "tls.key"]),
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if text(&secret["metadata"]["annotations"], key).is_empty() {
                let path = Path::new("metadata.annotations");
                errors.push(FieldError::required(&path.key(key), ""));
            }
        }
        _ => {}
    }
}

fn decoded_size(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

pub(crate) fn secret_update(secret: &Value, old: &Value, errors: &mut Errors) {
    if secret["type"] != old["type"] {
        errors.push(immutable(&Path::new("type"), secret["type"].clone()));
    }
    keeps(secret, old, &["data"], errors);
}

pub(crate) fn config_map(map: &Value, errors: &mut Errors) {
    let mut size = 0;
    let (texts, binary) = (&map["data"], &map["binaryData"]);
    for (field, values) in [("data", texts), ("binaryData", binary)] {
        let path = Path::new(field);
        for (key, value) in fields(values) {
            complain(names::config_key(key), key, &path.key(key), errors);
            if field == "data" && binary.get(key).is_some() {
                let detail = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(&path.key(key), key.as_str(), detail));
            }
            let value = value.as_str().unwrap_or_default();
            size += if field == "data" {
                value.len()
            } else {
                decoded_size(value)
            };
        }
    }
    if size > MAX_DATA {
        errors.push(FieldError::too_long(&Path::new("[]"), MAX_DATA));
    }
}

pub(crate) fn config_map_update(map: &Value, old: &Value, errors: &mut Errors) {
    keeps(map, old, &["data", "binaryData"], errors);
}

/// What was made immutable stays as it is.
fn keeps(new: &Value, old: &Value, data: &[&str], errors: &mut Errors) {
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        errors.push(FieldError::forbidden(&Path::new("immutable"), IMMUTABLE));
    }
    for field in data {
        let is_same = new[*field] == old[*field] || !(is_set(&new[*field]) || is_set(&old[*field]));
        if !is_same {
            errors.push(FieldError::forbidden(&Path::new(field), IMMUTABLE));
        }
    }
}

pub(crate) fn namespace(namespace: &Value, errors: &mut Errors) {
    let list = &namespace["spec"]["finalizers"];
    pod::finalizers(list, &Path::new("spec.finalizers"), errors);
}

/// A node stays the machine that it is.
pub(crate) fn node_update(node: &Value, old: &Value, errors: &mut Errors) {
    let (provider, before) = (
        text(&node["spec"], "providerID"),
        text(&old["spec"], "providerID"),
    );
    if !before.is_empty() && provider != before {
        let detail = "node updates may not change providerID except from \"\" to valid";
        let path = Path::new("spec.providerID");
        errors.push(FieldError::forbidden(&path, detail));
    }
}

/// An event is in the namespace of what it is about.
pub(crate) fn event(event: &Value, errors: &mut Errors) {
    let about = text(&event["involvedObject"], "namespace");
    let own = text(&event["metadata"], "namespace");
    let path = Path::new("involvedObject.namespace");
    let is_cluster_wide = about.is_empty() && matches!(own, "default" | "kube-system");
    if about != own && !is_cluster_wide {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid(&path, about, detail));
    }
}

pub(crate) fn node(node: &Value, errors: &mut Errors) {
    let path = Path::new("metadata.taints");
    let mut seen = BTreeSet::new();
    for (index, taint) in super::check::items(&node["spec"]["taints"]) {
        let path = path.index(index);
        let (key, effect) = (text(taint, "key"), text(taint, "effect"));
        complain(names::qualified(key), key, &path.field("key"), errors);
        let value = text(taint, "value");
        complain(
            names::label_value(value),
            value,
            &path.field("value"),
            errors,
        );
        let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        super::check::one_of(taint, "effect", &known, &path, errors);
        if !seen.insert((key, effect)) {
            let [key, value, effect, time] =
                ["key", "value", "effect", "timeAdded"].map(|field| &taint[field]);
            let value = if value.is_null() {
                ""
            } else {
                value.as_str().unwrap_or_default()
            };
            let value = render::json(&value.into());
            let [key, effect, time] = [key, effect, time].map(render::json);
            let words = format!(
                r#"{{"Key":{key},"Value":{value},"Effect":{effect},"TimeAdded":{time}}}: taints must be unique by key and effect pair"#
            );
            errors.push(FieldError::worded(ErrorKind::Duplicate, &path, words));
        }
    }
    for field in ["capacity", "allocatable"] {
        let path = Path::new("status");
        let path = path.field(field);
        for (name, amount) in fields(&node["status"][field]) {
            resources::check_amount(name, amount, &path.key(name), errors);
        }
    }
}

const MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

fn access_modes(spec: &Value, path: &Path<'_>, detail: &str, errors: &mut Errors) {
    let path = path.field("accessModes");
    let modes = texts(&spec["accessModes"]);
    if modes.is_empty() {
        errors.push(FieldError::required(&path, detail));
    }
    for mode in &modes {
        if !MODES.contains(mode) {
            errors.push(FieldError::not_supported(&path, *mode, &MODES));
        }
    }
    if modes.contains(&"ReadWriteOncePod") && modes.len() > 1 {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(&path, detail));
    }
}

/// A `PersistentVolume`.
pub(crate) fn volume(volume: &Value, errors: &mut Errors) {
    let (spec, path) = (&volume["spec"], Path::new("spec"));
    access_modes(spec, &path, "", errors);
    let path_of_capacity = path.field("capacity");
    if !is_set(&spec["capacity"]) {
        errors.push(FieldError::required(&path_of_capacity, ""));
    }
    if spec["capacity"].get("storage").is_none() {
        let shown = spec["capacity"].as_object().cloned().unwrap_or_default();
        errors.push(FieldError::not_supported(
            &path_of_capacity,
            shown,
            &["storage"],
        ));
    }
    for (name, amount) in fields(&spec["capacity"]) {
        resources::check_amount(name, amount, &path_of_capacity.key(name), errors);
    }
    let policy = text(spec, "persistentVolumeReclaimPolicy");
    let known = ["Delete", "Recycle", "Retain"];
    if !known.contains(&policy) {
        let path = path.field("persistentVolumeReclaimPolicy");
        errors.push(FieldError::not_supported(&path, policy, &known));
    }
}

/// A `PersistentVolumeClaim`.
pub(crate) fn claim(claim: &Value, errors: &mut Errors) {
    let (spec, path) = (&claim["spec"], Path::new("spec"));
    access_modes(spec, &path, "at least 1 access mode is required", errors);
    selector::check(&spec["selector"], &path.field("selector"), errors);
    let path_of_resources = path.field("resources");
    let path_of_storage = path_of_resources.key("storage");
    let storage = &spec["resources"]["requests"]["storage"];
    if storage.is_null() {
        errors.push(FieldError::required(&path_of_storage, ""));
    } else if Quantity::of(storage).is_some_and(|storage| storage.amount <= 0) {
        let detail = "must be greater than zero";
        errors.push(FieldError::invalid(
            &path_of_storage,
            storage.clone(),
            detail,
        ));
    } else {
        resources::check_amount("storage", storage, &path_of_storage, errors);
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        complain(
            names::subdomain(class),
            class,
            &path.field("storageClassName"),
            errors,
        );
    }
    let mode = text(spec, "volumeMode");
    let known = ["Block", "Filesystem"];
    if !mode.is_empty() && !known.contains(&mode) {
        errors.push(FieldError::not_supported(
            &path.field("volumeMode"),
            mode,
            &known,
        ));
    }
}

pub(crate) fn claim_update(claim: &Value, old: &Value, errors: &mut Errors) {
    let is_bound = text(&claim["status"], "phase") == "Bound";
    let fixed = |spec: &Value| -> Map<String, Value> {
        let mut fixed = spec.as_object().cloned().unwrap_or_default();
        if !is_set(&old["spec"]["volumeName"]) {
            fixed.remove("volumeName");
        }
        if is_bound {
            fixed.remove("volumeAttributesClassName");
            if let Some(Value::Object(requests)) = fixed
                .get_mut("resources")
                .and_then(|resources| resources.get_mut("requests"))
            {
                requests.remove("storage");
            }
        }
        fixed
    };
    let (new, old) = (&claim["spec"], &old["spec"]);
    if fixed(new) != fixed(old) {
        let detail = "spec is immutable after creation except resources.requests and \
                      volumeAttributesClassName for bound claims\n";
        errors.push(FieldError::forbidden(&Path::new("spec"), detail));
    }
    let size = |spec: &Value| Quantity::of(&spec["resources"]["requests"]["storage"]);
    let capacity = Quantity::of(&claim["status"]["capacity"]["storage"]);
    if size(new) < size(old) && size(new) <= capacity {
        let detail = "field can not be less than status.capacity";
        let path = Path::new("spec.resources.requests.storage");
        errors.push(FieldError::forbidden(&path, detail));
    }
    unchanged(new, old, "volumeMode", &Path::ROOT, errors);
}

pub(crate) fn quota(quota: &Value, errors: &mut Errors) {
    let path = Path::new("spec.hard");
    for (name, amount) in fields(&quota["spec"]["hard"]) {
        complain(names::qualified(name), name, &path.key(name), errors);
        resources::check_amount(name, amount, &path.key(name), errors);
    }
}

pub(crate) fn lease(lease: &Value, errors: &mut Errors) {
    let (spec, path) = (&lease["spec"], Path::new("spec"));
    let duration = spec["leaseDurationSeconds"].as_i64();
    if let Some(seconds) = duration.filter(|seconds| *seconds <= 0) {
        let path = path.field("leaseDurationSeconds");
        errors.push(FieldError::invalid(
            &path,
            seconds,
            "must be greater than 0",
        ));
    }
    let transitions = integer(spec, "leaseTransitions");
    if transitions < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(
            &path.field("leaseTransitions"),
            transitions,
            detail,
        ));
    }
}

/// The highest priority that users can give.
const MAX_PRIORITY: i64 = 1_000_000_000;

pub(crate) fn priority_class(class: &Value, errors: &mut Errors) {
    let name = text(&class["metadata"], "name");
    let value = integer(class, "value");
    if name.starts_with("system-") {
        let known = [
            ("system-node-critical", 2_000_001_000),
            ("system-cluster-critical", 2_000_000_000),
        ];
        let why = match known.iter().find(|(known, _)| *known == name) {
            None => format!("{name} is not a known system priority class"),
            Some((_, wanted)) if *wanted != value => {
                format!("value of {name} PriorityClass must be {wanted}")
            }
            Some(_) => String::new(),
        };
        if !why.is_empty() {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. \
                 error: {why}"
            );
            errors.push(FieldError::forbidden(&Path::new("metadata.name"), detail));
        }
    } else if value > MAX_PRIORITY {
        let detail = format!("maximum allowed value of a user defined priority is {MAX_PRIORITY}");
        errors.push(FieldError::forbidden(&Path::new("value"), detail));
    }
    let policy = text(class, "preemptionPolicy");
    let known = ["PreemptLowerPriority", "Never"];
    if !policy.is_empty() && !known.contains(&policy) {
        let path = Path::new("preemptionPolicy");
        errors.push(FieldError::not_supported(&path, policy, &known));
    }
}

pub(crate) fn priority_class_update(class: &Value, old: &Value, errors: &mut Errors) {
    if integer(class, "value") != integer(old, "value") {
        let detail = "may not be changed in an update.";
        errors.push(FieldError::forbidden(&Path::new("value"), detail));
    }
    unchanged(class, old, "preemptionPolicy", &Path::ROOT, errors);
}

pub(crate) fn storage_class(class: &Value, errors: &mut Errors) {
    let provisioner = text(class, "provisioner");
    let path = Path::new("provisioner");
    if provisioner.is_empty() {
        errors.push(FieldError::required(&path, provisioner));
    } else {
        let complaints = names::qualified(&provisioner.to_lowercase());
        complain(complaints, provisioner, &path, errors);
    }
    for (field, known) in [
        ("reclaimPolicy", ["Delete", "Retain"]),
        ("volumeBindingMode", ["Immediate", "WaitForFirstConsumer"]),
    ] {
        let value = text(class, field);
        if !known.contains(&value) {
            errors.push(FieldError::not_supported(&Path::new(field), value, &known));
        }
    }
}

pub(crate) fn storage_class_update(class: &Value, old: &Value, errors: &mut Errors) {
    for field in ["parameters", "provisioner"] {
        if class[field] != old[field] {
            let detail = format!("updates to {field} are forbidden.");
            errors.push(FieldError::forbidden(&Path::new(field), detail));
        }
    }
    for field in ["reclaimPolicy", "volumeBindingMode"] {
        unchanged(class, old, field, &Path::ROOT, errors);
    }
}
