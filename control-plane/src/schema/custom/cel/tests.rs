//! What rules may cost, and what becomes of those that cost more.

use std::fmt::Write;

use rstest::rstest;
use serde_json::{Value, json};

use crate::schema::custom::CustomSchema;
use crate::schema::{FieldError, Path};

/// A type whose objects have this as their `spec`.
fn parse(spec: &Value) -> Result<CustomSchema, Vec<FieldError>> {
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    CustomSchema::parse(&schema, &Path::ROOT)
}

fn texts(errors: &[FieldError]) -> String {
    errors.iter().fold(String::new(), |mut all, error| {
        writeln!(all, "{error}").unwrap();
        all
    })
}

/// Numbers in a list `l`, at most so many, with a rule.
fn numbers(most: Option<i64>, rule: &str) -> Value {
    let mut list = json!({"type": "array", "items": {"type": "integer"}});
    if let Some(most) = most {
        list["maxItems"] = most.into();
    }
    json!({
        "type": "object",
        "properties": {"l": list, "s": {"type": "string", "maxLength": 20}},
        "x-kubernetes-validations": [{"rule": rule}],
    })
}

#[rstest]
#[case::two_loops(None, "self.l.all(x, self.l.exists(y, x == y))", "more than 100x")]
#[case::three_loops(
    Some(200),
    "self.l.all(x, self.l.all(y, self.l.all(z, x + y > z)))",
    "x (try"
)]
#[case::five_loops(
    Some(40),
    "self.l.all(a, self.l.all(b, self.l.all(c, self.l.all(d, self.l.all(e, a+b+c+d > e)))))",
    "more than 100x"
)]
fn a_rule_that_may_cost_too_much_is_refused_with_its_definition(
    #[case] most: Option<i64>,
    #[case] rule: &str,
    #[case] factor: &str,
) {
    let errors = texts(&parse(&numbers(most, rule)).unwrap_err());
    let expected = "properties[spec].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds \
                    budget by factor of ";
    assert!(errors.contains(expected), "{errors}");
    assert!(errors.contains(factor), "{errors}");
}

#[rstest]
#[case(None, "self.l.all(x, x > 0)")]
#[case(Some(100), "self.l.all(x, self.l.exists(y, x == y))")]
#[case(
    Some(100),
    "self.l.all(x, self.l.exists_one(y, x == y)) && self.s.startsWith('a')"
)]
fn rules_that_kubernetes_takes_are_taken(#[case] most: Option<i64>, #[case] rule: &str) {
    let parsed = parse(&numbers(most, rule));
    assert!(parsed.is_ok(), "{}", texts(&parsed.unwrap_err()));
}

#[test]
fn all_rules_of_a_schema_are_bounded_together() {
    // Each within its own bound.
    let mut spec = numbers(Some(1000), "");
    let rule = json!({"rule": "self.l.all(x, self.l.exists(y, x == y))"});
    spec["x-kubernetes-validations"] = vec![rule; 20].into();
    let errors = texts(&parse(&spec).unwrap_err());
    let expected = "Forbidden: x-kubernetes-validations estimated rule & messageExpression cost \
                    total for entire OpenAPIv3 schema exceeds budget by factor of ";
    assert!(errors.contains(expected), "{errors}");
}

#[rstest]
#[case(&format!("self{}", ".l".repeat(8000)))]
#[case(&format!("self.l{} == 1", "[0]".repeat(4000)))]
#[case(&format!("'x'{} == 'x'", ".trim()".repeat(3000)))]
#[case(&format!("{}true", "!".repeat(50_000)))]
#[case(&format!("{}1{} == 1", "(".repeat(40_000), ")".repeat(40_000)))]
#[case(&format!("1{} == 1", "+1".repeat(40_000)))]
fn a_rule_that_nests_deep_is_refused_with_its_definition(#[case] rule: &str) {
    let errors = texts(&parse(&numbers(None, rule)).unwrap_err());
    assert!(
        errors.contains("expression recursion limit exceeded: 250"),
        "{errors}"
    );
}

/// As deep as it may be.
#[test]
fn a_rule_of_the_greatest_depth_runs() {
    for rule in [
        format!("'x'{} == 'x'", ".trim()".repeat(100)),
        format!("{}1 == 1{}", "[true].all(x, ".repeat(20), ")".repeat(20)),
        format!("1{} == 200", "+1".repeat(199)),
    ] {
        let schema = parse(&numbers(Some(10), &rule)).map_err(|errors| texts(&errors));
        let errors = schema.unwrap().validate(&json!({"spec": {"l": []}}));
        assert_eq!(texts(&errors), "", "{rule}");
    }
}

#[test]
fn a_run_ends_when_it_has_cost_too_much() {
    // The type is not known, so that the definition's estimate is low.
    let spec = json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-validations": [
            {"rule": "self.l.all(x, self.l.exists(y, x == y))"},
            {"rule": "false", "message": "never said"},
        ],
    });
    let schema = parse(&spec).map_err(|errors| texts(&errors));
    let numbers: Vec<i64> = (0..6000).collect();
    // Rules do not see fields that have no schema.
    let errors = schema.unwrap().validate(&json!({"spec": {"l": numbers}}));
    assert!(texts(&errors).contains("no such key"), "{}", texts(&errors));
    // What is within the estimate by its bounds, but copies much.
    let rule = "self.l.map(x, self.l).map(x, x.map(y, y + 1)).size() > 0";
    let schema = parse(&numbers_of(1500, rule)).map_err(|errors| texts(&errors));
    let numbers: Vec<i64> = (0..1500).collect();
    let errors = texts(&schema.unwrap().validate(&json!({"spec": {"l": numbers}})));
    let expected = format!(
        "spec: Invalid value: \"object\": 'operation cancelled: actual cost limit exceeded': no \
         further validation rules will be run due to call cost exceeds limit for rule: {rule}\n"
    );
    assert_eq!(errors, expected);
}

/// With a second rule, which fails.
fn numbers_of(most: i64, rule: &str) -> Value {
    let mut spec = numbers(Some(most), rule);
    let rules = spec["x-kubernetes-validations"].as_array_mut().unwrap();
    rules.push(json!({"rule": "false", "message": "never said"}));
    spec
}

#[test]
fn functions_pay_for_what_they_make() {
    for rule in [
        "self.s.replace('a', 'b').size() > 0 && lists.range(1000000000).size() > 0",
        "[self.s, self.s].join('x').size() > 0 && '%.999999999f'.format([4.0]) != ''",
    ] {
        let schema = parse(&numbers(Some(10), rule)).map_err(|errors| texts(&errors));
        let errors = texts(
            &schema
                .unwrap()
                .validate(&json!({"spec": {"l": [], "s": "aa"}})),
        );
        assert!(
            errors.contains("actual cost limit exceeded"),
            "{rule}: {errors}"
        );
    }
    // Within the budget, and more than the interpreter can do.
    let rule = "'%.100000f'.format([4.0]) != ''";
    let schema = parse(&numbers(Some(10), rule)).map_err(|errors| texts(&errors));
    let errors = texts(
        &schema
            .unwrap()
            .validate(&json!({"spec": {"l": [], "s": "aa"}})),
    );
    assert!(errors.contains("internal error"), "{errors}");
}
