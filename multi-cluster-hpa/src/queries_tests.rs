//! What is made of answers.

use std::sync::Arc;

use super::*;

fn number(value: f64) -> Number {
    Number {
        value,
        timestamp: Timestamp::UNIX_EPOCH,
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn vector(numbers: &[(&[(&str, &str)], f64)]) -> QueryResult {
    let numbers = numbers.iter();
    QueryResult::Vector(
        numbers
            .map(|(pairs, value)| (labels(pairs), number(*value)))
            .collect(),
    )
}

fn key(cluster: &str, name: &str) -> PodKey {
    PodKey {
        cluster: cluster.to_owned(),
        name: name.to_owned(),
    }
}

#[test]
fn one_number_or_one_by_cluster() {
    let read = |answer: &QueryResult| by_cluster(answer).0;
    assert_eq!(
        read(&QueryResult::Scalar(number(1.5))),
        Reading::Total(1500)
    );
    assert_eq!(read(&vector(&[(&[], 2.0)])), Reading::Total(2000));
    let two = vector(&[(&[(CLUSTER, "a")], 1.0), (&[(CLUSTER, "b")], 2.0)]);
    let values = BTreeMap::from([("a".to_owned(), 1000), ("b".to_owned(), 2000)]);
    assert_eq!(read(&two), Reading::ByCluster(values));
}

#[test]
fn numbers_without_a_distinct_label_are_an_error_that_says_what_to_write() {
    let twice = vector(&[
        (&[(CLUSTER, "a"), ("x", "1")], 1.0),
        (&[(CLUSTER, "a")], 2.0),
    ]);
    let none = vector(&[(&[("x", "1")], 1.0), (&[("x", "2")], 2.0)]);
    for answer in [twice, none] {
        let Reading::Failed(problem) = by_cluster(&answer).0 else {
            panic!("read: {answer:?}");
        };
        assert!(problem.contains("sum by (cluster_name)"), "{problem}");
    }
    assert!(matches!(
        by_cluster(&QueryResult::Vector(vec![])).0,
        Reading::Failed(_)
    ));
}

#[test]
fn only_the_targets_own_pods_have_samples() {
    let pods = BTreeSet::from([key("a", "web-1"), key("b", "web-1")]);
    let answer = vector(&[
        (&[(CLUSTER, "a"), ("pod", "web-1")], 1.0),
        (&[(CLUSTER, "a"), ("pod", "other")], 7.0),
        (&[(CLUSTER, "c"), ("pod", "web-1")], 7.0),
    ]);
    let QueryResult::Vector(numbers) = &answer else {
        panic!("not a vector");
    };
    let samples = by_pod(numbers, &pods);
    assert_eq!(samples.into_keys().collect::<Vec<_>>(), [key("a", "web-1")]);
    assert_eq!(
        traffic(&answer, &pods),
        Some(BTreeMap::from([("a".to_owned(), 1.0)]))
    );
    assert_eq!(traffic(&vector(&[]), &pods), None);
}

fn usage(containers: &[(&str, &[(&str, i64)])]) -> PodUsage {
    let resources = |all: &[(&str, i64)]| {
        all.iter()
            .map(|(name, milli)| ((*name).to_owned(), *milli))
            .collect()
    };
    let containers = containers.iter();
    PodUsage {
        timestamp: Timestamp::UNIX_EPOCH,
        window: SignedDuration::from_secs(20),
        containers: containers
            .map(|(name, all)| ((*name).to_owned(), resources(all)))
            .collect(),
    }
}

/// What is read of usage on cluster `a`, with a cluster `b` that does not answer.
fn read_usage(kind: &Kind, usage: PodUsage) -> Reading {
    let clusters = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let pods = BTreeSet::from([key("a", "web-1"), key("b", "web-2")]);
    let queries = MetricQuery::Usage.queries("default", &clusters);
    let usage = BTreeMap::from([("web-1".to_owned(), usage)]);
    let answers = BTreeMap::from([
        (queries[0].clone(), Ok(Arc::new(QueryResult::Usage(usage)))),
        (queries[1].clone(), Err("b: down".to_owned())),
    ]);
    reading(kind, &MetricQuery::Usage, &answers, &queries, &pods).0
}

#[test]
fn usage_is_the_sum_of_all_containers_and_missing_if_one_is() {
    let cpu = Kind::Resource {
        resource: "cpu".to_owned(),
    };
    let whole = usage(&[("web", &[("cpu", 100)]), ("proxy", &[("cpu", 20)])]);
    let Reading::Pods(samples) = read_usage(&cpu, whole.clone()) else {
        panic!("no samples");
    };
    assert_eq!(samples[&key("a", "web-1")].milli, 120);
    let half = usage(&[("web", &[("cpu", 100)]), ("proxy", &[])]);
    assert_eq!(
        read_usage(&cpu, half),
        Reading::Failed("b: down".to_owned())
    );
    let one = |container: &str| Kind::ContainerResource {
        resource: "cpu".to_owned(),
        container: container.to_owned(),
    };
    let Reading::Pods(samples) = read_usage(&one("web"), whole.clone()) else {
        panic!("no samples");
    };
    assert_eq!(samples[&key("a", "web-1")].milli, 100);
    let Reading::Failed(problem) = read_usage(&one("wep"), whole) else {
        panic!("a container that is not there");
    };
    assert!(problem.contains("container wep not present"), "{problem}");
}
