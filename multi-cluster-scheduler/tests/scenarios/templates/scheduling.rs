//! Where pods want to be.

use serde_json::{Value, json};

use super::{Random, some, some_and};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn affinity(random: &mut Random) -> Value {
    let of_nodes = vec![
        (
            REQUIRED,
            json!({ "nodeSelectorTerms": [node_term(random)] }),
        ),
        (
            PREFERRED,
            json!([{ "weight": 5, "preference": node_term(random) }]),
        ),
    ];
    let fields = vec![
        ("nodeAffinity", some(random, 60, of_nodes)),
        ("podAffinity", pod_affinity(random)),
        ("podAntiAffinity", pod_affinity(random)),
    ];
    some(random, 50, fields)
}

fn node_term(random: &mut Random) -> Value {
    let expression = random.one(&[
        json!({ "key": "disk", "operator": "Exists" }),
        json!({ "key": "disk", "operator": "NotIn", "values": ["hdd"] }),
        json!({ "key": "cores", "operator": "Gt", "values": ["8"] }),
    ]);
    let field = json!({ "key": "metadata.name", "operator": random.one(&["In", "NotIn"]), "values": ["one"] });
    let mut term = some(random, 60, vec![("matchFields", json!([field]))]);
    term["matchExpressions"] = json!([expression]);
    term
}

fn pod_affinity(random: &mut Random) -> Value {
    let weighted = json!([{ "weight": 3, "podAffinityTerm": pod_term(random) }]);
    let fields = vec![(REQUIRED, json!([pod_term(random)])), (PREFERRED, weighted)];
    some(random, 60, fields)
}

fn pod_term(random: &mut Random) -> Value {
    let fields = vec![
        ("namespaces", json!([random.one(&["one", "two"])])),
        (
            "namespaceSelector",
            random.one(&[
                json!({}),
                json!({ "matchLabels": { "team": "x" } }),
                json!({ "matchExpressions": [{ "key": "team", "operator": "In", "values": ["x"] }] }),
            ]),
        ),
        ("matchLabelKeys", json!(["pod-template-hash"])),
        ("mismatchLabelKeys", json!(["version"])),
    ];
    let required = json!({
        "topologyKey": random.one(&["kubernetes.io/hostname", "zone"]), "labelSelector": selector(random),
    });
    some_and(random, 50, fields, required)
}

fn selector(random: &mut Random) -> Value {
    random.one(&[
        json!({ "matchLabels": { "app": "x" } }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["x", "y"] }] }),
    ])
}

pub(super) fn tolerations(random: &mut Random) -> Value {
    let all = [
        json!({ "key": "a", "operator": "Exists" }),
        json!({ "key": "a", "value": "b", "effect": "NoSchedule" }),
        json!({ "key": "c", "operator": "Equal", "value": "d", "effect": "NoExecute", "tolerationSeconds": 30 }),
    ];
    let count = random.below(4);
    json!((0..count).map(|_| random.one(&all)).collect::<Vec<_>>())
}

pub(super) fn spread(random: &mut Random) -> Value {
    let when = random.one(&["DoNotSchedule", "ScheduleAnyway"]);
    let fields = vec![
        (
            "nodeAffinityPolicy",
            json!(random.one(&["Honor", "Ignore"])),
        ),
        ("nodeTaintsPolicy", json!(random.one(&["Honor", "Ignore"]))),
        ("matchLabelKeys", json!(["pod-template-hash"])),
    ];
    let mut required = json!({
        "maxSkew": 1 + random.below(3), "topologyKey": random.one(&["zone", "kubernetes.io/hostname"]),
        "whenUnsatisfiable": when, "labelSelector": selector(random),
    });
    if when == "DoNotSchedule" && random.chance(50) {
        required["minDomains"] = json!(2);
    }
    json!([some_and(random, 40, fields, required)])
}
