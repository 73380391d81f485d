//! Whether a pod fits a node, and if not, why: in the words of kube-scheduler.

use std::cmp::Reverse;

use placement::{Misfit, Node, NodeConstraints, PodShape, Resources, TaintEffect};

use super::peers::describe;

/// What scoring counts for a pod that does not say what it needs: thousandths of a core, bytes.
const UNSAID: (i64, i64) = (100, 200 << 20);

/// A node and what the pods on it have asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// None while only its pods are known.
    pub(super) node: Option<Node>,
    pub(super) used: Resources,
}

/// Why a pod does not fit a node, among the pods that keep it away: one reason a resource, or one
/// of the others.
pub(super) fn misfits(place: &Place, shape: &PodShape, peers: Option<Misfit>) -> Vec<String> {
    let Some(node) = &place.node else {
        return vec!["node(s) didn't match the requested node name".to_owned()];
    };
    if let Some(reason) = unsuitable(node, &shape.constraints) {
        return vec![reason.to_owned()];
    }
    let peers = peers.map(|misfit| (misfit, vec![describe(misfit).to_owned()]));
    match peers {
        Some((Misfit::HostPorts, reason)) => reason,
        peers => {
            let short = insufficient(node, &place.used, &shape.requests);
            let peers = peers.map(|(_, reason)| reason).unwrap_or_default();
            if short.is_empty() { peers } else { short }
        }
    }
}

/// The first filter that keeps the pod away whatever room there is, in kube-scheduler's order.
fn unsuitable(node: &Node, constraints: &NodeConstraints) -> Option<&'static str> {
    let tolerates = |taint: &placement::Taint| {
        let mut tolerations = constraints.tolerations.iter();
        tolerations.any(|toleration| toleration.tolerates(taint))
    };
    let unschedulable = placement::Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
    };
    if node.unschedulable && !tolerates(&unschedulable) {
        return Some("node(s) were unschedulable");
    }
    let keeps_away = |effect| matches!(effect, TaintEffect::NoSchedule | TaintEffect::NoExecute);
    let mut taints = node.taints.iter();
    if taints.any(|taint| keeps_away(taint.effect) && !tolerates(taint)) {
        return Some("node(s) had untolerated taint(s)");
    }
    let label = |key: &str| node.labels.get(key).map(String::as_str);
    (!constraints.select(&node.name, label))
        .then_some("node(s) didn't match Pod's node affinity/selector")
}

/// The resources that are short, as far as the pod asks for them at all.
fn insufficient(node: &Node, used: &Resources, wanted: &Resources) -> Vec<String> {
    let has = &node.allocatable;
    let mut reasons = Vec::new();
    if used.pods + 1 > has.pods {
        reasons.push("Too many pods".to_owned());
    }
    let known = [
        ("cpu", wanted.cpu_milli, has.cpu_milli - used.cpu_milli),
        ("memory", wanted.memory, has.memory - used.memory),
        (
            "ephemeral-storage",
            wanted.ephemeral_storage,
            has.ephemeral_storage - used.ephemeral_storage,
        ),
    ];
    let amount = |of: &Resources, name: &str| of.extended.get(name).copied().unwrap_or(0);
    let extended = wanted.extended.iter();
    let extended = extended.map(|(name, &wanted)| {
        (
            name.as_str(),
            wanted,
            amount(has, name) - amount(used, name),
        )
    });
    let short = known.into_iter().chain(extended);
    let short = short.filter(|&(_, wanted, free)| wanted > 0 && wanted > free);
    reasons.extend(short.map(|(name, ..)| format!("Insufficient {name}")));
    reasons
}

/// Few avoided taints first, then much room.
pub(super) type Score = (Reverse<usize>, i64);

/// How good a node is for a pod: fewest of the taints that it should rather avoid, then the most
/// room left (kube-scheduler's `LeastAllocated`, from 0 to 100).
pub(super) fn score(place: &Place, shape: &PodShape) -> Score {
    let Some(node) = &place.node else {
        return (Reverse(usize::MAX), 0);
    };
    let avoided = node.taints.iter().filter(|taint| {
        let mut tolerations = shape.constraints.tolerations.iter();
        taint.effect == TaintEffect::PreferNoSchedule
            && !tolerations.any(|one| one.tolerates(taint))
    });
    let left = |has: i64, used: i64, wanted: i64| {
        let left = (has - used - wanted).max(0);
        left.saturating_mul(100).checked_div(has).unwrap_or(0)
    };
    let said = |wanted: i64, unsaid: i64| if wanted == 0 { unsaid } else { wanted };
    let cpu = said(shape.requests.cpu_milli, UNSAID.0);
    let memory = said(shape.requests.memory, UNSAID.1);
    let cpu = left(node.allocatable.cpu_milli, place.used.cpu_milli, cpu);
    let memory = left(node.allocatable.memory, place.used.memory, memory);
    (Reverse(avoided.count()), i64::midpoint(cpu, memory))
}
