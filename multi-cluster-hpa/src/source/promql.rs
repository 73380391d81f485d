//! Queries: their check, and those that stand for metrics of `autoscaling/v2`.

use federation::prometheus::{regex_escaped, string_escaped};
use k8s_openapi::api::autoscaling::v2::MetricIdentifier;
use promql_parser::parser;

/// What is wrong with a query, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} {}{query:?}: correct the PromQL", place(*character))]
pub struct Wrong {
    /// What the parser says.
    pub problem: String,
    /// Up to here it could have become a query, counted from 1; none if that was not found.
    pub character: Option<usize>,
    query: String,
}

fn place(character: Option<usize>) -> String {
    character.map_or("in ".to_owned(), |place| {
        format!("at character {place} of ")
    })
}

/// Characters that are parsed at most to find the place of a mistake: whoever checks a query holds
/// everybody up.
const PATIENCE: usize = 1_000_000;

/// Checks that a query can be parsed.
pub fn check(query: &str) -> Result<(), Wrong> {
    let Err(problem) = parser::parse(query) else {
        return Ok(());
    };
    // The parser does not say where. It is after the longest beginning that something could follow.
    // Regular expressions are taken for texts, because each parse would compile them.
    let plain = query.replace("=~", "= ").replace("!~", "!=");
    let words = starts_of_words(&plain).into_iter().rev();
    let most = PATIENCE / (NEXT.len() * LAST.len() * plain.len().max(1));
    let good = words.take(most).find(|end| is_beginning(&plain[..*end]));
    // All of it can be followed by something: the mistake is in a regular expression.
    let good = good.filter(|end| *end < plain.len() || parser::parse(&plain).is_err());
    Err(Wrong {
        problem,
        character: good.map(|good| query[..good].chars().count() + 1),
        query: query.to_owned(),
    })
}

/// Where words, numbers and signs begin, and the end.
fn starts_of_words(query: &str) -> Vec<usize> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut starts = Vec::new();
    let mut within = false;
    for (place, character) in query.char_indices() {
        if !within || !is_word(character) {
            starts.push(place);
        }
        within = is_word(character);
    }
    starts.push(query.len());
    starts
}

/// What ends any expression: an operand, a label's match, a range; then, after the open brackets, the
/// operand of an aggregation.
const NEXT: [&str; 10] = [
    "", "a", " a", "(a)", "\"\"", "=\"\"", "a=\"\"", "[1m]", "1m]", "\"",
];
const LAST: [&str; 3] = ["", "(a)", " (a)"];

/// Whether something can follow that makes it a query.
fn is_beginning(text: &str) -> bool {
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
    match parser::parse(&query) {
        Ok(_) => Ok(query),
        Err(problem) => Err(format!(
            "spec.metrics: {} is no name of a metric in Prometheus: {problem} in {query:?}",
            metric.name
        )),
    }
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
        assert_eq!(wrong.character, Some(character), "{wrong}");
        assert!(wrong.to_string().contains("correct the PromQL"));
    }

    #[test]
    fn a_long_query_with_a_mistake_is_refused_in_time() {
        let words = "a{b=~\"\\\\w{90}\"} + ".repeat(200);
        let wrong = check(&format!("* {words}")).unwrap_err();
        assert_eq!(wrong.character, None);
        assert!(wrong.to_string().contains("correct the PromQL"), "{wrong}");
        let wrong = check("a{b=~\"(\"}").unwrap_err();
        assert_eq!(wrong.character, None, "{wrong}");
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
