//! What runs pods for as long as it is there.

use serde_json::{Map, Value};

use super::check::{
    Errors, amount_or_percent, at_most_all, complain, integer, is_set, is_zero, not_negative, text,
    unchanged,
};
use super::{pod, selector};
use crate::schema::{ErrorKind, FieldError, Path, metadata, names, render};

pub(crate) fn deployment(deployment: &Value, errors: &mut Errors) {
    let (spec, path) = (&deployment["spec"], Path::new("spec"));
    not_negative(spec, "replicas", &path, errors);
    selected_template(spec, "ReplicaSet", "deployment", &path, errors);
    strategy(&spec["strategy"], &path.field("strategy"), errors);
    for field in [
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ] {
        not_negative(spec, field, &path, errors);
    }
    let deadline = &spec["progressDeadlineSeconds"];
    if deadline
        .as_i64()
        .is_some_and(|deadline| deadline <= integer(spec, "minReadySeconds"))
    {
        let path = path.field("progressDeadlineSeconds");
        let detail = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid(&path, deadline.clone(), detail));
    }
    deployment_status(&deployment["status"], &Path::new("status"), errors);
}

fn deployment_status(status: &Value, path: &Path<'_>, errors: &mut Errors) {
    for field in [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "collisionCount",
    ] {
        not_negative(status, field, path, errors);
    }
    for (field, limit, name) in [
        ("updatedReplicas", "replicas", "status.replicas"),
        ("readyReplicas", "replicas", "status.replicas"),
        ("availableReplicas", "replicas", "status.replicas"),
        ("availableReplicas", "readyReplicas", "readyReplicas"),
    ] {
        let number = integer(status, field);
        if number > integer(status, limit) {
            let detail = format!("cannot be greater than {name}");
            errors.push(FieldError::invalid(&path.field(field), number, detail));
        }
    }
}

fn strategy(strategy: &Value, path: &Path<'_>, errors: &mut Errors) {
    let update = &strategy["rollingUpdate"];
    let path_of_update = path.field("rollingUpdate");
    match text(strategy, "type") {
        "Recreate" if !update.is_null() => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden(&path_of_update, detail));
        }
        "Recreate" => {}
        "RollingUpdate" if update.is_null() => {
            let detail = "this should be defaulted and never be nil";
            errors.push(FieldError::required(&path_of_update, detail));
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (&update["maxUnavailable"], &update["maxSurge"]);
            let path_of_unavailable = path_of_update.field("maxUnavailable");
            amount_or_percent(unavailable, &path_of_unavailable, errors);
            amount_or_percent(surge, &path_of_update.field("maxSurge"), errors);
            if is_zero(unavailable) && is_zero(surge) {
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.push(FieldError::invalid(
                    &path_of_unavailable,
                    unavailable.clone(),
                    detail,
                ));
            }
            at_most_all(unavailable, &path_of_unavailable, errors);
        }
        _ => {
            let known = ["Recreate", "RollingUpdate"];
            errors.push(unknown_strategy(strategy, &known, path));
        }
    }
}

/// A strategy is shown as the server keeps it.
fn unknown_strategy(strategy: &Value, known: &[&str], path: &Path<'_>) -> FieldError {
    let error = FieldError::not_supported(path, "", known);
    let (shown, detail) = (shown_strategy(strategy), error.detail);
    FieldError::worded(ErrorKind::NotSupported, path, format!("{shown}: {detail}"))
}

fn shown_strategy(strategy: &Value) -> String {
    let (name, update) = (&strategy["type"], &strategy["rollingUpdate"]);
    let (name, update) = (render::json(name), render::json(update));
    format!(r#"{{"Type":{name},"RollingUpdate":{update}}}"#)
}

pub(crate) fn replica_set(set: &Value, errors: &mut Errors) {
    let (spec, path) = (&set["spec"], Path::new("spec"));
    not_negative(spec, "replicas", &path, errors);
    not_negative(spec, "minReadySeconds", &path, errors);
    // The real server says "deployment" here too.
    selected_template(spec, "ReplicaSet", "deployment", &path, errors);
}

pub(crate) fn replication_controller(controller: &Value, errors: &mut Errors) {
    let (spec, path) = (&controller["spec"], Path::new("spec"));
    not_negative(spec, "minReadySeconds", &path, errors);
    if !is_set(&spec["selector"]) {
        errors.push(FieldError::required(&path.field("selector"), ""));
    }
    not_negative(spec, "replicas", &path, errors);
    let (template, path) = (&spec["template"], path.field("template"));
    if template.is_null() {
        errors.push(FieldError::required(&path, ""));
        return;
    }
    let mut selector = Map::new();
    selector.insert("matchLabels".to_string(), spec["selector"].clone());
    labels_match(&Value::Object(selector), template, &path, errors);
    pod::template(template, &path, errors);
    always_restarts(template, "ReplicationController", &path, errors);
}

pub(crate) fn daemon_set(set: &Value, errors: &mut Errors) {
    let (spec, path) = (&set["spec"], Path::new("spec"));
    let selector = &spec["selector"];
    selector::check(selector, &path.field("selector"), errors);
    let path_of_template = path.field("template");
    if selector::is_usable(selector) {
        labels_match(selector, &spec["template"], &path_of_template, errors);
    }
    if !selector.is_null() && selector::is_empty(selector) {
        let detail = "empty selector is invalid for daemonset";
        errors.push(FieldError::invalid(
            &path.field("selector"),
            selector.clone(),
            detail,
        ));
    }
    pod::template(&spec["template"], &path_of_template, errors);
    always_restarts(&spec["template"], "DaemonSet", &path_of_template, errors);
    not_negative(spec, "minReadySeconds", &path, errors);
    daemon_strategy(
        &spec["updateStrategy"],
        &path.field("updateStrategy"),
        errors,
    );
    not_negative(spec, "revisionHistoryLimit", &path, errors);
}

fn daemon_strategy(strategy: &Value, path: &Path<'_>, errors: &mut Errors) {
    let path_of_update = path.field("rollingUpdate");
    match text(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" if strategy["rollingUpdate"].is_null() => {
            errors.push(FieldError::required(&path_of_update, ""));
        }
        "RollingUpdate" => {
            let update = &strategy["rollingUpdate"];
            let fields = ["maxUnavailable", "maxSurge"];
            for field in fields {
                amount_or_percent(&update[field], &path_of_update.field(field), errors);
            }
            for field in fields {
                at_most_all(&update[field], &path_of_update.field(field), errors);
            }
            let [unavailable, surge] = fields.map(|field| !is_zero(&update[field]));
            if unavailable && surge {
                let detail = "may not be set when maxUnavailable is non-zero";
                let path = path_of_update.field("maxSurge");
                errors.push(FieldError::invalid(
                    &path,
                    update["maxSurge"].clone(),
                    detail,
                ));
            } else if !unavailable && !surge {
                let detail = "cannot be 0 when maxSurge is 0";
                errors.push(FieldError::required(
                    &path_of_update.field("maxUnavailable"),
                    detail,
                ));
            }
        }
        _ => {
            let known = ["RollingUpdate", "OnDelete"];
            errors.push(unknown_strategy(strategy, &known, path));
        }
    }
}

pub(crate) fn stateful_set(set: &Value, errors: &mut Errors) {
    let (spec, path) = (&set["spec"], Path::new("spec"));
    match text(spec, "podManagementPolicy") {
        "" => errors.push(FieldError::required(&path.field("podManagementPolicy"), "")),
        "OrderedReady" | "Parallel" => {}
        policy => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.push(FieldError::invalid(
                &path.field("podManagementPolicy"),
                policy,
                detail,
            ));
        }
    }
    stateful_strategy(
        &spec["updateStrategy"],
        &path.field("updateStrategy"),
        errors,
    );
    not_negative(spec, "replicas", &path, errors);
    not_negative(spec, "minReadySeconds", &path, errors);
    not_negative(&spec["ordinals"], "start", &path.field("ordinals"), errors);
    let service = text(spec, "serviceName");
    if !service.is_empty() {
        complain(
            names::label(service),
            service,
            &path.field("serviceName"),
            errors,
        );
    }
    // The volumes of claims are there for every pod.
    let mut spec = spec.clone();
    add_claims(&mut spec);
    selected_template(&spec, "StatefulSet", "statefulset", &path, errors);
}

fn stateful_strategy(strategy: &Value, path: &Path<'_>, errors: &mut Errors) {
    let update = &strategy["rollingUpdate"];
    match text(strategy, "type") {
        "" => errors.push(FieldError::required(path, "")),
        "OnDelete" if !update.is_null() => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            let path = path.field("rollingUpdate");
            errors.push(FieldError::invalid(&path, update.clone(), detail));
        }
        "OnDelete" => {}
        "RollingUpdate" => not_negative(update, "partition", &path.field("rollingUpdate"), errors),
        _ => {
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            let words = format!("{}: {detail}", shown_strategy(strategy));
            errors.push(FieldError::worded(ErrorKind::Invalid, path, words));
        }
    }
}

fn add_claims(spec: &mut Value) {
    let claims = spec["volumeClaimTemplates"]
        .as_array()
        .into_iter()
        .flatten();
    let claimed: Vec<Value> = claims
        .map(|claim| claim["metadata"]["name"].clone())
        .filter(Value::is_string)
        .map(|name| serde_json::json!({"name": name, "emptyDir": {}}))
        .collect();
    if claimed.is_empty() {
        return;
    }
    if let Some(Value::Object(pod)) = spec.pointer_mut("/template/spec") {
        let volumes = pod
            .entry("volumes")
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(volumes) = volumes {
            volumes.retain(|volume| claimed.iter().all(|claim| claim["name"] != volume["name"]));
            volumes.extend(claimed);
        }
    }
}

/// Checks a selector and the template that it must match.
fn selected_template(spec: &Value, kind: &str, word: &str, path: &Path<'_>, errors: &mut Errors) {
    let (selector, path_of_selector) = (&spec["selector"], path.field("selector"));
    if selector.is_null() {
        errors.push(FieldError::required(&path_of_selector, ""));
    } else {
        selector::check(selector, &path_of_selector, errors);
        if selector::is_empty(selector) {
            let detail = format!("empty selector is invalid for {word}");
            errors.push(FieldError::invalid(
                &path_of_selector,
                selector.clone(),
                detail,
            ));
        }
    }
    let (template, path) = (&spec["template"], path.field("template"));
    if selector::is_usable(selector) {
        if selector.is_null() || !selector::is_empty(selector) {
            labels_match(selector, template, &path, errors);
        }
        pod::template(template, &path, errors);
        always_restarts(template, kind, &path, errors);
    } else {
        let detail = if kind == "StatefulSet" {
            ""
        } else {
            "invalid label selector"
        };
        errors.push(FieldError::invalid(
            &path_of_selector,
            selector.clone(),
            detail,
        ));
    }
}

fn labels_match(selector: &Value, template: &Value, path: &Path<'_>, errors: &mut Errors) {
    let labels = &template["metadata"]["labels"];
    if selector.is_null() || !selector::matches(selector, labels) {
        let detail = "`selector` does not match template `labels`";
        let metadata = path.field("metadata");
        errors.push(FieldError::invalid(
            &metadata.field("labels"),
            labels.clone(),
            detail,
        ));
    }
}

fn always_restarts(template: &Value, kind: &str, path: &Path<'_>, errors: &mut Errors) {
    let (spec, path) = (&template["spec"], path.field("spec"));
    let policy = text(spec, "restartPolicy");
    if policy != "Always" {
        let path = path.field("restartPolicy");
        errors.push(FieldError::not_supported(&path, policy, &["Always"]));
    }
    if !spec["activeDeadlineSeconds"].is_null() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden(
            &path.field("activeDeadlineSeconds"),
            detail,
        ));
    }
}

/// The selector stays as it is.
pub(crate) fn selector_update(object: &Value, old: &Value, errors: &mut Errors) {
    unchanged(
        &object["spec"],
        &old["spec"],
        "selector",
        &Path::new("spec"),
        errors,
    );
}

pub(crate) fn stateful_set_update(set: &Value, old: &Value, errors: &mut Errors) {
    const UPDATABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let fixed = |spec: &Value| -> Map<String, Value> {
        let mut fixed = spec.as_object().cloned().unwrap_or_default();
        fixed.retain(|name, _| !UPDATABLE.contains(&name.as_str()));
        fixed
    };
    if fixed(&set["spec"]) != fixed(&old["spec"]) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                      'template', 'updateStrategy', 'revisionHistoryLimit', \
                      'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden(&Path::new("spec"), detail));
    }
}

/// A `ControllerRevision`.
pub(crate) fn revision(revision: &Value, errors: &mut Errors) {
    if revision["data"].is_null() {
        errors.push(FieldError::required(
            &Path::new("data"),
            "data is mandatory",
        ));
    }
    not_negative(revision, "revision", &Path::ROOT, errors);
}

pub(crate) fn revision_update(revision: &Value, old: &Value, errors: &mut Errors) {
    if revision["data"] != old["data"] {
        errors.push(metadata::immutable(
            &Path::new("data"),
            revision["data"].clone(),
        ));
    }
}
