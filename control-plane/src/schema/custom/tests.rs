//! What a user sees of the types that CRDs bring.

use rstest::rstest;
use serde_json::{Value, json};

use super::CustomSchema;
use crate::schema::{FieldError, Path};

fn parse(schema: &Value) -> CustomSchema {
    CustomSchema::parse(schema, &Path::ROOT).unwrap()
}

/// A type whose objects have this as their `spec`.
fn with_spec(spec: &Value) -> CustomSchema {
    parse(&json!({"type": "object", "properties": {"spec": spec}}))
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// What is said of a value for `spec.x`.
fn judge(schema: &Value, value: &Value) -> Vec<String> {
    let custom = with_spec(&json!({"type": "object", "properties": {"x": schema}}));
    texts(&custom.validate(&json!({"spec": {"x": value}})))
}

#[rstest]
#[case(json!({"type": "integer"}), json!("a"), r#"spec.x: Invalid value: "string": spec.x in body must be of type integer: "string""#)]
#[case(json!({"type": "integer"}), json!(1.5), r#"spec.x: Invalid value: "number": spec.x in body must be of type integer: "number""#)]
#[case(json!({"type": "string"}), json!(null), r#"spec.x: Invalid value: "null": spec.x in body must be of type string: "null""#)]
#[case(json!({"type": "integer", "minimum": 0}), json!(-1), "spec.x: Invalid value: -1: spec.x in body should be greater than or equal to 0")]
#[case(json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true}), json!(0), "spec.x: Invalid value: 0: spec.x in body should be greater than 0")]
#[case(json!({"type": "number", "maximum": 0.5}), json!(0.75), "spec.x: Invalid value: 0.75: spec.x in body should be less than or equal to 0.5")]
#[case(json!({"type": "integer", "multipleOf": 3}), json!(4), "spec.x: Invalid value: 4: spec.x in body should be a multiple of 3")]
#[case(json!({"type": "string", "minLength": 2}), json!("é"), r#"spec.x: Invalid value: "é": spec.x in body should be at least 2 chars long"#)]
#[case(json!({"type": "string", "maxLength": 2}), json!("abc"), "spec.x: Too long: may not be more than 2 bytes")]
#[case(json!({"type": "string", "pattern": "^a+$"}), json!("b"), r#"spec.x: Invalid value: "b": spec.x in body should match '^a+$'"#)]
#[case(json!({"type": "string", "enum": ["a", "b"]}), json!("c"), r#"spec.x: Unsupported value: "c": supported values: "a", "b""#)]
#[case(json!({"type": "integer", "enum": [1, 2]}), json!(3), r#"spec.x: Unsupported value: 3: supported values: "1", "2""#)]
#[case(json!({"type": "string", "format": "date-time"}), json!("x"), r#"spec.x: Invalid value: "x": spec.x in body must be of type date-time: "x""#)]
#[case(json!({"type": "array", "maxItems": 1, "items": {"type": "string"}}), json!(["a", "b"]), "spec.x: Too many: 2: must have at most 1 item")]
#[case(json!({"type": "array", "minItems": 1, "items": {"type": "string"}}), json!([]), "spec.x: Invalid value: 0: spec.x in body should have at least 1 items")]
#[case(json!({"type": "array", "items": {"type": "string"}}), json!(["a", 1]), r#"spec.x[1]: Invalid value: "integer": spec.x[1] in body must be of type string: "integer""#)]
#[case(json!({"type": "object", "required": ["a"]}), json!({}), "spec.x.a: Required value")]
#[case(json!({"type": "object", "maxProperties": 0, "additionalProperties": {"type": "string"}}), json!({"a": "b"}), "spec.x: Too many: 1: must have at most 0 items")]
#[case(json!({"type": "object", "minProperties": 1}), json!({}), "spec.x: Invalid value: 0: spec.x in body should have at least 1 properties")]
#[case(json!({"type": "object", "additionalProperties": {"type": "string"}}), json!({"a/b": 1}), r#"spec.x.a/b: Invalid value: "integer": spec.x.a/b in body must be of type string: "integer""#)]
#[case(json!({"type": "object", "additionalProperties": false}), json!({"a": 1}), r#"spec.x: Invalid value: "a": spec.x.a in body is a forbidden property"#)]
#[case(json!({"x-kubernetes-int-or-string": true}), json!(true), r#"spec.x: Invalid value: "boolean": spec.x in body must be of type integer,string: "boolean""#)]
#[case(json!({"type": "string", "not": {"enum": ["a"]}}), json!("a"), r#"<nil>: Invalid value: "": "spec.x" must not validate the schema (not)"#)]
#[case(json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}), json!(["a", "b", "a", "a"]), r#"spec.x[2]: Duplicate value: "a""#)]
#[case(json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "string"}}}}), json!([{"k": "a"}, {"k": "a", "v": "b"}]), r#"spec.x[1]: Duplicate value: {"k":"a"}"#)]
#[case(json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}), json!({"kind": "A"}), "spec.x.apiVersion: Required value")]
fn a_value_that_is_invalid_is_refused(
    #[case] schema: Value,
    #[case] value: Value,
    #[case] expected: &str,
) {
    assert_eq!(judge(&schema, &value), [expected]);
}

#[rstest]
#[case(json!({"type": "integer"}), json!(1))]
#[case(json!({"type": "number"}), json!(1))]
#[case(json!({"type": "string", "nullable": true}), json!(null))]
#[case(json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}), json!("1%"))]
#[case(json!({"type": "integer", "minimum": 1, "maximum": 1, "enum": [1], "multipleOf": 1}), json!(1))]
#[case(json!({"type": "string", "format": "something"}), json!("1"))]
#[case(json!({"x-kubernetes-preserve-unknown-fields": true}), json!([{"a": 1}]))]
fn a_value_that_is_valid_passes(#[case] schema: Value, #[case] value: Value) {
    assert_eq!(judge(&schema, &value), Vec::<String>::new());
}

#[test]
fn of_several_alternatives_the_closest_explains() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]
    });
    let both = judge(&schema, &json!({"a": "1", "b": "2"}));
    let expected = r#"<nil>: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). Found 2 valid alternatives"#;
    assert_eq!(both, [expected]);
    let none = judge(&schema, &json!({}));
    let expected = r#"<nil>: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). Found none valid"#;
    assert_eq!(none, [expected, "spec.x.a: Required value"]);
    let any = json!({
        "type": "integer",
        "anyOf": [{"minimum": 5}, {"enum": [1]}],
        "allOf": [{"maximum": 9}]
    });
    assert_eq!(judge(&any, &json!(1)), Vec::<String>::new());
    assert_eq!(
        judge(&any, &json!(10)),
        [
            "spec.x: Invalid value: 10: spec.x in body should be less than or equal to 9",
            r#"<nil>: Invalid value: "": "spec.x" must validate all the schemas (allOf). None validated"#
        ]
    );
}

#[test]
fn defaults_are_filled_in() {
    let custom = parse(&json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "default": {"nested": {}},
                "properties": {
                    "replicas": {"type": "integer", "default": 1},
                    "note": {"type": "string"},
                    "maybe": {"type": "string", "nullable": true, "default": "x"},
                    "nested": {"type": "object", "properties": {"a": {"type": "string", "default": "b"}}},
                    "list": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
                    "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"q": {"type": "integer", "default": 0}}}}
                }
            }
        }
    }));
    let filled = |mut object: Value| {
        custom.drop_nulls(&mut object);
        custom.default(&mut object);
        let once = object.clone();
        custom.default(&mut object);
        assert_eq!(object, once);
        object
    };
    assert_eq!(
        filled(json!({})),
        json!({"spec": {"replicas": 1, "maybe": "x", "nested": {"a": "b"}}})
    );
    assert_eq!(
        filled(json!({"spec": {
            "replicas": null, "note": null, "maybe": null, "list": [{}, {"p": "UDP"}], "map": {"k": {}}
        }})),
        json!({"spec": {
            "replicas": 1, "maybe": null, "list": [{"p": "TCP"}, {"p": "UDP"}], "map": {"k": {"q": 0}}
        }})
    );
}

#[test]
fn unknown_fields_are_dropped_and_named() {
    let custom = with_spec(&json!({
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"strict": {"type": "object", "properties": {"b": {"type": "string"}}}}},
            "free": {"x-kubernetes-preserve-unknown-fields": true},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "loose": {"type": "object", "additionalProperties": true},
            "resource": {"type": "object", "x-kubernetes-embedded-resource": true,
                         "properties": {"spec": {"type": "object"}}}
        }
    }));
    let mut object = json!({
        "apiVersion": "a/v1", "kind": "A", "metadata": {"name": "n", "typo": 1}, "foo": 1,
        "spec": {
            "list": [{"a": "x"}, {"a": "x", "c": 1}],
            "any": {"x": {"y": 1}, "strict": {"z": 1}},
            "free": {"x": {"y": 1}},
            "map": {"k": "v"},
            "loose": {"k": {"gone": 1}, "l": 1},
            "resource": {"apiVersion": "v1", "kind": "B", "metadata": {"nome": 1}, "spec": {"w": 1}, "v": 1},
            "bar": {"baz": 1}
        }
    });
    assert_eq!(
        custom.prune(&mut object),
        [
            "foo",
            "metadata.typo",
            "spec.any.strict.z",
            "spec.bar",
            "spec.list[1].c",
            "spec.loose.k.gone",
            "spec.resource.metadata.nome",
            "spec.resource.spec.w",
            "spec.resource.v"
        ]
    );
    assert_eq!(
        object,
        json!({
            "apiVersion": "a/v1", "kind": "A", "metadata": {"name": "n"},
            "spec": {
                "list": [{"a": "x"}, {"a": "x"}],
                "any": {"x": {"y": 1}, "strict": {}},
                "free": {"x": {"y": 1}},
                "map": {"k": "v"},
                "loose": {"k": {}, "l": 1},
                "resource": {"apiVersion": "v1", "kind": "B", "metadata": {}, "spec": {}}
            }
        })
    );
    assert!(custom.prune(&mut object).is_empty());
}

/// What the rules say of an object with this `spec`, and the one before.
fn ruled(rules: &Value, spec: &Value, old: Option<Value>) -> Vec<String> {
    let custom = with_spec(&json!({
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "name": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
            "size": {"type": "number"},
            "x-y": {"type": "string"},
            "limit": {"x-kubernetes-int-or-string": true}
        },
        "x-kubernetes-validations": rules
    }));
    let object = json!({"spec": spec});
    texts(&match old {
        Some(old) => custom.validate_update(&object, &json!({"spec": old})),
        None => custom.validate(&object),
    })
}

#[rstest]
#[case(json!({"rule": "self.a > 1"}), r#"spec: Invalid value: "object": failed rule: self.a > 1"#)]
#[case(json!({"rule": "self.a > 1", "message": " too small "}), r#"spec: Invalid value: "object": too small"#)]
#[case(json!({"rule": "self.a > 1", "messageExpression": "'a is ' + string(self.a)"}), r#"spec: Invalid value: "object": a is 1"#)]
#[case(json!({"rule": "self.a > 1", "messageExpression": "self.name", "message": "m"}), r#"spec: Invalid value: "object": m"#)]
#[case(json!({"rule": "self.a > 1", "fieldPath": ".a", "reason": "FieldValueForbidden"}), "spec.a: Forbidden: failed rule: self.a > 1")]
#[case(json!({"rule": "self.a > 1", "reason": "FieldValueRequired"}), "spec: Required value: failed rule: self.a > 1")]
#[case(json!({"rule": "self.name == 'x'"}), r#"spec: Invalid value: "object": no such key: name evaluating rule: self.name == 'x'"#)]
#[case(json!({"rule": "1 / (self.a - 1) == 0"}), r#"spec: Invalid value: "object": division by zero evaluating rule: 1 / (self.a - 1) == 0"#)]
fn a_rule_that_fails_is_told(#[case] rule: Value, #[case] expected: &str) {
    assert_eq!(ruled(&json!([rule]), &json!({"a": 1}), None), [expected]);
}

#[rstest]
#[case("self.a == 1 && has(self.name) && !has(self.limit)")]
#[case("self.time < timestamp('2030-01-01T00:00:00Z')")]
#[case("self.size == 2.0")]
#[case("self.x__dash__y == 'z'")]
#[case("self.name.startsWith('n') && self.name.matches('^n+$') && self.name.lowerAscii() == 'n'")]
#[case("[1, 2].exists(i, i == self.a)")]
fn a_rule_that_holds_is_silent(#[case] rule: &str) {
    let spec = json!({
        "a": 1, "name": "n", "time": "2020-01-01T00:00:00Z", "size": 2, "x-y": "z"
    });
    let errors = ruled(&json!([{ "rule": rule }]), &spec, None);
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn a_transition_rule_needs_an_old_value() {
    let rules = json!([{"rule": "self.a >= oldSelf.a", "message": "no shrinking"}]);
    let none = Vec::<String>::new();
    assert_eq!(ruled(&rules, &json!({"a": 1}), None), none);
    assert_eq!(ruled(&rules, &json!({"a": 2}), Some(json!({"a": 1}))), none);
    let expected = r#"spec: Invalid value: "object": no shrinking"#;
    assert_eq!(
        ruled(&rules, &json!({"a": 1}), Some(json!({"a": 2}))),
        [expected]
    );
}

#[test]
fn a_rule_can_tell_null_from_a_value() {
    let custom = parse(&json!({
        "type": "object",
        "properties": {"a": {"type": "string", "nullable": true, "maxLength": 9}},
        "x-kubernetes-validations": [{"rule": "!has(self.a) || dyn(self.a) == null || self.a.startsWith('x')"}],
    }));
    assert_eq!(custom.validate(&json!({"a": null})), vec![]);
    assert_eq!(custom.validate(&json!({"a": "xy"})), vec![]);
    assert_eq!(custom.validate(&json!({"a": "y"})).len(), 1);
}

#[test]
fn an_optional_old_value_can_be_asked_for() {
    let rules = json!([{"rule": "oldSelf.hasValue() || self.a == 1", "optionalOldSelf": true}]);
    let none = Vec::<String>::new();
    assert_eq!(ruled(&rules, &json!({"a": 1}), None), none);
    assert_eq!(ruled(&rules, &json!({"a": 2}), None).len(), 1);
    assert_eq!(ruled(&rules, &json!({"a": 2}), Some(json!({"a": 1}))), none);
}

#[test]
fn old_items_are_found_by_their_keys() {
    let item = json!({
        "type": "object",
        "required": ["k"],
        "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}]
    });
    let custom = with_spec(&json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": item
    }));
    let old = json!({"spec": [{"k": "a", "v": 2}, {"k": "b", "v": 1}]});
    let new = json!({"spec": [{"k": "b", "v": 1}, {"k": "a", "v": 1}, {"k": "c", "v": 0}]});
    let errors = texts(&custom.validate_update(&new, &old));
    let expected = r#"spec[1]: Invalid value: "object": failed rule: self.v >= oldSelf.v"#;
    assert_eq!(errors, [expected]);
}

#[test]
fn rules_wait_until_the_rest_is_right() {
    let errors = ruled(&json!([{"rule": "self.a > 1"}]), &json!({"a": "x"}), None);
    assert_eq!(
        errors,
        [
            r#"spec.a: Invalid value: "string": spec.a in body must be of type integer: "string""#,
            "<nil>: Invalid value: null: some validation rules were not checked because the \
             object was invalid; correct the existing errors to complete validation"
        ]
    );
}

#[test]
fn what_was_invalid_and_did_not_change_is_let_through() {
    let custom = with_spec(&json!({
        "type": "object",
        "properties": {
            "low": {"type": "integer", "minimum": 5},
            "other": {"type": "string"},
            "even": {"type": "integer", "x-kubernetes-validations": [{"rule": "self % 2 == 0"}]},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}}
        }
    }));
    let old = json!({"spec": {"low": 1, "even": 3, "set": [1, 1]}});
    let same = json!({"spec": {"low": 1, "even": 3, "set": [1, 1], "other": "x"}});
    assert_eq!(
        texts(&custom.validate_update(&same, &old)),
        Vec::<String>::new()
    );
    assert_eq!(custom.validate(&same).len(), 3);
    let changed = json!({"spec": {"low": 2, "even": 5}});
    assert_eq!(
        texts(&custom.validate_update(&changed, &old)),
        [
            "spec.low: Invalid value: 2: spec.low in body should be greater than or equal to 5",
            r#"spec.even: Invalid value: "integer": failed rule: self % 2 == 0"#
        ]
    );
}

#[test]
fn a_status_is_checked_by_itself() {
    let custom = parse(&json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "required": ["a"]},
            "status": {"type": "object", "required": ["b"], "properties": {"n": {"type": "integer", "minimum": 0}}}
        }
    }));
    let errors = custom.validate_status(&json!({"status": {"n": -1}}), &json!({}));
    assert_eq!(
        texts(&errors),
        [
            "status.n: Invalid value: -1: n in body should be greater than or equal to 0",
            "status.b: Required value"
        ]
    );
}

#[test]
fn of_many_errors_the_first_are_told() {
    let schema = json!({"type": "array", "items": {"type": "string"}});
    let found = judge(&schema, &json!(vec![1; 300_000]));
    assert_eq!(found.len(), 101);
    assert_eq!(
        found.first().unwrap(),
        r#"spec.x[0]: Invalid value: "integer": spec.x[0] in body must be of type string: "integer""#
    );
    assert_eq!(
        found.last().unwrap(),
        "<nil>: Too many: only the first 100 errors are shown"
    );
}

#[test]
fn an_error_that_several_schemas_find_is_told_once() {
    let text = json!({"type": "string", "maxLength": 1});
    let schema = json!({"type": "string", "maxLength": 1, "allOf": [{"maxLength": 1}]});
    let found = judge(&schema, &json!("ab"));
    let too_long = "spec.x: Too long: may not be more than 1 byte";
    let times = found.iter().filter(|text| *text == too_long).count();
    assert_eq!(times, 1, "{found:?}");
    assert_eq!(judge(&text, &json!("ab")), [too_long]);
}

#[test]
fn nothing_is_checked_once_the_time_has_passed() {
    let schema = json!({
        "type": "array", "x-kubernetes-list-type": "set",
        "items": {"type": "string", "default": "a"},
    });
    let custom = with_spec(&json!({"type": "object", "properties": {"x": schema}}));
    let wrong = json!({"spec": {"x": [1, 1, null], "unknown": 1}});
    assert!(!custom.validate(&wrong).is_empty());
    let late = crate::work::too_late(|| {
        let mut value = wrong.clone();
        custom.default(&mut value);
        custom.drop_nulls(&mut value);
        let unknown = custom.prune(&mut value);
        (custom.validate(&wrong), unknown, value)
    });
    assert_eq!(late, (Vec::new(), Vec::new(), wrong));
}
