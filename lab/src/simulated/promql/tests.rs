use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// Requests by cluster and pod, and the memory of each pod.
#[derive(Debug)]
struct Pods(Vec<(&'static str, &'static str, f64)>);

impl Series for Pods {
    fn families(&self, is_asked: &dyn Fn(&str) -> bool) -> Vec<Family> {
        let samples = |value: fn(f64) -> f64, rate: fn(f64) -> f64| {
            let sample = |(cluster, pod, rps): &(&str, &str, f64)| Sample {
                labels: vec![
                    ("cluster_name", (*cluster).to_owned()),
                    ("pod", (*pod).to_owned()),
                ],
                value: value(*rps),
                rate: rate(*rps),
            };
            self.0.iter().map(sample).collect()
        };
        let requests = Family {
            name: "requests_total",
            growth: Growth::Counter,
            samples: samples(|rps| 1000.0 * rps, |rps| rps),
        };
        let memory = Family {
            name: "memory_bytes",
            growth: Growth::Gauge,
            samples: samples(|rps| 64.0 + rps, |_| 0.0),
        };
        let all = [requests, memory].into_iter();
        all.filter(|family| is_asked(family.name)).collect()
    }
}

fn pods() -> Pods {
    Pods(vec![("a", "a1", 10.0), ("a", "a2", 30.0), ("b", "b1", 5.0)])
}

fn ask(query: &str) -> Result<Value, QueryError> {
    evaluate(query, &pods())
}

/// A value as text: `{label=value,…} number`, joined by semicolons.
fn shown(value: Value) -> String {
    match value {
        Value::Scalar(number) => number.to_string(),
        Value::Vector(samples) => {
            let samples = samples.into_iter().map(|(labels, number)| {
                let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{{{}}} {number}", labels.join(","))
            });
            samples.collect::<Vec<_>>().join("; ")
        }
    }
}

#[rstest]
// Selectors.
#[case(
    "requests_total{pod=\"b1\"}",
    "{__name__=requests_total,cluster_name=b,pod=b1} 5000"
)]
#[case(
    "{__name__=~\"mem.*\",pod!~\"a.*\"}",
    "{__name__=memory_bytes,cluster_name=b,pod=b1} 69"
)]
#[case(
    "memory_bytes{pod!=\"\",zone=\"\",cluster_name=\"b\"}",
    "{__name__=memory_bytes,cluster_name=b,pod=b1} 69"
)]
#[case("memory_bytes{zone=\"x\"}", "")]
#[case("nobody_has_it", "")]
// Growth.
#[case("rate(requests_total{pod=\"a2\"}[1m])", "{cluster_name=a,pod=a2} 30")]
#[case(
    "irate((requests_total{pod=\"a2\"}[5m]))",
    "{cluster_name=a,pod=a2} 30"
)]
#[case(
    "increase(requests_total{pod=\"a2\"}[5m])",
    "{cluster_name=a,pod=a2} 9000"
)]
// Aggregations.
#[case("sum(rate(requests_total[1m]))", "{} 45")]
#[case(
    "sum by (cluster_name) (rate(requests_total[1m]))",
    "{cluster_name=a} 40; {cluster_name=b} 5"
)]
#[case(
    "avg without (pod) (rate(requests_total[1m]))",
    "{cluster_name=a} 20; {cluster_name=b} 5"
)]
#[case(
    "max(rate(requests_total[1m])) by (cluster_name)",
    "{cluster_name=a} 30; {cluster_name=b} 5"
)]
#[case("min(memory_bytes)", "{} 69")]
#[case(
    "count by (cluster_name, zone) (memory_bytes)",
    "{cluster_name=a} 2; {cluster_name=b} 1"
)]
#[case("count by (__name__) (memory_bytes)", "{__name__=memory_bytes} 3")]
#[case("sum(nobody_has_it)", "")]
// Numbers.
#[case("1 + 2 * 3 ^ 2", "19")]
#[case("-(7 % 4)", "-3")]
#[case("1 / 0", "inf")]
#[case("2 > bool 1", "1")]
// Between vectors and numbers.
#[case("memory_bytes{pod=\"b1\"} * 2", "{cluster_name=b,pod=b1} 138")]
#[case("100 - memory_bytes{pod=\"b1\"}", "{cluster_name=b,pod=b1} 31")]
#[case("-memory_bytes{pod=\"b1\"}", "{cluster_name=b,pod=b1} -69")]
#[case(
    "memory_bytes > 90",
    "{__name__=memory_bytes,cluster_name=a,pod=a2} 94"
)]
#[case(
    "90 < memory_bytes",
    "{__name__=memory_bytes,cluster_name=a,pod=a2} 94"
)]
#[case(
    "memory_bytes{cluster_name=\"b\"} > bool 90",
    "{cluster_name=b,pod=b1} 0"
)]
// Between vectors.
#[case(
    "rate(requests_total[1m]) / memory_bytes",
    "{cluster_name=a,pod=a1} 0.13513513513513514; {cluster_name=a,pod=a2} 0.3191489361702128; {cluster_name=b,pod=b1} 0.07246376811594203"
)]
#[case(
    "memory_bytes{pod=\"b1\"} == memory_bytes",
    "{__name__=memory_bytes,cluster_name=b,pod=b1} 69"
)]
#[case(
    "sum by (cluster_name) (memory_bytes) + on (cluster_name) requests_total{pod=\"b1\"}",
    "{cluster_name=b} 5069"
)]
#[case(
    "requests_total{pod=\"b1\"} - ignoring (pod) sum by (cluster_name) (memory_bytes)",
    "{cluster_name=b} 4931"
)]
fn queries_mean_what_prometheus_says(#[case] query: &str, #[case] wanted: &str) {
    assert_eq!(shown(ask(query).unwrap()), wanted);
}

#[rstest]
#[case("sum(", "unclosed left parenthesis")]
#[case("topk(3, memory_bytes)", "the aggregation topk is not supported")]
#[case(
    "histogram_quantile(0.9, memory_bytes)",
    "the function histogram_quantile is not supported"
)]
#[case("memory_bytes offset 5m", "offset is not supported")]
#[case("memory_bytes @ 100", "the modifier @ is not supported")]
#[case("memory_bytes[5m]", "a range without a function is not supported")]
#[case("rate(requests_total[5m:1m])", "subqueries are not supported")]
#[case("memory_bytes and requests_total", "the operator and is not supported")]
#[case(
    "memory_bytes * on (cluster_name) group_left requests_total",
    "group_left"
)]
#[case("{a=\"b\" or c=\"d\"}", "or between matchers is not supported")]
#[case("\"text\"", "strings are not supported")]
#[case("rate(memory_bytes[1m])", "memory_bytes is a gauge")]
#[case(
    "sum by (cluster_name) (memory_bytes) + on (cluster_name) memory_bytes",
    "right side"
)]
#[case(
    "memory_bytes + on (cluster_name) sum by (cluster_name) (memory_bytes)",
    "left side"
)]
#[case("-{pod=\"a1\"}", "several samples have the labels")]
fn what_has_no_answer_says_why(#[case] query: &str, #[case] wanted: &str) {
    let error = ask(query).unwrap_err().to_string();
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn a_query_that_is_too_long_or_too_deep_is_refused() {
    for (query, wanted) in [
        (format!("{}1{}", "(".repeat(4000), ")".repeat(4000)), "deep"),
        (format!("1{}", " + 1".repeat(2000)), "deep"),
        ("-".repeat(5000) + "memory_bytes", "deep"),
        (" ".repeat(10_001), "longer than"),
    ] {
        let error = ask(&query).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

/// Expressions that can be parsed, of all kinds that the parser knows, supported or not.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("requests_total".to_owned()),
        Just("memory_bytes{pod=~\"a.*\"}".to_owned()),
        Just("{cluster_name=\"b\"}".to_owned()),
        Just("rate(requests_total[1m])".to_owned()),
        Just("increase(memory_bytes[1m])".to_owned()),
        Just("memory_bytes offset 1m".to_owned()),
        Just("time()".to_owned()),
        (-9_i32..9).prop_map(|number| number.to_string()),
        Just("NaN".to_owned()),
        Just("Inf".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let operators = "+ - * / % ^ == != > < >= <= and or unless atan2"
            .split(' ')
            .collect::<Vec<_>>();
        let aggregations = "sum avg min max count group stddev"
            .split(' ')
            .collect::<Vec<_>>();
        let matching = [
            "",
            "bool ",
            "on (cluster_name) ",
            "ignoring (pod) ",
            "on (pod) group_left ",
        ];
        let grouping = ["", "by (cluster_name) ", "without (pod) ", "by (none) "];
        prop_oneof![
            (
                inner.clone(),
                proptest::sample::select(operators),
                proptest::sample::select(matching.to_vec()),
                inner.clone(),
            )
                .prop_map(|(one, operator, how, other)| format!(
                    "({one}) {operator} {how}({other})"
                )),
            (
                proptest::sample::select(aggregations),
                proptest::sample::select(grouping.to_vec()),
                inner.clone(),
            )
                .prop_map(|(name, how, inner)| format!("{name} {how}({inner})")),
            inner.clone().prop_map(|inner| format!("-({inner})")),
            inner.clone().prop_map(|inner| format!("abs({inner})")),
            inner.prop_map(|inner| format!("max_over_time(({inner})[5m:1m])")),
        ]
    })
}

fn some_pods() -> impl Strategy<Value = Pods> {
    const NAMES: [(&str, &str); 6] = [
        ("a", "a1"),
        ("a", "a2"),
        ("b", "b1"),
        ("b", "a1"),
        ("c", "c1"),
        ("c", "c2"),
    ];
    let rates = proptest::collection::vec(0.0..1000.0_f64, 0..=NAMES.len());
    rates.prop_map(|rates| {
        let named = NAMES.iter().zip(rates);
        Pods(
            named
                .map(|((cluster, pod), rate)| (*cluster, *pod, rate))
                .collect(),
        )
    })
}

proptest! {
    #[test]
    fn no_query_makes_it_panic(query in expression(), pods in some_pods()) {
        // A vector has every labels once.
        if let Ok(Value::Vector(samples)) = evaluate(&query, &pods) {
            let distinct: BTreeSet<_> = samples.iter().map(|(labels, _)| labels).collect();
            prop_assert_eq!(distinct.len(), samples.len(), "{}", query);
        }
    }

    #[test]
    fn no_text_makes_it_panic(query in "[a-z(){}\\[\\]=~\"!+*/<> 0-9,:@-]{0,40}") {
        drop(ask(&query));
    }

    #[test]
    fn the_parts_add_up_to_the_whole(pods in some_pods()) {
        let sum = |query: &str| match evaluate(query, &pods).unwrap() {
            Value::Vector(samples) => samples.iter().map(|(_, number)| number).sum::<f64>(),
            Value::Scalar(number) => number,
        };
        let whole = sum("sum(rate(requests_total[1m]))");
        for parts in [
            "sum by (cluster_name) (rate(requests_total[1m]))",
            "sum without (cluster_name) (rate(requests_total[1m]))",
            "sum by (none) (rate(requests_total[1m]))",
            "count by (pod) (memory_bytes) * avg by (pod) (rate(requests_total[1m]))",
        ] {
            let parts = sum(parts);
            prop_assert!((parts - whole).abs() < 1e-6, "{} is not {}", parts, whole);
        }
    }

    #[test]
    fn a_comparison_and_its_contrary_divide_the_samples(pods in some_pods(), limit in 0.0..1000.0_f64) {
        let count = |query: String| match evaluate(&query, &pods).unwrap() {
            Value::Vector(samples) => samples.len(),
            Value::Scalar(_) => panic!("a number"),
        };
        let above = count(format!("rate(requests_total[1m]) > {limit}"));
        let below = count(format!("rate(requests_total[1m]) <= {limit}"));
        prop_assert_eq!(above + below, pods.0.len());
    }
}
