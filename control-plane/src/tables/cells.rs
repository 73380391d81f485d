//! The cells of built-in kinds.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::duration::{between, since};
use crate::meta::{fields, is_deleting, items, name, number, strings, text};

pub(super) fn text_at(object: &Value, pointer: &str) -> Value {
    text(object, pointer).into()
}

pub(super) fn number_at(object: &Value, pointer: &str) -> Value {
    number(object, pointer).unwrap_or(0).into()
}

/// The text at a pointer, or another.
pub(super) fn or(object: &Value, pointer: &str, other: &str) -> Value {
    match text(object, pointer) {
        "" => other.into(),
        text => text.into(),
    }
}

/// The number or text at a pointer as text, or another.
pub(super) fn int_or(object: &Value, pointer: &str, other: &str) -> Value {
    match object.pointer(pointer) {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Number(number)) => number.to_string().into(),
        _ => other.into(),
    }
}

/// How many items a list has.
pub(super) fn count(object: &Value, pointer: &str) -> Value {
    items(object, pointer).len().into()
}

pub(super) fn flag(object: &Value, pointer: &str) -> Value {
    let flag = object.pointer(pointer).and_then(Value::as_bool);
    let text = match flag {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    text.into()
}

pub(super) fn data_count(object: &Value) -> Value {
    let entries = ["/data", "/binaryData"]
        .map(|pointer| fields(object, pointer).map_or(0, serde_json::Map::len));
    entries.iter().sum::<usize>().into()
}

/// `key=value,…`, in order; `<none>` if there are none.
pub(super) fn labels_of(object: &Value, pointer: &str) -> Value {
    let labels = fields(object, pointer).into_iter().flatten();
    let labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    none_if_empty(labels.join(","))
}

fn none_if_empty(text: String) -> Value {
    if text.is_empty() {
        "<none>".into()
    } else {
        text.into()
    }
}

/// A label selector as text.
pub(super) fn label_selector(object: &Value, pointer: &str) -> Value {
    let selector = object.pointer(pointer);
    let labels = selector.and_then(|selector| selector.get("matchLabels"));
    let expressions = items(object, &format!("{pointer}/matchExpressions"));
    if labels.is_none() && expressions.is_empty() {
        // A replication controller's selector is a plain map.
        return match selector {
            Some(Value::Object(all)) if all.values().all(Value::is_string) => {
                labels_of(object, pointer)
            }
            _ => "<none>".into(),
        };
    }
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    let mut terms: Vec<(String, String)> = labels
        .map(|(key, value)| {
            (
                key.clone(),
                format!("{key}={}", value.as_str().unwrap_or_default()),
            )
        })
        .collect();
    for expression in expressions {
        let key = text(expression, "/key");
        let mut values = strings(expression, "/values");
        values.sort();
        let values = values.join(",");
        let term = match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        };
        terms.push((key.to_owned(), term));
    }
    terms.sort();
    let terms: Vec<_> = terms.into_iter().map(|(_, term)| term).collect();
    none_if_empty(terms.join(","))
}

fn joined(object: &Value, pointer: &str, field: &str) -> Value {
    let parts: Vec<_> = items(object, pointer)
        .iter()
        .map(|item| text(item, field))
        .collect();
    parts.join(",").into()
}

pub(super) fn containers(object: &Value, pointer: &str) -> Value {
    joined(object, pointer, "/name")
}

pub(super) fn images(object: &Value, pointer: &str) -> Value {
    joined(object, pointer, "/image")
}

pub(super) fn ready_of(object: &Value) -> Value {
    let ready = number(object, "/status/readyReplicas").unwrap_or(0);
    let wanted = number(object, "/spec/replicas").unwrap_or(0);
    format!("{ready}/{wanted}").into()
}

pub(super) fn phase(object: &Value) -> Value {
    if is_deleting(object) {
        return "Terminating".into();
    }
    text_at(object, "/status/phase")
}

// Events.

fn first_time(event: &Value) -> &str {
    match text(event, "/firstTimestamp") {
        "" => text(event, "/eventTime"),
        time => time,
    }
}

pub(super) fn event_age(event: &Value, now: Timestamp) -> Value {
    let last = match (
        text(event, "/series/lastObservedTime"),
        text(event, "/lastTimestamp"),
    ) {
        ("", "") => first_time(event),
        ("", time) | (time, _) => time,
    };
    since(now, last).into()
}

pub(super) fn event_first(event: &Value, now: Timestamp) -> Value {
    since(now, first_time(event)).into()
}

pub(super) fn event_count(event: &Value) -> Value {
    let series = number(event, "/series/count");
    let count = series.or(number(event, "/count").filter(|count| *count > 0));
    count.unwrap_or(1).into()
}

pub(super) fn event_target(event: &Value) -> Value {
    let kind = text(event, "/involvedObject/kind").to_lowercase();
    match text(event, "/involvedObject/name") {
        "" => kind.into(),
        name => format!("{kind}/{name}").into(),
    }
}

pub(super) fn event_source(event: &Value) -> Value {
    let first = |a: &str, b: &str| match text(event, a) {
        "" => text(event, b).to_owned(),
        text => text.to_owned(),
    };
    let component = first("/source/component", "/reportingComponent");
    match first("/source/host", "/reportingInstance").as_str() {
        "" => component.into(),
        host => format!("{component}, {host}").into(),
    }
}

pub(super) fn events_message(event: &Value) -> Value {
    text(event, "/message").trim().into()
}

// Nodes.

pub(super) fn node_status(node: &Value) -> Value {
    let mut conditions = items(node, "/status/conditions").iter();
    let ready = conditions.find(|condition| text(condition, "/type") == "Ready");
    let mut status = match ready {
        None => "Unknown".to_owned(),
        Some(ready) if text(ready, "/status") == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
    };
    if node.pointer("/spec/unschedulable") == Some(&json!(true)) {
        status.push_str(",SchedulingDisabled");
    }
    status.into()
}

pub(super) fn node_roles(node: &Value) -> Value {
    let labels = fields(node, "/metadata/labels").into_iter().flatten();
    let roles: BTreeSet<&str> = labels
        .filter_map(|(key, value)| match key.as_str() {
            "kubernetes.io/role" => value.as_str(),
            key => key.strip_prefix("node-role.kubernetes.io/"),
        })
        .filter(|role| !role.is_empty())
        .collect();
    none_if_empty(roles.into_iter().collect::<Vec<_>>().join(","))
}

pub(super) fn node_address(node: &Value, kind: &str) -> Value {
    let mut addresses = items(node, "/status/addresses").iter();
    let found = addresses.find(|address| text(address, "/type") == kind);
    found.map_or("<none>".into(), |address| text_at(address, "/address"))
}

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

// Storage.

pub(super) fn storage_class_name(class: &Value) -> Value {
    let annotation = "/metadata/annotations/storageclass.kubernetes.io~1is-default-class";
    if text(class, annotation) == "true" {
        return format!("{} (default)", name(class)).into();
    }
    name(class).into()
}

pub(super) fn access_modes(object: &Value, pointer: &str) -> Value {
    let short = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given = strings(object, pointer);
    let modes = short
        .iter()
        .filter(|(mode, _)| given.iter().any(|other| other == mode));
    modes
        .map(|(_, short)| *short)
        .collect::<Vec<_>>()
        .join(",")
        .into()
}

pub(super) fn claim(volume: &Value) -> Value {
    if volume.pointer("/spec/claimRef").is_none() {
        return "".into();
    }
    let part = |field: &str| text(volume, &format!("/spec/claimRef/{field}")).to_owned();
    format!("{}/{}", part("namespace"), part("name")).into()
}

pub(super) fn claim_class(claim: &Value) -> Value {
    match claim.pointer("/spec/storageClassName") {
        Some(class) => class.clone(),
        None => text_at(
            claim,
            "/metadata/annotations/volume.beta.kubernetes.io~1storage-class",
        ),
    }
}

// Jobs.

pub(super) fn job_status(job: &Value) -> Value {
    let has = |kind: &str| {
        items(job, "/status/conditions").iter().any(|condition| {
            text(condition, "/type") == kind && text(condition, "/status") == "True"
        })
    };
    let status = match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if is_deleting(job) => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    status.into()
}

pub(super) fn completions(job: &Value) -> Value {
    let succeeded = number(job, "/status/succeeded").unwrap_or(0);
    let text = match (
        number(job, "/spec/completions"),
        number(job, "/spec/parallelism"),
    ) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, Some(parallelism)) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        _ => format!("{succeeded}/1"),
    };
    text.into()
}

pub(super) fn duration(job: &Value, now: Timestamp) -> Value {
    match (
        text(job, "/status/startTime"),
        text(job, "/status/completionTime"),
    ) {
        ("", _) => "".into(),
        (start, "") => since(now, start).into(),
        (start, end) => between(start, end).into(),
    }
}

// Others.

pub(super) fn lease_holder(lease: &Value) -> Value {
    text_at(lease, "/spec/holderIdentity")
}

pub(super) fn bindings(binding: &Value) -> Value {
    format!(
        "{}/{}",
        text(binding, "/roleRef/kind"),
        text(binding, "/roleRef/name")
    )
    .into()
}

pub(super) fn subjects(binding: &Value, kind: &str) -> Value {
    let found = items(binding, "/subjects")
        .iter()
        .filter(|subject| text(subject, "/kind") == kind);
    let names = found.map(|subject| match text(subject, "/namespace") {
        "" => text(subject, "/name").to_owned(),
        namespace => format!("{namespace}/{}", text(subject, "/name")),
    });
    names.collect::<Vec<_>>().join(", ").into()
}

/// What is used of a quota: requests and counts, or limits.
pub(super) fn quota(object: &Value, limits: bool) -> Value {
    let hard = fields(object, "/status/hard").into_iter().flatten();
    let parts = hard.filter(|(resource, _)| resource.starts_with("limits.") == limits);
    let parts = parts.map(|(resource, hard)| {
        let used = fields(object, "/status/used").and_then(|used| used.get(resource));
        let shown = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "0".to_owned(),
        };
        format!("{resource}: {}/{}", shown(used), shown(Some(hard)))
    });
    parts.collect::<Vec<_>>().join(", ").into()
}

pub(super) fn controller(object: &Value) -> Value {
    let mut owners = items(object, "/metadata/ownerReferences").iter();
    let Some(owner) = owners.find(|owner| owner.get("controller") == Some(&json!(true))) else {
        return "<none>".into();
    };
    let (kind, name) = (text(owner, "/kind").to_lowercase(), text(owner, "/name"));
    match text(owner, "/apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}").into(),
        None => format!("{kind}/{name}").into(),
    }
}

pub(super) fn available(service: &Value) -> Value {
    let mut conditions = items(service, "/status/conditions").iter();
    let found = conditions.find(|condition| text(condition, "/type") == "Available");
    match found {
        None => "Unknown".into(),
        Some(condition) if text(condition, "/status") == "True" => "True".into(),
        Some(condition) => {
            let (status, reason) = (text(condition, "/status"), text(condition, "/reason"));
            format!("{status} ({reason})").into()
        }
    }
}

/// What an autoscaler measures, and what it aims at.
pub(super) fn hpa_targets(autoscaler: &Value) -> Value {
    const SHOWN: usize = 2;
    let specs = items(autoscaler, "/spec/metrics");
    let current = items(autoscaler, "/status/currentMetrics");
    if specs.is_empty() {
        return "<none>".into();
    }
    let all: Vec<String> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| metric(spec, current.get(index)))
        .collect();
    let shown = all
        .get(..SHOWN.min(all.len()))
        .unwrap_or_default()
        .join(", ");
    if all.len() > SHOWN {
        return format!("{shown} + {} more...", all.len() - SHOWN).into();
    }
    shown.into()
}

fn metric(spec: &Value, current: Option<&Value>) -> String {
    let field = match text(spec, "/type") {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return "<unknown type>".to_owned(),
    };
    let part = |value: &Value, place: &str, what: &str| -> Option<String> {
        match value.pointer(&format!("/{field}/{place}/{what}"))? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    };
    let target = |what| part(spec, "target", what);
    let now = |what: &str| {
        let found = current.and_then(|current| part(current, "current", what));
        found.unwrap_or_else(|| "<unknown>".to_owned())
    };
    let average = target("averageValue");
    match (field, average) {
        ("resource" | "containerResource", Some(average)) => {
            let name = text(spec, &format!("/{field}/name"));
            format!("{name}: {}/{average}", now("averageValue"))
        }
        ("resource" | "containerResource", None) => {
            let name = text(spec, &format!("/{field}/name"));
            let percent = |text: String| {
                if text.starts_with('<') {
                    text
                } else {
                    format!("{text}%")
                }
            };
            let aim = target("averageUtilization").unwrap_or_else(|| "<auto>".to_owned());
            format!(
                "{name}: {}/{}",
                percent(now("averageUtilization")),
                percent(aim)
            )
        }
        ("pods", average) => format!("{}/{}", now("averageValue"), average.unwrap_or_default()),
        (_, Some(average)) => format!("{}/{average} (avg)", now("averageValue")),
        (_, None) => format!("{}/{}", now("value"), target("value").unwrap_or_default()),
    }
}
