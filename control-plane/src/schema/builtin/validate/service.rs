//! Services.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::check::{
    Errors, complain, integer, is_set, items, one_of, port, port_number, text, texts,
};
use crate::schema::{ErrorKind, FieldError, Path, metadata, names, render};

pub(crate) fn service(service: &Value, errors: &mut Errors) {
    let (spec, path) = (&service["spec"], Path::new("spec"));
    let kind = text(spec, "type");
    let is_headless = text(spec, "clusterIP") == "None";
    if !is_set(&spec["ports"]) && !is_headless && kind != "ExternalName" {
        errors.push(FieldError::required(&path.field("ports"), ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            let path = path.field("clusterIPs");
            errors.push(FieldError::invalid(&path.index(0), "None", detail));
        }
        "ExternalName" => external_name(spec, &path, errors),
        _ => {}
    }
    let mut names = BTreeSet::new();
    let needs_name = items(&spec["ports"]).count() > 1;
    let path_of_ports = path.field("ports");
    for (index, port) in items(&spec["ports"]) {
        service_port(
            port,
            needs_name,
            &mut names,
            &path_of_ports.index(index),
            errors,
        );
    }
    metadata::labels(&spec["selector"], &path.field("selector"), errors);
    one_of(
        spec,
        "sessionAffinity",
        &["ClientIP", "None"],
        &path,
        errors,
    );
    let timeout = &spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"];
    if timeout
        .as_i64()
        .is_some_and(|seconds| !(1..=86_400).contains(&seconds))
    {
        let detail = "must be greater than 0 and less than 86400";
        let path = Path::new("spec.sessionAffinityConfig.clientIP.timeoutSeconds");
        errors.push(FieldError::invalid(&path, timeout.clone(), detail));
    }
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    one_of(spec, "type", &kinds, &path, errors);
    node_ports(spec, &path_of_ports, errors);
    if kind != "LoadBalancer" {
        for field in [
            "loadBalancerSourceRanges",
            "allocateLoadBalancerNodePorts",
            "loadBalancerClass",
        ] {
            if is_set(&spec[field]) {
                let detail = "may only be used when `type` is 'LoadBalancer'";
                let name = if field == "loadBalancerSourceRanges" {
                    "LoadBalancerSourceRanges"
                } else {
                    field
                };
                errors.push(FieldError::forbidden(&path.field(name), detail));
            }
        }
    }
    policies(spec, &path, errors);
}

fn external_name(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if is_set(&spec[field]) {
            let detail = "may not be set for ExternalName services";
            errors.push(FieldError::forbidden(&path.field(field), detail));
        }
    }
    let name = text(spec, "externalName");
    let plain = name.strip_suffix('.').unwrap_or(name);
    if plain.is_empty() {
        errors.push(FieldError::required(&path.field("externalName"), ""));
    } else {
        complain(
            names::subdomain(plain),
            plain,
            &path.field("externalName"),
            errors,
        );
    }
}

fn service_port<'a>(
    service_port: &'a Value,
    needs_name: bool,
    names: &mut BTreeSet<&'a str>,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    let name = text(service_port, "name");
    let path_of_name = path.field("name");
    if name.is_empty() {
        if needs_name {
            errors.push(FieldError::required(&path_of_name, ""));
        }
    } else {
        complain(names::label(name), name, &path_of_name, errors);
        if !names.insert(name) {
            errors.push(FieldError::duplicate(&path_of_name, name));
        }
    }
    port_number(integer(service_port, "port"), &path.field("port"), errors);
    one_of(
        service_port,
        "protocol",
        &["SCTP", "TCP", "UDP"],
        path,
        errors,
    );
    port(
        &service_port["targetPort"],
        &path.field("targetPort"),
        errors,
    );
}

/// No port is there twice, and ports of nodes only where they are used.
fn node_ports(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    if text(spec, "type") == "ClusterIP" {
        for (index, port) in items(&spec["ports"]) {
            if integer(port, "nodePort") != 0 {
                let detail = "may not be used when `type` is 'ClusterIP'";
                let path = path.index(index);
                errors.push(FieldError::forbidden(&path.field("nodePort"), detail));
            }
        }
    }
    let mut node_ports = BTreeSet::new();
    for (index, port) in items(&spec["ports"]) {
        let number = integer(port, "nodePort");
        if number != 0 && !node_ports.insert((text(port, "protocol"), number)) {
            let path = path.index(index);
            errors.push(FieldError::duplicate(&path.field("nodePort"), number));
        }
    }
    let mut ports = BTreeSet::new();
    for (index, port) in items(&spec["ports"]) {
        let (protocol, number) = (text(port, "protocol"), integer(port, "port"));
        if !ports.insert((protocol, number)) {
            let protocol = render::json(&protocol.into());
            let shown = format!(
                r#"{{"Name":"","Protocol":{protocol},"AppProtocol":null,"Port":{number},"TargetPort":0,"NodePort":0}}"#
            );
            let path = path.index(index);
            errors.push(FieldError::worded(ErrorKind::Duplicate, &path, shown));
        }
    }
}

fn policies(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let policy = text(spec, "externalTrafficPolicy");
    let path_of_policy = path.field("externalTrafficPolicy");
    let is_public = matches!(text(spec, "type"), "NodePort" | "LoadBalancer");
    let known = ["Cluster", "Local"];
    if !policy.is_empty() && !is_public && !is_set(&spec["externalIPs"]) {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid(&path_of_policy, policy, detail));
    } else if !policy.is_empty() && !known.contains(&policy) {
        errors.push(FieldError::not_supported(&path_of_policy, policy, &known));
    }
    let policy = text(spec, "internalTrafficPolicy");
    if !policy.is_empty() && !known.contains(&policy) {
        let path = path.field("internalTrafficPolicy");
        errors.push(FieldError::not_supported(&path, policy, &known));
    }
}

/// A service keeps its addresses, unless it gets another kind of name.
pub(crate) fn service_update(service: &Value, old: &Value, errors: &mut Errors) {
    let (new, old) = (&service["spec"], &old["spec"]);
    let is_named = |spec: &Value| text(spec, "type") == "ExternalName";
    let addresses = |spec: &Value| -> Vec<String> {
        let several = texts(&spec["clusterIPs"]);
        let one = vec![text(spec, "clusterIP")];
        let addresses = if several.is_empty() { one } else { several };
        let addresses = addresses.into_iter().filter(|address| !address.is_empty());
        addresses.map(str::to_string).collect()
    };
    if is_named(new) || is_named(old) {
        return;
    }
    let (addresses_now, addresses_before) = (addresses(new), addresses(old));
    let Some(first) = addresses_before.first() else {
        return;
    };
    let path = Path::new("spec.clusterIPs");
    let detail = match addresses_now.first() {
        None => "primary clusterIP can not be unset",
        Some(now) if now != first => "may not change once set",
        Some(_) => return,
    };
    let shown = json!(addresses_now);
    errors.push(FieldError::invalid(&path.index(0), shown, detail));
}
