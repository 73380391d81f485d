//! Containers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::{
    Errors, complain, integer, is_set, items, not_negative, one_of, port, port_number, text,
};
use super::resources;
use crate::schema::{FieldError, Path, names};

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// What containers of a pod may refer to, and the names that they have taken.
pub(super) struct Scope<'a> {
    pub volumes: BTreeSet<&'a str>,
    pub names: BTreeSet<&'a str>,
}

/// Checks the containers of a pod.
pub(super) fn containers<'a>(
    list: &'a Value,
    scope: &mut Scope<'a>,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    if !is_set(list) {
        errors.push(FieldError::required(path, ""));
        return;
    }
    for (index, container) in items(list) {
        let path = path.index(index);
        common(container, scope, &path, errors);
        name_once(container, scope, &path, errors);
        for field in PROBES {
            probe(&container[field], field, &path, errors);
        }
        lifecycle(&container["lifecycle"], &path, errors);
    }
    host_ports(list, path, errors);
}

/// Checks the containers that run before the others.
pub(super) fn init_containers<'a>(
    list: &'a Value,
    scope: &mut Scope<'a>,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    for (index, container) in items(list) {
        let path = path.index(index);
        common(container, scope, &path, errors);
        let stays = text(container, "restartPolicy") == "Always";
        name_once(container, scope, &path, errors);
        for field in PROBES.into_iter().chain(["lifecycle"]) {
            if stays && field != "lifecycle" {
                probe(&container[field], field, &path, errors);
            } else if !stays && !container[field].is_null() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                errors.push(FieldError::forbidden(&path.field(field), detail));
            }
        }
    }
}

fn name_once<'a>(
    container: &'a Value,
    scope: &mut Scope<'a>,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    let name = text(container, "name");
    if !scope.names.insert(name) {
        errors.push(FieldError::duplicate(&path.field("name"), name));
    }
}

fn common(container: &Value, scope: &Scope<'_>, path: &Path<'_>, errors: &mut Errors) {
    let name = text(container, "name");
    if name.is_empty() {
        errors.push(FieldError::required(&path.field("name"), ""));
    } else {
        complain(names::label(name), name, &path.field("name"), errors);
    }
    if text(container, "image").is_empty() {
        errors.push(FieldError::required(&path.field("image"), ""));
    }
    let policies = ["File", "FallbackToLogsOnError"];
    one_of(
        container,
        "terminationMessagePolicy",
        &policies,
        path,
        errors,
    );
    ports(&container["ports"], &path.field("ports"), errors);
    variables(&container["env"], &path.field("env"), errors);
    mounts(
        &container["volumeMounts"],
        scope,
        &path.field("volumeMounts"),
        errors,
    );
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(container, "imagePullPolicy", &policies, path, errors);
    resources::check(&container["resources"], &path.field("resources"), errors);
}

fn ports(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, port) in items(list) {
        let path = path.index(index);
        let name = text(port, "name");
        if !name.is_empty() {
            let complaints = names::port(name);
            if complaints.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(&path.field("name"), name));
            }
            complain(complaints, name, &path.field("name"), errors);
        }
        match integer(port, "containerPort") {
            0 => errors.push(FieldError::required(&path.field("containerPort"), "")),
            number => port_number(number, &path.field("containerPort"), errors),
        }
        match integer(port, "hostPort") {
            0 => {}
            number => port_number(number, &path.field("hostPort"), errors),
        }
        one_of(port, "protocol", &["SCTP", "TCP", "UDP"], &path, errors);
    }
}

/// A port of the node can be taken once.
fn host_ports(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, container) in items(list) {
        let path = path.index(index);
        for (at, port) in items(&container["ports"]) {
            let number = integer(port, "hostPort");
            let address = text(port, "hostIP");
            let key = format!("{}/{address}/{number}", text(port, "protocol"));
            if number != 0 && !seen.insert(key.clone()) {
                let (ports, field) = (path.field("ports"), "hostPort");
                errors.push(FieldError::duplicate(&ports.index(at).field(field), key));
            }
        }
    }
}

fn variables(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (index, variable) in items(list) {
        let path = path.index(index);
        let name = text(variable, "name");
        if name.is_empty() {
            errors.push(FieldError::required(&path.field("name"), ""));
        } else {
            complain(names::variable(name), name, &path.field("name"), errors);
        }
        let from = &variable["valueFrom"];
        if from.is_null() {
            continue;
        }
        let path = path.field("valueFrom");
        let known = [
            "fieldRef",
            "resourceFieldRef",
            "configMapKeyRef",
            "secretKeyRef",
            "fileKeyRef",
        ];
        let sources = known
            .into_iter()
            .filter(|field| !from[*field].is_null())
            .count();
        let detail = match sources {
            0 => {
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or \
                 `secretKeyRef`"
            }
            _ if !text(variable, "value").is_empty() => {
                "may not be specified when `value` is not empty"
            }
            1 => "",
            _ => "may not have more than one field specified at a time",
        };
        for field in ["configMapKeyRef", "secretKeyRef"] {
            key_reference(&from[field], &path.field(field), errors);
        }
        if !detail.is_empty() {
            errors.push(FieldError::invalid(&path, "", detail));
        }
    }
}

fn key_reference(reference: &Value, path: &Path<'_>, errors: &mut Errors) {
    if reference.is_null() {
        return;
    }
    let key = text(reference, "key");
    if key.is_empty() {
        errors.push(FieldError::required(&path.field("key"), ""));
    } else {
        complain(names::config_key(key), key, &path.field("key"), errors);
    }
}

fn mounts(list: &Value, scope: &Scope<'_>, path: &Path<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, mount) in items(list) {
        let path = path.index(index);
        let name = text(mount, "name");
        if name.is_empty() {
            errors.push(FieldError::required(&path.field("name"), ""));
        }
        if !scope.volumes.contains(name) {
            errors.push(FieldError::not_found(&path.field("name"), name));
        }
        let place = text(mount, "mountPath");
        if place.is_empty() {
            errors.push(FieldError::required(&path.field("mountPath"), ""));
        }
        if !seen.insert(place) {
            errors.push(FieldError::invalid(
                &path.field("mountPath"),
                place,
                "must be unique",
            ));
        }
    }
}

fn probe(probe: &Value, field: &str, path: &Path<'_>, errors: &mut Errors) {
    if probe.is_null() {
        return;
    }
    let path = path.field(field);
    handler(
        probe,
        &["exec", "httpGet", "tcpSocket", "grpc"],
        &path,
        errors,
    );
    for number in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        not_negative(probe, number, &path, errors);
    }
    let grace = &probe["terminationGracePeriodSeconds"];
    let path_of_grace = path.field("terminationGracePeriodSeconds");
    if field == "readinessProbe" {
        if !grace.is_null() {
            let detail = "must not be set for readinessProbes";
            errors.push(FieldError::invalid(&path_of_grace, grace.clone(), detail));
        }
        return;
    }
    if grace.as_i64().is_some_and(|grace| grace <= 0) {
        errors.push(FieldError::invalid(
            &path_of_grace,
            grace.clone(),
            "must be greater than 0",
        ));
    }
    if integer(probe, "successThreshold") != 1 {
        let path = path.field("successThreshold");
        errors.push(FieldError::invalid(
            &path,
            integer(probe, "successThreshold"),
            "must be 1",
        ));
    }
}

fn lifecycle(lifecycle: &Value, path: &Path<'_>, errors: &mut Errors) {
    let path = path.field("lifecycle");
    for field in ["postStart", "preStop"] {
        let step = &lifecycle[field];
        if !step.is_null() {
            handler(
                step,
                &["exec", "httpGet", "tcpSocket", "sleep"],
                &path.field(field),
                errors,
            );
        }
    }
}

/// Something is done in exactly one way.
fn handler(handler: &Value, kinds: &[&str], path: &Path<'_>, errors: &mut Errors) {
    let mut found = kinds.iter().filter(|kind| !handler[**kind].is_null());
    match found.next() {
        None => errors.push(FieldError::required(path, "must specify a handler type")),
        Some(kind) => handle(kind, &handler[*kind], &path.field(kind), errors),
    }
    for kind in found {
        let detail = "may not specify more than 1 handler type";
        errors.push(FieldError::forbidden(&path.field(kind), detail));
    }
}

fn handle(kind: &str, action: &Value, path: &Path<'_>, errors: &mut Errors) {
    match kind {
        "exec" if !is_set(&action["command"]) => {
            errors.push(FieldError::required(&path.field("command"), ""));
        }
        "httpGet" => {
            port(&action["port"], &path.field("port"), errors);
            let scheme = text(action, "scheme");
            if !matches!(scheme, "HTTP" | "HTTPS") {
                let known = ["HTTP", "HTTPS"];
                errors.push(FieldError::not_supported(
                    &path.field("scheme"),
                    scheme,
                    &known,
                ));
            }
        }
        "tcpSocket" | "grpc" => port(&action["port"], &path.field("port"), errors),
        _ => {}
    }
}
