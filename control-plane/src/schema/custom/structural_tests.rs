//! Which schemas a CRD may not have, and what is said of them.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::CustomSchema;
use crate::schema::Path;

/// What is said of a schema for the field `x` of a `spec`.
fn complaints(x: &Value) -> Vec<String> {
    let schema = json!({"type": "object", "properties": {"x": x}});
    let Err(errors) = CustomSchema::parse(&schema, &Path::ROOT) else {
        return Vec::new();
    };
    errors.iter().map(ToString::to_string).collect()
}

#[rstest]
#[case(json!({}), "properties[x].type: Required value: must not be empty for specified object fields")]
#[case(json!({"type": "array"}), "properties[x].items: Required value: must be specified")]
#[case(json!({"type": "array", "items": {}}), "properties[x].items.type: Required value: must not be empty for specified array items")]
#[case(json!({"type": "text"}), r#"properties[x].type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string""#)]
#[case(json!({"$ref": "#/a", "type": "object"}), "properties[x].$ref: Forbidden: $ref is not supported")]
#[case(json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}), "properties[x].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive")]
#[case(json!({"type": "string", "allOf": [{"type": "string"}]}), "properties[x].allOf[0].type: Forbidden: must be empty to be structural")]
#[case(json!({"type": "string", "anyOf": [{"default": "a"}]}), "properties[x].anyOf[0].default: Forbidden: must be undefined to be structural")]
#[case(json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}), "properties[x].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic")]
#[case(json!({"type": "integer", "default": "a"}), r#"properties[x].default: Invalid value: "string":  in body must be of type integer: "string""#)]
#[case(json!({"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}), r#"properties[x].default: Invalid value: {"b":1}: must not have unknown fields"#)]
#[case(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}), "properties[x].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined")]
#[case(json!({"type": "string", "x-kubernetes-list-type": "set"}), r#"properties[x].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified"#)]
#[case(json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "bag"}), r#"properties[x].x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map""#)]
#[case(json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}), "properties[x].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map")]
#[case(json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-map-keys": ["a"], "x-kubernetes-list-type": "map"}), r#"properties[x].x-kubernetes-list-map-keys: Invalid value: ["a"]: entries must all be names of item properties"#)]
#[case(json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}), "properties[x].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set")]
#[case(json!({"type": "string", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}), r#"properties[x].type: Invalid value: "string": must be object if x-kubernetes-embedded-resource is true"#)]
#[case(json!({"type": "integer", "x-kubernetes-validations": [{"rule": ""}]}), "properties[x].x-kubernetes-validations[0].rule: Required value: rule is not specified")]
#[case(json!({"type": "integer", "x-kubernetes-validations": [{"rule": "true", "reason": "Bad"}]}), r#"properties[x].x-kubernetes-validations[0].reason: Unsupported value: "Bad": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired""#)]
#[case(json!({"type": "integer", "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".a"}]}), r#"properties[x].x-kubernetes-validations[0].fieldPath: Invalid value: ".a": must be a valid path"#)]
#[case(json!({"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > oldSelf"}]}}), r#"properties[x].items.x-kubernetes-validations[0].rule: Invalid value: "self > oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within properties[x]"#)]
#[case(json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 0", "optionalOldSelf": true}]}), "properties[x].x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule")]
fn a_schema_that_is_wrong_is_refused(#[case] schema: Value, #[case] expected: &str) {
    let complaints = complaints(&schema);
    assert!(
        complaints.iter().any(|complaint| complaint == expected),
        "{complaints:#?}"
    );
}

#[test]
fn a_rule_that_does_not_compile_is_shown() {
    let complaints = complaints(&json!({
        "type": "integer", "x-kubernetes-validations": [{"rule": "self > ", "message": "m"}]
    }));
    let expected = r#"properties[x].x-kubernetes-validations[0].rule: Invalid value: {"Rule":"self \u003e ","Message":"m","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: compilation failed: ERROR: <input>:1:"#;
    assert!(complaints[0].starts_with(expected), "{}", complaints[0]);
}

/// What is said of a rule for objects with some fields.
fn rule_complaint(rule: &str) -> Option<String> {
    let complaints = complaints(&json!({
        "type": "object",
        "properties": {
            "n": {"type": "integer"}, "s": {"type": "string"}, "b": {"type": "boolean"},
            "a-b": {"type": "string"}, "any": {"x-kubernetes-preserve-unknown-fields": true},
            "l": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "integer"}}}},
            "m": {"type": "object", "additionalProperties": {"type": "object", "properties": {"v": {"type": "string"}}}},
            "r": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}
        },
        "x-kubernetes-validations": [{"rule": rule, "message": "m"}]
    }));
    let complaint = complaints.into_iter().next()?;
    let (_, detail) = complaint.split_once("\"OptionalOldSelf\":null}: ")?;
    Some(detail.to_string())
}

#[rstest]
#[case("self.n > 0 && has(self.s) && self.b")]
#[case("self.a__dash__b == 'x' && self.any.what == 1")]
#[case("self.l.all(i, i.k > self.n) && self.l[0].k == 1 && self.l.map(i, i.k).size() > 0")]
#[case("self.m.x.v == 'y' && self.m['z'].v == 'y' && self.m.all(key, key != 'a')")]
#[case("self.r.metadata.name == 'a' && self.r.kind == 'B' && self.r.spec == 1")]
#[case("math.greatest(self.n, 1) == 1 && quantity(self.s).isLessThan(quantity('1Gi'))")]
#[case("self.n == oldSelf.n && type(self.n) == int")]
#[case("self.b ? self.n == 1 : true")]
#[case("isURL(self.s)")]
fn a_rule_that_names_what_is_there_passes(#[case] rule: &str) {
    assert_eq!(rule_complaint(rule), None);
}

#[rstest]
#[case(
    "self.foo > 0",
    "compilation failed: ERROR: <input>:1:5: undefined field 'foo'\n | self.foo > 0\n | ....^"
)]
#[case(
    "self.l.all(i, i.z > 0)",
    "compilation failed: ERROR: <input>:1:16: undefined field 'z'\n | self.l.all(i, i.z > 0)\n | ...............^"
)]
#[case(
    "foo == 1",
    "compilation failed: ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo == 1\n | ^"
)]
#[case("self.s", "cel expression must evaluate to a bool")]
#[case("self.n + 1", "cel expression must evaluate to a bool")]
fn a_rule_that_names_what_is_not_there_is_refused(#[case] rule: &str, #[case] expected: &str) {
    assert_eq!(rule_complaint(rule).as_deref(), Some(expected));
}

#[rstest]
#[case(json!({"type": "object", "additionalProperties": {"type": "object"}}), "additionalProperties: Forbidden: must not be used at the root")]
#[case(json!({"type": "string"}), r#"type: Invalid value: "string": must be object at the root"#)]
#[case(json!({}), "type: Required value: must not be empty at the root")]
#[case(json!({"type": "object", "nullable": true}), "nullable: Forbidden: nullable cannot be true at the root")]
#[case(json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}), "properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified")]
#[case(json!({"type": "object", "properties": {"kind": {"type": "integer"}}}), r#"properties[kind].type: Invalid value: "integer": must be string"#)]
#[case(json!({"type": "object", "oneOf": [{"properties": {"a": {"minLength": 1}}}]}), "properties[a]: Required value: because it is defined in oneOf[0].properties[a]")]
fn a_root_that_is_wrong_is_refused(#[case] schema: Value, #[case] expected: &str) {
    let errors = CustomSchema::parse(&schema, &Path::ROOT).unwrap_err();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(errors.iter().any(|error| error == expected), "{errors:#?}");
}

#[rstest]
#[case(json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}))]
#[case(json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"minimum": 1}]}))]
#[case(json!({"x-kubernetes-preserve-unknown-fields": true}))]
#[case(json!({"type": "object", "properties": {"a": {"type": "string"}}, "oneOf": [{"required": ["a"]}], "default": {"a": "b"}}))]
#[case(json!({"type": "array", "items": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}))]
fn a_structural_schema_passes(#[case] schema: Value) {
    assert_eq!(complaints(&schema), Vec::<String>::new());
}

/// A structural schema, and values that it permits.
fn schema_and_value() -> impl Strategy<Value = (Value, Value)> {
    let leaf = prop_oneof![
        (0_i64..100).prop_map(|n| (
            json!({"type": "integer", "minimum": 0, "maximum": 100}),
            json!(n)
        )),
        "[a-z]{0,5}".prop_map(|s| (
            json!({"type": "string", "pattern": "^[a-z]*$", "maxLength": 5}),
            json!(s)
        )),
        any::<bool>().prop_map(|b| (json!({"type": "boolean", "default": b}), json!(b))),
        Just((json!({"type": "number", "nullable": true}), Value::Null)),
        (1_i64..9).prop_map(|n| (json!({"x-kubernetes-int-or-string": true}), json!(n))),
        Just((
            json!({"type": "string", "enum": ["a", "b"], "default": "a"}),
            json!("b")
        )),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0_usize..4).prop_map(|((schema, value), n)| {
                (
                    json!({"type": "array", "items": schema}),
                    json!(vec![value; n]),
                )
            }),
            prop::collection::btree_map("[a-d]", inner.clone(), 0..4).prop_map(|fields| {
                let mut schemas = serde_json::Map::new();
                let mut values = serde_json::Map::new();
                for (name, (schema, value)) in fields {
                    schemas.insert(name.clone(), schema);
                    values.insert(name, value);
                }
                let required: Vec<_> = schemas.keys().cloned().collect();
                (
                    json!({"type": "object", "properties": schemas, "required": required}),
                    json!(values),
                )
            }),
            (inner, "[a-d]{1,2}").prop_map(|((schema, value), name)| {
                (
                    json!({"type": "object", "additionalProperties": schema}),
                    json!({name: value}),
                )
            }),
        ]
    })
}

/// Any JSON, with words that schemas are made of.
fn odd_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(object|array|string|integer|map|set|atomic|self > 0|oldSelf|\\(+|a|\\[)"
            .prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("type"),
        Just("properties"),
        Just("items"),
        Just("additionalProperties"),
        Just("default"),
        Just("allOf"),
        Just("anyOf"),
        Just("not"),
        Just("enum"),
        Just("minimum"),
        Just("pattern"),
        Just("required"),
        Just("nullable"),
        Just("x-kubernetes-list-type"),
        Just("metadata"),
        Just("x-kubernetes-list-map-keys"),
        Just("x-kubernetes-validations"),
        Just("rule"),
        Just("x-kubernetes-embedded-resource"),
        Just("x-kubernetes-preserve-unknown-fields"),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_string), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_made_from_a_schema_is_valid((schema, value) in schema_and_value()) {
        let root = json!({"type": "object", "properties": {"x": schema}});
        let custom = CustomSchema::parse(&root, &Path::ROOT).unwrap();
        let mut object = json!({"x": value});
        prop_assert_eq!(custom.validate(&object), vec![]);
        let given = object.clone();
        prop_assert!(custom.prune(&mut object).is_empty());
        custom.default(&mut object);
        let once = object.clone();
        custom.default(&mut object);
        prop_assert_eq!(&object, &once);
        prop_assert_eq!(custom.validate(&object), vec![]);
        prop_assert_eq!(custom.validate_update(&object, &given), vec![]);
    }

    #[test]
    fn no_schema_is_too_odd(schema in odd_schema(), value in odd_schema(), old in odd_schema()) {
        let mut root = schema;
        if let Value::Object(fields) = &mut root {
            fields.insert("type".into(), json!("object"));
        }
        if let Ok(custom) = CustomSchema::parse(&root, &Path::ROOT) {
            let mut object = value;
            custom.default(&mut object);
            custom.prune(&mut object);
            let _ = custom.validate(&object);
            let _ = custom.validate_update(&object, &old);
            let _ = custom.validate_status(&object, &old);
        }
    }
}
