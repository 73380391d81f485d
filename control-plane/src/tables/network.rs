//! Cells of services, endpoints and ingresses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cells::{none_if_empty, or, text_at};
use crate::meta::{items, number, strings, text};

// Services.

pub(super) fn service_address(service: &Value) -> Value {
    or(service, "/spec/clusterIPs/0", "<none>")
}

pub(super) fn service_external(service: &Value) -> Value {
    let mut external = strings(service, "/spec/externalIPs");
    match text(service, "/spec/type") {
        "ExternalName" => text_at(service, "/spec/externalName"),
        "LoadBalancer" => {
            let mut addresses: Vec<String> = balancer(service).into_iter().collect();
            addresses.append(&mut external);
            if addresses.is_empty() {
                "<pending>".into()
            } else {
                addresses.join(",").into()
            }
        }
        "ClusterIP" | "NodePort" => none_if_empty(external.join(",")),
        _ => "<unknown>".into(),
    }
}

fn balancer(object: &Value) -> BTreeSet<String> {
    let ingress = items(object, "/status/loadBalancer/ingress").iter();
    let address = |ingress: &Value| match text(ingress, "/ip") {
        "" => text(ingress, "/hostname").to_owned(),
        address => address.to_owned(),
    };
    ingress
        .map(address)
        .filter(|address| !address.is_empty())
        .collect()
}

pub(super) fn service_ports(service: &Value) -> Value {
    let port = |port: &Value| {
        let (number_of, protocol) = (number(port, "/port").unwrap_or(0), text(port, "/protocol"));
        match number(port, "/nodePort") {
            Some(node) if node > 0 => format!("{number_of}:{node}/{protocol}"),
            _ => format!("{number_of}/{protocol}"),
        }
    };
    let ports: Vec<_> = items(service, "/spec/ports").iter().map(port).collect();
    none_if_empty(ports.join(","))
}

/// The first three of many.
fn some(all: &[String]) -> Value {
    const SHOWN: usize = 3;
    let shown = all
        .get(..SHOWN.min(all.len()))
        .unwrap_or_default()
        .join(",");
    match all.len() {
        0 => "<none>".into(),
        count if count > SHOWN => format!("{shown} + {} more...", count - SHOWN).into(),
        _ => shown.into(),
    }
}

pub(super) fn endpoints(object: &Value) -> Value {
    let mut all = Vec::new();
    for subset in items(object, "/subsets") {
        let addresses = || {
            items(subset, "/addresses")
                .iter()
                .map(|address| text(address, "/ip"))
        };
        let ports = items(subset, "/ports");
        if ports.is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in ports {
            let port = number(port, "/port").unwrap_or(0);
            all.extend(addresses().map(|address| format!("{address}:{port}")));
        }
    }
    some(&all)
}

fn unset_if_none(all: &[String]) -> Value {
    if all.is_empty() {
        "<unset>".into()
    } else {
        some(all)
    }
}

pub(super) fn slice_ports(slice: &Value) -> Value {
    let port = |port: &Value| match (number(port, "/port"), text(port, "/name")) {
        (Some(port), _) => port.to_string(),
        (None, "") => "*".to_owned(),
        (None, name) => name.to_owned(),
    };
    let ports: Vec<_> = items(slice, "/ports").iter().map(port).collect();
    unset_if_none(&ports)
}

pub(super) fn slice_endpoints(slice: &Value) -> Value {
    let endpoints = items(slice, "/endpoints").iter();
    let all: Vec<_> = endpoints
        .flat_map(|endpoint| strings(endpoint, "/addresses"))
        .collect();
    unset_if_none(&all)
}

// Ingresses.

pub(super) fn ingress_hosts(ingress: &Value) -> Value {
    let rules = items(ingress, "/spec/rules").iter();
    let hosts: Vec<_> = rules
        .map(|rule| text(rule, "/host").to_owned())
        .filter(|host| !host.is_empty())
        .collect();
    if hosts.is_empty() {
        "*".into()
    } else {
        some(&hosts)
    }
}

pub(super) fn ingress_address(ingress: &Value) -> Value {
    balancer(ingress)
        .into_iter()
        .collect::<Vec<_>>()
        .join(",")
        .into()
}

pub(super) fn ingress_tls(ingress: &Value) -> Value {
    if items(ingress, "/spec/tls").is_empty() {
        "80".into()
    } else {
        "80, 443".into()
    }
}

pub(super) fn class_parameters(class: &Value) -> Value {
    let part = |field: &str| text(class, &format!("/spec/parameters/{field}")).to_owned();
    if class.pointer("/spec/parameters").is_none() {
        return "<none>".into();
    }
    let kind = match part("apiGroup") {
        group if group.is_empty() => part("kind"),
        group => format!("{}.{group}", part("kind")),
    };
    format!("{kind}/{}", part("name")).into()
}
