//! What leads to pods.

use serde_json::{Map, Value, json};

use super::fill::{each, is_unset, replace_if_unset, set, where_there, within};

pub(crate) fn service(service: &mut Value) {
    within(service, "spec", |spec| {
        set(spec, "sessionAffinity", "None");
        if spec["sessionAffinity"] == "None"
            && let Value::Object(fields) = spec
        {
            fields.remove("sessionAffinityConfig");
        }
        if spec["sessionAffinity"] == "ClientIP" {
            within(spec, "sessionAffinityConfig", |config| {
                within(config, "clientIP", |client| {
                    set(client, "timeoutSeconds", 10_800);
                });
            });
        }
        set(spec, "type", "ClusterIP");
        each(spec, "ports", service_port);
        let kind = spec["type"].as_str().unwrap_or_default().to_string();
        let is_public = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
        if is_public || (kind == "ClusterIP" && !is_unset(spec, "externalIPs")) {
            set(spec, "externalTrafficPolicy", "Cluster");
        }
        if is_public || kind == "ClusterIP" {
            set(spec, "internalTrafficPolicy", "Cluster");
        }
        if kind == "LoadBalancer" {
            set(spec, "allocateLoadBalancerNodePorts", true);
        }
    });
    within(service, "status", |status| {
        set(status, "loadBalancer", Map::new());
    });
}

fn service_port(port: &mut Value) {
    set(port, "protocol", "TCP");
    let target = &port["targetPort"];
    if target.is_null() || *target == 0 || *target == "" {
        let number = port["port"].clone();
        if let (Value::Object(fields), false) = (port, number.is_null()) {
            fields.insert("targetPort".to_string(), number);
        }
    }
}

pub(crate) fn endpoints(endpoints: &mut Value) {
    each(endpoints, "subsets", |subset| {
        each(subset, "ports", |port| set(port, "protocol", "TCP"));
    });
}

pub(crate) fn endpoint_slice(slice: &mut Value) {
    each(slice, "endpoints", |endpoint| {
        set(endpoint, "conditions", Map::new());
    });
    each(slice, "ports", |port| {
        set(port, "protocol", "TCP");
        if port["name"].is_null() {
            set(port, "name", "");
        }
    });
}

pub(crate) fn network_policy(policy: &mut Value) {
    within(policy, "spec", |spec| {
        within(spec, "podSelector", |_| {});
        if is_unset(spec, "policyTypes") {
            let types = if is_unset(spec, "egress") {
                json!(["Ingress"])
            } else {
                json!(["Ingress", "Egress"])
            };
            replace_if_unset(spec, "policyTypes", &types);
        }
        for list in ["ingress", "egress"] {
            each(spec, list, |rule| {
                each(rule, "ports", |port| set(port, "protocol", "TCP"));
            });
        }
    });
}

pub(crate) fn ingress(ingress: &mut Value) {
    within(ingress, "status", |status| {
        set(status, "loadBalancer", Map::new());
    });
}

pub(crate) fn ingress_class(class: &mut Value) {
    where_there(class, "spec", |spec| {
        where_there(spec, "parameters", |parameters| {
            set(parameters, "scope", "Cluster");
        });
    });
}
