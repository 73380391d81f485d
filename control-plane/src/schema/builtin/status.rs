//! The status of a new object of a built-in kind, and what a write to the status must not change.

use serde_json::{Value, json};

use crate::meta::{items, object_in, put, text};

/// A node keeps the status that its kubelet creates it with.
pub(crate) fn node(node: &Value) -> Value {
    node["status"].clone()
}

/// A pod that no node runs yet.
pub(crate) fn pod(pod: &Value) -> Value {
    json!({"phase": "Pending", "qosClass": quality_of_service(pod)})
}

/// A definition whose names are not accepted yet.
pub(crate) fn definition(definition: &Value) -> Value {
    json!({
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": null,
        "storedVersions": stored_versions(definition),
    })
}

/// The version in which a definition's objects are stored.
fn stored_versions(definition: &Value) -> Vec<&str> {
    let versions = items(definition, "/spec/versions").iter();
    let stored = versions.filter(|version| version.get("storage") == Some(&json!(true)));
    stored.map(|version| text(version, "/name")).collect()
}

/// How a pod's resources are guaranteed.
fn quality_of_service(pod: &Value) -> &'static str {
    let containers = ["/spec/containers", "/spec/initContainers"];
    let containers = containers.iter().flat_map(|pointer| items(pod, pointer));
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

/// What is asked of a signer stays; an approval changes the conditions that approve, and a signer
/// changes the others.
pub(crate) fn restore_signing_request(subresource: &str, new: &mut Value, old: &Value) {
    restore(new, old, "spec");
    if subresource.is_empty() {
        restore(new, old, "status");
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
        restore(new, old, "status");
    }
    let conditions = (!conditions.is_empty()).then(|| Value::from(conditions));
    put(object_in(new, "status"), "conditions", conditions);
}

fn restore(new: &mut Value, old: &Value, field: &str) {
    if let Some(fields) = new.as_object_mut() {
        put(fields, field, old.get(field).cloned());
    }
}
