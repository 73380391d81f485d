//! Overrides that ask for little, and for too much.

use super::*;
use serde_json::json;

fn template() -> Value {
    json!({
        "metadata": { "labels": { "app": "x" } },
        "spec": { "containers": [{ "name": "c", "image": "i:1", "args": ["a", "b"] }] },
    })
}

fn patched(patch: &Value) -> Result<Value, String> {
    let one = json!({ "cluster": "cluster1", "patch": patch });
    let other = json!({ "cluster": "cluster2", "patch": [{ "op": "remove", "path": "/nothing" }] });
    let overrides: Vec<ClusterOverride> = serde_json::from_value(json!([other, one])).unwrap();
    apply(&template(), &overrides, "cluster1", &mut Budget::default())
}

#[test]
fn each_operation_does_what_the_rfc_says() {
    let result = patched(&json!([
        { "op": "test", "path": "/spec/containers/0/name", "value": "c" },
        { "op": "replace", "path": "/spec/containers/0/image", "value": "i:2" },
        { "op": "add", "path": "/spec/containers/0/args/1", "value": "between" },
        { "op": "copy", "from": "/spec/containers/0", "path": "/spec/initContainers" },
        { "op": "move", "from": "/metadata/labels/app", "path": "/metadata/labels/was" },
        { "op": "remove", "path": "/spec/initContainers" },
    ]))
    .unwrap();
    assert_eq!(result["spec"]["containers"][0]["image"], "i:2");
    assert_eq!(
        result["spec"]["containers"][0]["args"],
        json!(["a", "between", "b"])
    );
    assert_eq!(result["metadata"]["labels"], json!({ "was": "x" }));
}

#[test]
fn the_overrides_of_an_object_are_so_much_work_and_no_more_whatever_clusters_they_name() {
    let one = |number: usize| {
        let list = vec!["an argument"; 1000];
        let patch = json!([{ "op": "add", "path": "/spec/containers/0/args", "value": list }]);
        json!({ "cluster": format!("c{number}"), "patch": patch })
    };
    let overrides = |clusters: usize| -> Vec<ClusterOverride> {
        let all: Vec<_> = (0..clusters).map(one).collect();
        serde_json::from_value(json!(all)).unwrap()
    };
    let mut template = template();
    let problem = |template: &Value, clusters: usize| {
        crate::validate::problem_of_overrides(template, &overrides(clusters), "default")
    };
    assert_eq!(problem(&template, 1000), None);
    template["metadata"]["annotations"] = json!({ "much": "x".repeat(100_000) });
    let refused = problem(&template, 1000).unwrap();
    assert!(refused.contains("too much work"), "{refused}");
    assert_eq!(problem(&template, 100), None);
}

#[test]
fn copies_that_double_the_template_end_soon() {
    // The fault: 64 copies of an object into itself; each doubles it.
    let mut patch: Vec<Value> = (0..63)
        .map(|n| json!({ "op": "copy", "from": "/metadata", "path": format!("/metadata/m{n}") }))
        .collect();
    patch.push(
        json!({ "op": "replace", "path": "/metadata", "value": { "labels": { "app": "x" } } }),
    );
    let problem = patched(&json!(patch)).unwrap_err();
    assert!(problem.starts_with("overrides[1].patch[1"), "{problem}");
    assert!(problem.contains("bytes larger"), "{problem}");
}

#[test]
fn moves_cannot_nest_the_template_deeper_than_it_can_be_walked() {
    let mut patch = vec![json!({ "op": "add", "path": "/a", "value": {} })];
    for _ in 0..21 {
        let below = json!({ "x": { "x": { "x": { "x": {} } } } });
        patch.push(json!({ "op": "add", "path": "/b", "value": below }));
        patch.push(json!({ "op": "move", "from": "/a", "path": "/b/x/x/x/x/x" }));
        patch.push(json!({ "op": "move", "from": "/b", "path": "/a" }));
    }
    let problem = patched(&json!(patch)).unwrap_err();
    assert!(problem.contains("levels deep"), "{problem}");
}

#[test]
fn operations_on_long_lists_are_counted() {
    let long: Vec<u8> = vec![0; 100_000];
    let mut patch = vec![json!({ "op": "add", "path": "/spec/long", "value": long })];
    patch.extend((0..63).map(|_| json!({ "op": "add", "path": "/spec/long/0", "value": 1 })));
    let problem = patched(&json!(patch)).unwrap_err();
    assert!(problem.contains("too much work"), "{problem}");
}

#[test]
fn what_is_no_template_afterwards_is_refused() {
    for (patch, named) in [
        (
            json!({ "op": "replace", "path": "/metadata", "value": 5 }),
            "metadata",
        ),
        (
            json!({ "op": "replace", "path": "/metadata/labels", "value": "x" }),
            "labels",
        ),
        (
            json!({ "op": "add", "path": "/metadata/annotations", "value": [] }),
            "annotations",
        ),
        (
            json!({ "op": "replace", "path": "/spec", "value": [] }),
            "spec",
        ),
        (
            json!({ "op": "replace", "path": "", "value": 7 }),
            "no object",
        ),
        (
            json!({ "op": "replace", "path": "", "value": null }),
            "missing field",
        ),
        (
            json!({ "op": "remove", "path": "/nothing" }),
            "overrides[1].patch[0]",
        ),
    ] {
        let problem = patched(&json!([patch])).unwrap_err();
        assert!(problem.contains(named), "{problem}");
    }
}
