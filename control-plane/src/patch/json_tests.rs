use rstest::rstest;
use serde_json::json;

use super::*;

fn document() -> Value {
    json!({"a": {"b": 1, "c/d": 2, "n": null}, "list": [1, 2, 3]})
}

#[rstest]
#[case(json!([]), document())]
#[case(json!(null), document())]
#[case::adds(
    json!([{"op": "add", "path": "/a/x", "value": 5}]),
    json!({"a": {"b": 1, "c/d": 2, "n": null, "x": 5}, "list": [1, 2, 3]})
)]
#[case::adds_without_a_value(
    json!([{"op": "add", "path": "/a/b"}]),
    json!({"a": {"b": null, "c/d": 2, "n": null}, "list": [1, 2, 3]})
)]
#[case::adds_in_lists(
    json!([
        {"op": "add", "path": "/list/0", "value": 0},
        {"op": "add", "path": "/list/-", "value": 4},
        {"op": "add", "path": "/list/-1", "value": 5},
        {"op": "add", "path": "/list/6", "value": 6},
    ]),
    json!({"a": {"b": 1, "c/d": 2, "n": null}, "list": [0, 1, 2, 3, 4, 5, 6]})
)]
#[case::unescapes(
    json!([{"op": "remove", "path": "/a/c~1d"}]),
    json!({"a": {"b": 1, "n": null}, "list": [1, 2, 3]})
)]
#[case::removes_from_lists(
    json!([{"op": "remove", "path": "/list/0"}, {"op": "remove", "path": "/list/-1"}]),
    json!({"a": {"b": 1, "c/d": 2, "n": null}, "list": [2]})
)]
#[case::replaces_what_is_not_there(
    json!([{"op": "replace", "path": "/new", "value": 1}, {"op": "remove", "path": "/a"}]),
    json!({"new": 1, "list": [1, 2, 3]})
)]
#[case::replaces_in_lists(
    json!([{"op": "replace", "path": "/list/-1", "value": 9}]),
    json!({"a": {"b": 1, "c/d": 2, "n": null}, "list": [1, 2, 9]})
)]
#[case::replaces_everything(
    json!([{"op": "replace", "path": "", "value": {"z": 1}}]),
    json!({"z": 1})
)]
#[case::passes_over_a_document_that_is_none(
    json!([{"op": "replace", "path": "", "value": 1}]),
    document()
)]
#[case::moves(
    json!([{"op": "move", "from": "/list/0", "path": "/a/b"}]),
    json!({"a": {"b": 1, "c/d": 2, "n": null}, "list": [2, 3]})
)]
#[case::copies_nothing_as_null(
    json!([{"op": "copy", "from": "/nothing", "path": "/a"}]),
    json!({"a": null, "list": [1, 2, 3]})
)]
#[case::tests(
    json!([
        {"op": "test", "path": "/a/b", "value": 1},
        {"op": "test", "path": "/a/n", "value": null},
        {"op": "test", "path": "/nothing", "value": null},
        {"op": "test", "path": "", "value": document()},
    ]),
    document()
)]
#[case::does_not_need_a_first_slash(
    json!([{"op": "remove", "path": "whatever/a"}]),
    json!({"list": [1, 2, 3]})
)]
fn applies(#[case] patch: Value, #[case] expected: Value) {
    assert_eq!(json_patch(&document(), &patch), Ok(expected));
}

#[rstest]
#[case(json!([{"op": "add", "path": "", "value": {}}]))]
#[case(json!([{"op": "add", "path": "/nothing/x", "value": 1}]))]
#[case(json!([{"op": "add", "path": "/a/n/x", "value": 1}]))]
#[case(json!([{"op": "add", "path": "/a/b/x", "value": 1}]))]
#[case(json!([{"op": "add", "path": "/list/4", "value": 1}]))]
#[case(json!([{"op": "add", "path": "/list/-5", "value": 1}]))]
#[case(json!([{"op": "add", "path": "/list/x", "value": 1}]))]
#[case(json!([{"op": "add", "value": 1}]))]
#[case(json!([{"op": "remove", "path": "/nothing"}]))]
#[case(json!([{"op": "remove", "path": "/list/3"}]))]
#[case(json!([{"op": "replace", "path": "/list/3", "value": 1}]))]
#[case(json!([{"op": "replace", "path": ""}]))]
#[case(json!([{"op": "move", "from": "/nothing", "path": "/a"}]))]
#[case(json!([{"op": "move", "from": "/a", "path": "/a/b"}]))]
#[case(json!([{"op": "test", "path": "/a/b", "value": 2}]))]
#[case(json!([{"op": "test", "path": "/a/b"}]))]
#[case(json!([{"op": "test", "path": "/list/9", "value": null}]))]
#[case(json!([{"op": "put", "path": "/a"}]))]
#[case(json!([null]))]
fn refuses(#[case] patch: Value) {
    let error = json_patch(&document(), &patch).unwrap_err();
    assert!(matches!(error, PatchError::Unprocessable(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the server rejected our request due to an error in our request"
    );
}

#[rstest]
#[case(json!({}), "object into Go value of type []handlers.jsonPatchOp")]
#[case(json!(["a"]), "string into Go value of type handlers.jsonPatchOp")]
#[case(json!([{"op": 1}]), "number into Go struct field jsonPatchOp.op of type string")]
fn is_no_patch(#[case] patch: Value, #[case] reason: &str) {
    let reason = format!("error decoding patch: json: cannot unmarshal {reason}");
    assert_eq!(
        json_patch(&document(), &patch),
        Err(PatchError::BadRequest(reason))
    );
}

#[test]
fn is_limited() {
    let patch = |operations| {
        Value::Array(vec![
            json!({"op": "test", "path": "/a/b", "value": 1});
            operations
        ])
    };
    assert!(json_patch(&document(), &patch(10_000)).is_ok());
    let error = json_patch(&document(), &patch(10_001)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Request entity is too large: The allowed maximum operations in a JSON patch is \
         10000, got 10001"
    );
}

#[test]
fn unknown_fields_are_reported() {
    let patch = json!([{"op": "test", "path": "/a"}, {"op": "test", "oops": 1}]);
    assert_eq!(
        unknown_json_patch_fields(&patch),
        ["json patch unknown field \"[1].oops\""]
    );
}
