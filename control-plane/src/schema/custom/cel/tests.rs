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

/// Five thousand items, each with a few tags, and limits by name.
fn inventory(rule: &str) -> Value {
    let text = json!({"type": "string", "maxLength": 20});
    json!({
        "type": "object",
        "properties": {
            "items": {"type": "array", "maxItems": 5000, "items": text},
            "sets": {"type": "array", "maxItems": 5000, "items": {
                "type": "object",
                "properties": {
                    "name": text,
                    "tags": {"type": "array", "maxItems": 10, "items": text},
                },
            }},
            "limits": {
                "type": "object", "maxProperties": 5000, "additionalProperties": {"type": "integer"},
            },
        },
        "x-kubernetes-validations": [{"rule": rule}],
    })
}

fn five_thousand() -> Value {
    let names: Vec<String> = (0..5000).map(|number| format!("a{number}")).collect();
    let set = |name: &String| json!({"name": name, "tags": vec!["tag"; 10]});
    let limits: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), 1.into())).collect();
    json!({"spec": {
        "sets": names.iter().map(set).collect::<Vec<_>>(),
        "limits": limits,
        "items": names,
    }})
}

/// What costs kube-apiserver less than the 1,000,000 that a rule may cost when it runs.
#[rstest]
#[case("self.items.filter(x, x.startsWith('a')).map(x, x + 'b').size() > 0")]
#[case("self.items.map(x, x.startsWith('a'), x + 'b').size() == self.items.size()")]
#[case("self.sets.all(x, x.tags.all(t, t.startsWith('t') && t != x.name))")]
#[case("self.sets.all(x, x.tags.map(t, t + x.name).size() == 10)")]
#[case("self.sets.map(x, x.tags).all(tags, tags.exists(t, t == 'tag'))")]
#[case("self.sets.filter(x, has(x.name)).size() == size(self.sets)")]
#[case("self.items.all(x, x.size() < self.items.size())")]
#[case("self.items.all(x, x in self.limits && self.limits[x] == 1)")]
#[case("self.items.all(x, self.items[0] <= x && has(self.limits))")]
#[case("self.sets.all(x, self.items[0] <= x.name)")]
fn a_rule_over_thousands_of_items_runs_as_in_kubernetes(#[case] rule: &str) {
    let schema = parse(&inventory(rule)).map_err(|errors| texts(&errors));
    let errors = schema.unwrap().validate(&five_thousand());
    assert_eq!(texts(&errors), "");
}

/// What would take seconds, or much memory.
#[rstest]
#[case("self.items.all(x, self.items.all(y, self.items.all(z, x + y != z)))")]
#[case("self.items.all(x, self.sets.all(y, true))")]
#[case("self.items.map(x, self.items).size() > 0")]
#[case("self.items.map(x, self.items + self.items).all(l, l.size() > 0)")]
#[case("self.items.all(x, !('b' in self.items))")]
fn a_rule_that_multiplies_thousands_of_items_ends(#[case] rule: &str) {
    // Types that can't be followed keep the estimate low.
    let hidden = rule.replace("self.items.all", "[self.items][0].all");
    let schema = parse(&inventory(&hidden)).map_err(|errors| texts(&errors));
    let errors = texts(&schema.unwrap().validate(&five_thousand()));
    assert!(errors.contains("actual cost limit exceeded"), "{errors}");
}

#[rstest]
#[case("self.o.missing.deeper == 1", "no such key: missing")]
#[case("self.l.all(x, self.o.absent > x)", "no such key: absent")]
#[case("!has(self.o.absent) && self.l.all(x, !has(self.o.missing))", "")]
#[case(
    "self.l.map(x, self.l.map(y, 1 / 0).size() == 0 || x > 0) == [true, true]",
    ""
)]
#[case(
    "self.l.filter(x, x > 1) == [2] && self.l.map(x, [x]) == [[1], [2]]",
    ""
)]
#[case("self.l.map(x, self.l.filter(y, y != x)) == [[2], [1]]", "")]
#[case(
    "self.s.size() == 2 && size(self.l) == 2 && [self.s][0].size() == 2",
    ""
)]
fn what_is_rewritten_means_the_same(#[case] rule: &str, #[case] expected: &str) {
    let mut spec = numbers(Some(10), rule);
    let number = json!({"type": "integer"});
    spec["properties"]["o"] = json!({"type": "object", "properties": {
        "absent": number,
        "missing": {"type": "object", "properties": {"deeper": number}},
    }});
    let object = json!({"spec": {"l": [1, 2], "s": "éa", "o": {}}});
    let found = match parse(&spec) {
        Ok(schema) => texts(&schema.validate(&object)),
        Err(errors) => texts(&errors),
    };
    assert_eq!(found.contains("Invalid"), !expected.is_empty(), "{found}");
    assert!(found.contains(expected), "{found}");
}
