use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use rstest::rstest;
use serde_json::{Value, json};

use super::conditions::corrected_taints;

fn node(ready: &str, cordoned: bool, taints: &[(&str, &str)]) -> Node {
    let taints: Vec<Value> = taints
        .iter()
        .map(|(key, effect)| json!({ "key": key, "effect": effect }))
        .collect();
    serde_json::from_value(json!({
        "spec": { "unschedulable": cordoned, "taints": taints },
        "status": { "conditions": [{ "type": "Ready", "status": ready }] },
    }))
    .unwrap()
}

const EDGE: (&str, &str) = ("edge", "NoSchedule");
const NOT_READY: (&str, &str) = ("node.kubernetes.io/not-ready", "NoSchedule");
const UNREACHABLE: [(&str, &str); 2] = [
    ("node.kubernetes.io/unreachable", "NoSchedule"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
];
const CORDONED: (&str, &str) = ("node.kubernetes.io/unschedulable", "NoSchedule");

#[rstest]
#[case("True", false, &[], None)]
#[case("True", false, &[EDGE], None)]
#[case("True", false, &[EDGE, NOT_READY], Some(vec![EDGE]))]
#[case("True", true, &[EDGE], Some(vec![EDGE, CORDONED]))]
#[case("Unknown", false, &[], Some(UNREACHABLE.to_vec()))]
#[case("Unknown", false, &UNREACHABLE, None)]
#[case("True", false, &UNREACHABLE, Some(vec![]))]
fn taints_follow_from_conditions(
    #[case] ready: &str,
    #[case] cordoned: bool,
    #[case] taints: &[(&str, &str)],
    #[case] wanted: Option<Vec<(&str, &str)>>,
) {
    let corrected = corrected_taints(&node(ready, cordoned, taints), Timestamp::UNIX_EPOCH);
    let corrected = corrected.as_ref().map(|taints| {
        let pairs = taints.iter().map(|t| (t.key.as_str(), t.effect.as_str()));
        pairs.collect::<Vec<_>>()
    });
    assert_eq!(corrected, wanted);
}
