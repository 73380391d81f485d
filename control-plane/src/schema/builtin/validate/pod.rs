//! Pods, and templates of pods.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::affinity;
use super::check::{Errors, complain, is_set, items, one_of, text, texts};
use super::container::{Scope, containers, init_containers};
use crate::schema::{FieldError, Path, metadata, names};
use crate::work::is_late;

pub(crate) fn pod(pod: &Value, errors: &mut Errors) {
    spec(&pod["spec"], &Path::new("spec"), errors);
}

/// Checks a template of pods.
pub(crate) fn template(template: &Value, path: &Path<'_>, errors: &mut Errors) {
    let of_template = &template["metadata"];
    metadata::labels(&of_template["labels"], &path.field("labels"), errors);
    metadata::annotations(
        &of_template["annotations"],
        &path.field("annotations"),
        errors,
    );
    spec(&template["spec"], &path.field("spec"), errors);
}

fn spec(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut scope = Scope {
        volumes: volumes(&spec["volumes"], &path.field("volumes"), errors),
        names: BTreeSet::new(),
    };
    containers(
        &spec["containers"],
        &mut scope,
        &path.field("containers"),
        errors,
    );
    let list = &spec["initContainers"];
    init_containers(list, &mut scope, &path.field("initContainers"), errors);
    let policies = ["Always", "OnFailure", "Never"];
    one_of(spec, "restartPolicy", &policies, path, errors);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(spec, "dnsPolicy", &policies, path, errors);
    metadata::labels(&spec["nodeSelector"], &path.field("nodeSelector"), errors);
    for (field, rule) in [
        (
            "serviceAccountName",
            names::subdomain as fn(&str) -> Vec<String>,
        ),
        ("nodeName", names::subdomain),
        ("hostname", names::label),
        ("subdomain", names::label),
        ("priorityClassName", names::subdomain),
        ("runtimeClassName", names::subdomain),
    ] {
        let name = text(spec, field);
        if !name.is_empty() {
            complain(rule(name), name, &path.field(field), errors);
        }
    }
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline
        .as_i64()
        .is_some_and(|seconds| !(1..=i64::from(i32::MAX)).contains(&seconds))
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        let path = path.field("activeDeadlineSeconds");
        errors.push(FieldError::invalid(&path, deadline.clone(), detail));
    }
    scheduling_gates(
        &spec["schedulingGates"],
        &path.field("schedulingGates"),
        errors,
    );
    affinity::check(&spec["affinity"], &path.field("affinity"), errors);
    tolerations(&spec["tolerations"], &path.field("tolerations"), errors);
    spread(
        &spec["topologySpreadConstraints"],
        &path.field("topologySpreadConstraints"),
        errors,
    );
}

/// Checks the volumes and returns the names of those that are good.
fn volumes<'a>(list: &'a Value, path: &Path<'_>, errors: &mut Errors) -> BTreeSet<&'a str> {
    let mut good = BTreeSet::new();
    for (index, volume) in items(list) {
        let path = path.index(index);
        let before = errors.len();
        let fields = volume.as_object().into_iter().flat_map(Map::iter);
        let sources = fields.filter(|(name, value)| *name != "name" && !value.is_null());
        let mut sources = sources.map(|(name, _)| name);
        if sources.next().is_none() {
            errors.push(FieldError::required(&path, "must specify a volume type"));
        }
        for source in sources {
            let detail = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(&path.field(source), detail));
        }
        source_names(volume, &path, errors);
        let name = text(volume, "name");
        let path_of_name = path.field("name");
        if name.is_empty() {
            errors.push(FieldError::required(&path_of_name, ""));
        } else {
            complain(names::label(name), name, &path_of_name, errors);
        }
        if good.contains(name) {
            errors.push(FieldError::duplicate(&path_of_name, name));
        }
        if errors.len() == before {
            good.insert(name);
        }
    }
    good
}

/// What a volume is made of has a name.
fn source_names(volume: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (source, field) in [
        ("secret", "secretName"),
        ("configMap", "name"),
        ("persistentVolumeClaim", "claimName"),
        ("hostPath", "path"),
    ] {
        let source_value = &volume[source];
        if !source_value.is_null() && text(source_value, field).is_empty() {
            errors.push(FieldError::required(&path.field(source).field(field), ""));
        }
    }
}

fn scheduling_gates(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, gate) in items(list) {
        let (name, path) = (text(gate, "name"), path.index(index));
        complain(names::qualified(name), name, &path, errors);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&path, name));
        }
    }
}

fn tolerations(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (index, toleration) in items(list) {
        let path = path.index(index);
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        if !key.is_empty() {
            complain(names::qualified(key), key, &path.field("key"), errors);
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all \
                          values and all keys\"";
            errors.push(FieldError::invalid(
                &path.field("operator"),
                operator,
                detail,
            ));
        }
        let effect = text(toleration, "effect");
        if !toleration["tolerationSeconds"].is_null() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(&path.field("effect"), effect, detail));
        }
        let value = text(toleration, "value");
        match operator {
            "Equal" | "" => {
                let complaints = names::label_value(value);
                if !complaints.is_empty() {
                    let detail = complaints.join(";");
                    errors.push(FieldError::invalid(&path.field("operator"), value, detail));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(&path.field("operator"), value, detail));
            }
            "Exists" => {}
            operator => {
                let known = ["Equal", "Exists"];
                errors.push(FieldError::not_supported(
                    &path.field("operator"),
                    operator,
                    &known,
                ));
            }
        }
        let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        if !effect.is_empty() && !known.contains(&effect) {
            errors.push(FieldError::not_supported(
                &path.field("effect"),
                effect,
                &known,
            ));
        }
    }
}

fn spread(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (index, constraint) in items(list) {
        let path = path.index(index);
        let skew = constraint["maxSkew"].as_i64().unwrap_or_default();
        if skew <= 0 {
            errors.push(FieldError::invalid(
                &path.field("maxSkew"),
                skew,
                "must be greater than zero",
            ));
        }
        let key = text(constraint, "topologyKey");
        if key.is_empty() {
            let detail = "can not be empty";
            errors.push(FieldError::required(&path.field("topologyKey"), detail));
        } else {
            complain(
                names::qualified(key),
                key,
                &path.field("topologyKey"),
                errors,
            );
        }
        let action = text(constraint, "whenUnsatisfiable");
        let known = ["DoNotSchedule", "ScheduleAnyway"];
        if !known.contains(&action) {
            let path = path.field("whenUnsatisfiable");
            errors.push(FieldError::not_supported(&path, action, &known));
        }
    }
}

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,\
                         `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                         existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to \
                         be set to 1 if it was previously negative)";

/// Little of a pod can be changed.
pub(crate) fn pod_update(pod: &Value, old: &Value, errors: &mut Errors) {
    let (new, old) = (&pod["spec"], &old["spec"]);
    let path = Path::new("spec");
    for field in ["containers", "initContainers"] {
        let count = |spec: &Value| items(&spec[field]).count();
        if count(new) != count(old) {
            let detail = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(&path.field(field), detail));
            return;
        }
    }
    if !deadline_update(new, old, &path, errors) {
        return;
    }
    let added_only = items(&old["tolerations"]).all(|(_, toleration)| {
        is_late(toleration)
            || items(&new["tolerations"]).any(|(_, new)| is_same_toleration(new, toleration))
    });
    if !added_only {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(&path.field("tolerations"), detail));
    }
    let gates = |spec: &Value| -> BTreeSet<String> {
        let gates = items(&spec["schedulingGates"]);
        gates
            .map(|(_, gate)| text(gate, "name").to_string())
            .collect()
    };
    if !gates(new).is_subset(&gates(old)) {
        let detail = "only deletion is allowed, but found new scheduling gate";
        errors.push(FieldError::forbidden(
            &path.field("schedulingGates"),
            detail,
        ));
    }
    if new == old || munged(new, old) == munged(old, old) {
        return;
    }
    let detail = format!("pod updates may not change fields other than {UPDATABLE}\n");
    errors.push(FieldError::forbidden(&path, detail));
}

fn is_same_toleration(new: &Value, old: &Value) -> bool {
    ["key", "operator", "value", "effect"]
        .into_iter()
        .all(|field| new[field] == old[field])
}

/// A deadline can only come nearer. Says whether to go on.
fn deadline_update(new: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) -> bool {
    let path = path.field("activeDeadlineSeconds");
    let field = "activeDeadlineSeconds";
    let (new, old) = (new[field].as_i64(), old[field].as_i64());
    match (new, old) {
        (Some(new), Some(old)) if old < new => {
            let detail = "must be less than or equal to previous value";
            errors.push(FieldError::invalid(&path, new, detail));
            false
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(&path, Value::Null, detail));
            true
        }
        _ => true,
    }
}

/// The specification without what may change.
fn munged(spec: &Value, old: &Value) -> Value {
    let mut spec = spec.clone();
    let Value::Object(fields) = &mut spec else {
        return spec;
    };
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        fields.remove(field);
    }
    // While a pod waits at a gate, it can still be told where not to go.
    if is_set(&old["schedulingGates"]) {
        let has = |key: &String, value: &Value| fields["nodeSelector"].get(key) == Some(value);
        let selector = old["nodeSelector"]
            .as_object()
            .into_iter()
            .flat_map(Map::iter);
        let is_narrower = fields.contains_key("nodeSelector")
            && selector.into_iter().all(|(key, value)| has(key, value));
        if is_narrower || !is_set(&old["nodeSelector"]) {
            fields.remove("nodeSelector");
        }
    }
    for list in ["containers", "initContainers"] {
        if let Some(Value::Array(containers)) = fields.get_mut(list) {
            for container in containers {
                if let Value::Object(container) = container {
                    container.remove("image");
                }
            }
        }
    }
    spec
}

/// The finalizers of a namespace are names.
pub(super) fn finalizers(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    for name in texts(list) {
        complain(names::qualified(name), name, path, errors);
    }
}
