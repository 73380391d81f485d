//! What the server itself sets or keeps, kind by kind, before an object is stored: its status, its
//! generation, and what a subresource may not touch.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kinds::Resource;
use crate::meta::{items, metadata, number, object_in, put, text};
use crate::schema::builtin;

/// Before an object is created.
pub(crate) fn prepare_create(resource: &Resource, value: &mut Value) {
    if resource.custom.is_none() {
        builtin::prepare_create(&resource.group, &resource.kind, value);
    }
    if resource.is("batch", "Job") {
        select_pods(value);
    }
    let status = match (resource.group.as_str(), resource.kind.as_str()) {
        // Kubelets create their nodes with a status.
        ("", "Node") => {
            fill_node(value);
            return;
        }
        ("", "Event") => {
            fill_event(value);
            return;
        }
        ("", "Pod") => {
            let class = quality_of_service(value);
            Some(json!({"phase": "Pending", "qosClass": class}))
        }
        ("", "Namespace") => {
            let finalizers = json!(["kubernetes"]);
            let spec = object_in(value, "spec");
            let given = spec.entry("finalizers").or_insert(json!([]));
            if !given
                .as_array()
                .is_some_and(|given| given.contains(&"kubernetes".into()))
            {
                *given = finalizers;
            }
            Some(json!({"phase": "Active"}))
        }
        ("", "PersistentVolume" | "PersistentVolumeClaim") => Some(json!({"phase": "Pending"})),
        _ if resource.has_status() => empty_status(resource, value),
        _ => return,
    };
    if let Some(fields) = value.as_object_mut() {
        put(fields, "status", status);
    }
}

/// What Go writes of a node even if it is empty.
fn fill_node(node: &mut Value) {
    let status = object_in(node, "status");
    status
        .entry("daemonEndpoints")
        .or_insert_with(|| json!({"kubeletEndpoint": {"Port": 0}}));
    let info = status.entry("nodeInfo").or_insert_with(|| json!({}));
    let Some(info) = info.as_object_mut() else {
        return;
    };
    for field in [
        "architecture",
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ] {
        info.entry(field).or_insert_with(|| "".into());
    }
}

/// What Go writes of an event even if it is empty.
fn fill_event(event: &mut Value) {
    let Some(fields) = event.as_object_mut() else {
        return;
    };
    fields.entry("eventTime").or_insert(Value::Null);
    for field in ["reportingComponent", "reportingInstance"] {
        fields.entry(field).or_insert_with(|| "".into());
    }
}

/// A job selects its pods by its uid, unless it brings a selector.
fn select_pods(job: &mut Value) {
    if job.pointer("/spec/manualSelector") == Some(&json!(true)) {
        return;
    }
    let (name, uid) = (text(job, "/metadata/name"), text(job, "/metadata/uid"));
    let (name, uid) = (name.to_owned(), uid.to_owned());
    let spec = object_in(job, "spec");
    let selector = spec.entry("selector").or_insert_with(|| json!({}));
    object_in(selector, "matchLabels")
        .entry("batch.kubernetes.io/controller-uid")
        .or_insert_with(|| uid.clone().into());
    let template = spec.entry("template").or_insert_with(|| json!({}));
    let labels = metadata(template)
        .entry("labels")
        .or_insert_with(|| json!({}));
    let Some(labels) = labels.as_object_mut() else {
        return;
    };
    for (label, value) in [
        ("job-name", &name),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/controller-uid", &uid),
    ] {
        labels.entry(label).or_insert_with(|| value.clone().into());
    }
    let labels = labels.clone();
    let own = metadata(job).entry("labels").or_insert_with(|| json!({}));
    if own.as_object().is_some_and(serde_json::Map::is_empty) {
        *own = labels.into();
    }
}

/// The status of a new object: Go writes its numbers even if they are 0.
fn empty_status(resource: &Resource, value: &Value) -> Option<Value> {
    if resource.custom.is_some() {
        return None;
    }
    Some(match resource.kind.as_str() {
        "ReplicaSet" | "ReplicationController" => json!({"replicas": 0}),
        "StatefulSet" => json!({"replicas": 0, "availableReplicas": 0}),
        "DaemonSet" => json!({
            "currentNumberScheduled": 0,
            "desiredNumberScheduled": 0,
            "numberMisscheduled": 0,
            "numberReady": 0,
        }),
        "HorizontalPodAutoscaler" => json!({"currentMetrics": null, "desiredReplicas": 0}),
        "PodDisruptionBudget" => json!({
            "currentHealthy": 0,
            "desiredHealthy": 0,
            "disruptionsAllowed": 0,
            "expectedPods": 0,
        }),
        "Service" | "Ingress" => json!({"loadBalancer": {}}),
        "CustomResourceDefinition" => json!({
            "acceptedNames": {"kind": "", "plural": ""},
            "conditions": null,
            "storedVersions": stored_versions(value),
        }),
        _ => json!({}),
    })
}

/// The version in which a definition's objects are stored.
fn stored_versions(definition: &Value) -> Vec<&str> {
    let versions = items(definition, "/spec/versions").iter();
    let stored = versions.filter(|version| version.get("storage") == Some(&json!(true)));
    stored.map(|version| text(version, "/name")).collect()
}

/// Before an object, or a part of it, is replaced.
pub(crate) fn prepare_update(resource: &Resource, subresource: &str, new: &mut Value, old: &Value) {
    if resource.custom.is_none() && subresource.is_empty() {
        builtin::prepare_update(&resource.group, &resource.kind, new, old);
    }
    let generation = old.pointer("/metadata/generation").cloned();
    put(metadata(new), "generation", generation);
    if resource.is("certificates.k8s.io", "CertificateSigningRequest") {
        keep_request(subresource, new, old);
        return;
    }
    match subresource {
        "status" => keep_but_status(resource, new, old),
        "approval" | "ephemeralcontainers" | "resize" | "scale" | "" => {
            if resource.has_status() {
                keep(new, old, "status");
            }
            if resource.is("", "Namespace") {
                keep_in(new, old, "spec", "finalizers");
            }
        }
        _ => {}
    }
    if matches!(subresource, "" | "scale") {
        count_generation(resource, new, old);
    }
}

fn keep(new: &mut Value, old: &Value, field: &str) {
    if let Some(fields) = new.as_object_mut() {
        put(fields, field, old.get(field).cloned());
    }
}

fn keep_in(new: &mut Value, old: &Value, parent: &str, field: &str) {
    let kept = old.get(parent).and_then(|parent| parent.get(field));
    put(object_in(new, parent), field, kept.cloned());
}

/// What is asked of a signer stays; an approval changes the conditions that approve, and a signer
/// changes the others.
fn keep_request(subresource: &str, new: &mut Value, old: &Value) {
    keep(new, old, "spec");
    if subresource.is_empty() {
        keep(new, old, "status");
        return;
    }
    let approves = |condition: &&Value| matches!(text(condition, "/type"), "Approved" | "Denied");
    let (approving, others) = match subresource {
        "approval" => (&*new, old),
        _ => (old, &*new),
    };
    let conditions = "/status/conditions";
    let approving = items(approving, conditions).iter().filter(approves);
    let others = items(others, conditions)
        .iter()
        .filter(|one| !approves(one));
    let conditions: Vec<Value> = approving.chain(others).cloned().collect();
    if subresource == "approval" {
        keep(new, old, "status");
    }
    let conditions = (!conditions.is_empty()).then(|| Value::from(conditions));
    put(object_in(new, "status"), "conditions", conditions);
}

/// A write to the status changes nothing else.
fn keep_but_status(resource: &Resource, new: &mut Value, old: &Value) {
    let Some(fields) = new.as_object_mut() else {
        return;
    };
    let status = fields.remove("status");
    let mut sent = fields.remove("metadata").unwrap_or(Value::Null);
    let mut kept = old.as_object().cloned().unwrap_or_default();
    put(&mut kept, "status", status);
    if resource.custom.is_none() {
        // Built-in kinds let labels, annotations and finalizers through, with few exceptions.
        if let (Some(sent), Some(there)) = (sent.as_object_mut(), old.get("metadata")) {
            let mut restored = vec!["generation"];
            match resource.group.as_str() {
                "apps" | "batch" => restored.push("labels"),
                _ => {}
            }
            if resource.is("", "Pod") {
                restored.push("ownerReferences");
            }
            for field in restored {
                put(sent, field, there.get(field).cloned());
            }
        }
        kept.insert("metadata".to_owned(), sent);
    } else if let Some(Value::Object(there)) = kept.get_mut("metadata") {
        put(there, "managedFields", sent.get("managedFields").cloned());
    }
    *fields = kept;
}

/// The generation counts changes of what is wanted.
fn count_generation(resource: &Resource, new: &mut Value, old: &Value) {
    if !resource.traits.generation {
        return;
    }
    let changed = if resource.custom.is_some() {
        let ignored: &[&str] = if resource.has_status() {
            &["metadata", "status"]
        } else {
            &["metadata"]
        };
        without(new, ignored) != without(old, ignored)
    } else if old.get("spec").is_some() || new.get("spec").is_some() {
        let annotations = "/metadata/annotations";
        let counts_annotations = resource.is("apps", "Deployment");
        new.get("spec") != old.get("spec")
            || (counts_annotations && new.pointer(annotations) != old.pointer(annotations))
    } else {
        let labels = "/metadata/labels";
        let counts_labels = resource.is("discovery.k8s.io", "EndpointSlice");
        without(new, &["metadata"]) != without(old, &["metadata"])
            || (counts_labels && new.pointer(labels) != old.pointer(labels))
    };
    if changed {
        let generation = number(old, "/metadata/generation").unwrap_or(0) + 1;
        metadata(new).insert("generation".to_owned(), generation.into());
    }
}

/// The fields of an object but for some.
fn without<'a>(value: &'a Value, ignored: &[&str]) -> BTreeMap<&'a str, &'a Value> {
    let fields = value.as_object().into_iter().flatten();
    let fields = fields.map(|(name, field)| (name.as_str(), field));
    fields.filter(|(name, _)| !ignored.contains(name)).collect()
}

/// How a pod's resources are guaranteed.
fn quality_of_service(pod: &Value) -> &'static str {
    let containers = ["/spec/containers", "/spec/initContainers"];
    let containers = containers
        .iter()
        .flat_map(|pointer| crate::meta::items(pod, pointer));
    let mut guaranteed = true;
    let mut any = false;
    for container in containers {
        let amount =
            |kind: &str, name: &str| container.pointer(&format!("/resources/{kind}/{name}"));
        for name in ["cpu", "memory"] {
            let (request, limit) = (amount("requests", name), amount("limits", name));
            any |= request.is_some() || limit.is_some();
            let same = request.is_none() || request == limit;
            guaranteed &= limit.is_some() && same;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
