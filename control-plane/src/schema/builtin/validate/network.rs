//! What leads to services and pods, and what keeps others out.

use std::net::IpAddr;

use serde_json::Value;

use super::check::{Errors, complain, is_set, items, port, text, texts};
use super::selector;
use crate::schema::metadata::immutable;
use crate::schema::{FieldError, Path, names};

pub(crate) fn network_policy(policy: &Value, errors: &mut Errors) {
    let (spec, path) = (&policy["spec"], Path::new("spec"));
    selector::check(&spec["podSelector"], &path.field("podSelector"), errors);
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        let path = path.field(list);
        for (index, rule) in items(&spec[list]) {
            let path = path.index(index);
            let (ports, peers_path) = (path.field("ports"), path.field(peers));
            for (index, port) in items(&rule["ports"]) {
                policy_port(port, &ports.index(index), errors);
            }
            for (index, peer) in items(&rule[peers]) {
                policy_peer(peer, &peers_path.index(index), errors);
            }
        }
    }
    let types = texts(&spec["policyTypes"]);
    let path = path.field("policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        let shown = spec["policyTypes"].clone();
        errors.push(FieldError::invalid(&path, shown, detail));
        return;
    }
    for (index, name) in types.into_iter().enumerate() {
        let known = ["Ingress", "Egress"];
        if !known.contains(&name) {
            errors.push(FieldError::not_supported(&path.index(index), name, &known));
        }
    }
}

fn policy_port(policy_port: &Value, path: &Path<'_>, errors: &mut Errors) {
    let protocol = text(policy_port, "protocol");
    let known = ["TCP", "UDP", "SCTP"];
    if !protocol.is_empty() && !known.contains(&protocol) {
        errors.push(FieldError::not_supported(
            &path.field("protocol"),
            protocol,
            &known,
        ));
    }
    let number = &policy_port["port"];
    if !number.is_null() {
        port(number, &path.field("port"), errors);
    }
}

fn policy_peer(peer: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut count = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if !peer[field].is_null() {
            count += 1;
            selector::check(&peer[field], &path.field(field), errors);
        }
    }
    let block = &peer["ipBlock"];
    if !block.is_null() {
        if text(block, "cidr").is_empty() {
            let path = path.field("ipBlock");
            errors.push(FieldError::required(&path.field("cidr"), ""));
        }
        if count > 0 {
            let detail = "may not specify both ipBlock and another peer";
            errors.push(FieldError::forbidden(path, detail));
        }
        count += 1;
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    }
}

pub(crate) fn ingress(ingress: &Value, errors: &mut Errors) {
    let (spec, path) = (&ingress["spec"], Path::new("spec"));
    let backend = &spec["defaultBackend"];
    if !is_set(&spec["rules"]) && backend.is_null() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(&path, spec["rules"].clone(), detail));
    }
    if !backend.is_null() {
        check_backend(backend, &path.field("defaultBackend"), errors);
    }
    let path_of_rules = path.field("rules");
    for (index, rule) in items(&spec["rules"]) {
        check_rule(rule, &path_of_rules.index(index), errors);
    }
    let class = text(spec, "ingressClassName");
    if !class.is_empty() {
        complain(
            names::subdomain(class),
            class,
            &path.field("ingressClassName"),
            errors,
        );
    }
}

fn check_rule(rule: &Value, path: &Path<'_>, errors: &mut Errors) {
    let host = text(rule, "host");
    let path_of_host = path.field("host");
    if host.parse::<IpAddr>().is_ok() {
        let detail = "must be a DNS name, not an IP address";
        errors.push(FieldError::invalid(&path_of_host, host, detail));
    } else if host.contains('*') {
        complain(names::wildcard_subdomain(host), host, &path_of_host, errors);
    } else if !host.is_empty() {
        complain(names::subdomain(host), host, &path_of_host, errors);
    }
    let http = &rule["http"];
    if http.is_null() {
        return;
    }
    let path = path.field("http");
    let path = path.field("paths");
    if !is_set(&http["paths"]) {
        errors.push(FieldError::required(&path, ""));
    }
    for (index, entry) in items(&http["paths"]) {
        let path = path.index(index);
        let route = text(entry, "path");
        let known = ["Exact", "ImplementationSpecific", "Prefix"];
        match text(entry, "pathType") {
            "" => errors.push(FieldError::required(
                &path.field("pathType"),
                "pathType must be specified",
            )),
            kind if !known.contains(&kind) => {
                errors.push(FieldError::not_supported(
                    &path.field("pathType"),
                    kind,
                    &known,
                ));
            }
            kind if !(route.starts_with('/') || (route.is_empty() && kind == known[1])) => {
                let detail = "must be an absolute path";
                errors.push(FieldError::invalid(&path.field("path"), route, detail));
            }
            _ => {}
        }
        check_backend(&entry["backend"], &path.field("backend"), errors);
    }
}

fn check_backend(backend: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    match (service.is_null(), resource.is_null()) {
        (false, false) => {
            let detail = "cannot set both resource and service backends";
            errors.push(FieldError::invalid(path, "", detail));
        }
        (true, true) => {
            let detail = "resource or service backend is required";
            errors.push(FieldError::invalid(path, "", detail));
        }
        (true, false) => {}
        (false, true) => {
            let path_of_service = path.field("service");
            let (name, path_of_name) = (text(service, "name"), path_of_service.field("name"));
            if name.is_empty() {
                errors.push(FieldError::required(&path_of_name, ""));
            } else {
                complain(names::label_1035(name), name, &path_of_name, errors);
            }
            let (by_name, number) = (text(&service["port"], "name"), &service["port"]["number"]);
            if by_name.is_empty() && number.as_i64().unwrap_or_default() == 0 {
                let detail = "port name or number is required";
                errors.push(FieldError::required(path, detail));
            }
        }
    }
}

pub(crate) fn endpoint_slice(slice: &Value, errors: &mut Errors) {
    let kind = text(slice, "addressType");
    let path = Path::new("addressType");
    let known = ["FQDN", "IPv4", "IPv6"];
    if kind.is_empty() {
        errors.push(FieldError::required(&path, ""));
    } else if !known.contains(&kind) {
        errors.push(FieldError::not_supported(&path, kind, &known));
    }
    let path = Path::new("endpoints");
    for (index, endpoint) in items(&slice["endpoints"]) {
        let path = path.index(index);
        if !is_set(&endpoint["addresses"]) {
            let detail = "must contain at least 1 address";
            errors.push(FieldError::required(&path.field("addresses"), detail));
        }
    }
}

pub(crate) fn endpoint_slice_update(slice: &Value, old: &Value, errors: &mut Errors) {
    if slice["addressType"] != old["addressType"] {
        let path = Path::new("addressType");
        errors.push(immutable(&path, slice["addressType"].clone()));
    }
}
