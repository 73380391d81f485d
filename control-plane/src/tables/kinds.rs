//! Cells of one kind each: of events, nodes, storage, jobs and others.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::{none_if_empty, text_at};
use super::duration::{between, since};
use crate::meta::{fields, is_deleting, items, name, number, strings, text};

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
