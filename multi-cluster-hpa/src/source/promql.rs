//! Queries: their check, and those that stand for metrics of `autoscaling/v2`.

use federation::prometheus::{regex_escaped, string_escaped};
use k8s_openapi::api::autoscaling::v2::MetricIdentifier;
use promql_parser::parser;

/// What is wrong with a query, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at character {character} of {query:?}: correct the PromQL")]
pub struct Wrong {
    /// What the parser says.
    pub problem: String,
    /// Up to here it could have become a query, counted from 1.
    pub character: usize,
    query: String,
}

/// Checks that a query can be parsed.
pub fn check(query: &str) -> Result<(), Wrong> {
    let Err(problem) = parser::parse(query) else {
        return Ok(());
    };
    // The parser does not say where. It is after the longest beginning that something could follow.
    let ends = query
        .char_indices()
        .map(|(end, _)| end)
        .chain([query.len()]);
    let good = ends
        .filter(|end| is_beginning(&query[..*end]))
        .max()
        .unwrap_or(0);
    Err(Wrong {
        problem,
        character: query[..good].chars().count() + 1,
        query: query.to_owned(),
    })
}

/// Whether something can follow that makes it a query. What is tried is what ends any expression:
/// an operand, a label's match, a range; the open brackets; the operand of an aggregation.
fn is_beginning(text: &str) -> bool {
    const NEXT: [&str; 10] = [
        "", "a", " a", "(a)", "\"\"", "=\"\"", "a=\"\"", "[1m]", "1m]", "\"",
    ];
    const LAST: [&str; 3] = ["", "(a)", " (a)"];
    let close = closing(text);
    let quoted = closing(&format!("{text}\""));
    NEXT.iter().any(|next| {
        let close = match *next {
            "\"" => &quoted,
            "1m]" => close.strip_prefix(']').unwrap_or(&close),
            _ => &close,
        };
        LAST.iter()
            .any(|last| parser::parse(&format!("{text}{next}{close}{last}")).is_ok())
    })
}

/// The brackets that are open at the end, closed. Those inside of strings are text.
fn closing(text: &str) -> String {
    let mut open = Vec::new();
    let mut quote = None;
    let mut escaped = false;
    for character in text.chars() {
        if let Some(end) = quote {
            if !escaped && character == end {
                quote = None;
            }
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '"' | '\'' | '`' => quote = Some(character),
            '(' => open.push(')'),
            '{' => open.push('}'),
            '[' => open.push(']'),
            ')' | '}' | ']' => drop(open.pop()),
            _ => {}
        }
    }
    open.into_iter().rev().collect()
}

/// The series of a metric, with these labels besides those of its selector.
pub(crate) fn series(metric: &MetricIdentifier, labels: &[(&str, &str)]) -> Result<String, String> {
    let mut matchers: Vec<String> = labels
        .iter()
        .map(|(name, value)| matcher(name, "=", value))
        .collect();
    if let Some(selector) = &metric.selector {
        for (name, value) in selector.match_labels.iter().flatten() {
            matchers.push(matcher(name, "=", value));
        }
        for one in selector.match_expressions.iter().flatten() {
            let values = one.values.as_deref().unwrap_or_default();
            let any: Vec<_> = values.iter().map(|value| regex_escaped(value)).collect();
            let any = any.join("|");
            matchers.push(match one.operator.as_str() {
                "In" => matcher(&one.key, "=~", &any),
                "NotIn" => matcher(&one.key, "!~", &any),
                "Exists" => matcher(&one.key, "!=", ""),
                "DoesNotExist" => matcher(&one.key, "=", ""),
                other => {
                    return Err(format!(
                        "spec.metrics: selector of {}: operator {other:?} is unknown: write In, NotIn, Exists or DoesNotExist",
                        metric.name
                    ));
                }
            });
        }
    }
    let query = format!("{}{{{}}}", metric.name, matchers.join(","));
    check(&query).map_err(|error| {
        format!(
            "spec.metrics: {} is no name of a metric in Prometheus: {error}",
            metric.name
        )
    })?;
    Ok(query)
}

fn matcher(name: &str, operator: &str, value: &str) -> String {
    format!("{name}{operator}\"{}\"", string_escaped(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("sum by (cluster_name) (rate(http_requests_total[1m]))")]
    #[case("1 + 1")]
    #[case("histogram_quantile(0.9, sum by (le, cluster_name) (rate(x_bucket[5m])))")]
    #[case("a{b=~\"c|d\"} / on (cluster_name) d offset 5m")]
    fn what_prometheus_parses_is_good(#[case] query: &str) {
        assert_eq!(check(query), Ok(()));
    }

    #[rstest]
    #[case("", 1)]
    #[case("sum by (cluster_name) (", 24)]
    #[case("sum(a) bx (c)", 8)]
    #[case("rate(a[1m]))", 12)]
    #[case("a{b=c}", 5)]
    #[case("a + * b", 5)]
    #[case("rate(a)", 7)]
    fn what_it_does_not_is_wrong_at_a_place(#[case] query: &str, #[case] character: usize) {
        let wrong = check(query).unwrap_err();
        assert_eq!(wrong.character, character, "{wrong}");
        assert!(wrong.to_string().contains("correct the PromQL"));
    }

    #[test]
    fn a_selector_becomes_matchers() {
        let metric = |name: &str| -> MetricIdentifier {
            serde_json::from_value(json!({ "name": name, "selector": {
                "matchLabels": { "queue": "a\"b" },
                "matchExpressions": [
                    { "key": "zone", "operator": "In", "values": ["x.y", "z"] },
                    { "key": "old", "operator": "DoesNotExist" },
                ],
            } }))
            .unwrap()
        };
        assert_eq!(
            series(&metric("jobs"), &[("namespace", "default")]).unwrap(),
            r#"jobs{namespace="default",queue="a\"b",zone=~"x\\.y|z",old=""}"#
        );
        let error = series(&metric("jobs waiting"), &[]).unwrap_err();
        assert!(error.contains("jobs waiting is no name"), "{error}");
    }
}
