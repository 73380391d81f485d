//! A node's conditions, and the taints that follow from them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};

use crate::simulated::context::whole;

/// Type, and reason and message while all is well.
const CONDITIONS: [(&str, &str, &str); 4] = [
    (
        "MemoryPressure",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    (
        "DiskPressure",
        "KubeletHasNoDiskPressure",
        "kubelet has no disk pressure",
    ),
    (
        "PIDPressure",
        "KubeletHasSufficientPID",
        "kubelet has sufficient PID available",
    ),
    ("Ready", "KubeletReady", "kubelet is posting ready status"),
];

/// The taints that the node controller keeps in step with a node's state; it leaves others alone.
const OURS: [(&str, &str); 5] = [
    ("node.kubernetes.io/not-ready", "NoSchedule"),
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoSchedule"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// The conditions of a node whose kubelet is well.
pub(super) fn healthy(now: Timestamp) -> Vec<NodeCondition> {
    let conditions = CONDITIONS.iter().map(|&(kind, reason, message)| {
        let status = if kind == "Ready" { "True" } else { "False" };
        condition(kind, status, reason, message, now)
    });
    conditions.collect()
}

/// The conditions of a node whose kubelet is not heard of.
pub(super) fn unknown(now: Timestamp) -> Vec<NodeCondition> {
    let (reason, message) = ("NodeStatusUnknown", "Kubelet stopped posting node status.");
    let conditions = CONDITIONS.iter();
    conditions
        .map(|(kind, ..)| condition(kind, "Unknown", reason, message, now))
        .collect()
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> NodeCondition {
    NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: Some(whole(now)),
        last_transition_time: Some(whole(now)),
    }
}

/// `True`, `False` or `Unknown`.
fn readiness(node: &Node) -> &str {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    conditions
        .find(|condition| condition.type_ == "Ready")
        .map_or("Unknown", |condition| condition.status.as_str())
}

/// Whether its kubelet says that it takes pods.
pub(crate) fn is_ready(node: &Node) -> bool {
    readiness(node) == "True"
}

/// The taints that a node should have; none where it has them.
pub(super) fn corrected_taints(node: &Node, now: Timestamp) -> Option<Vec<Taint>> {
    let spec = node.spec.as_ref();
    let have = spec
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    let state = match readiness(node) {
        "True" => None,
        "False" => Some("node.kubernetes.io/not-ready"),
        _ => Some("node.kubernetes.io/unreachable"),
    };
    let cordoned = spec.and_then(|spec| spec.unschedulable) == Some(true);
    let wanted =
        |key: &str| Some(key) == state || (cordoned && key == "node.kubernetes.io/unschedulable");
    let is =
        |taint: &Taint, (key, effect): (&str, &str)| taint.key == key && taint.effect == effect;
    let surplus = |taint: &Taint| OURS.iter().any(|&one| is(taint, one)) && !wanted(&taint.key);
    let missing = |one: (&str, &str)| wanted(one.0) && !have.iter().any(|taint| is(taint, one));
    if !have.iter().any(surplus) && !OURS.iter().any(|&one| missing(one)) {
        return None;
    }
    let kept = have.iter().filter(|taint| !surplus(taint)).cloned();
    let added = OURS.iter().filter(|&&one| missing(one));
    let added = added.map(|&(key, effect)| Taint {
        key: key.to_owned(),
        effect: effect.to_owned(),
        value: None,
        time_added: Some(whole(now)),
    });
    Some(kept.chain(added).collect())
}
