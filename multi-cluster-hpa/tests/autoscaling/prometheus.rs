//! Metrics from Prometheus.

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use multi_cluster_hpa::source::{
    MetricSource, Number, Query, QueryFuture, QueryResult, SourceError,
};
use serde_json::{Value, json};

use crate::fixture::{AUTOSCALER, Beginning, DEPLOYMENT, Scene, condition, play, replicas, yaml};

/// A Prometheus that is told what to answer, and counts the questions.
#[derive(Clone)]
struct Scripted(Arc<Mutex<Script>>);

struct Script {
    answer: Result<QueryResult, SourceError>,
    asked: Vec<String>,
}

impl Scripted {
    fn new(answer: QueryResult) -> Self {
        let script = Script {
            answer: Ok(answer),
            asked: Vec::new(),
        };
        Self(Arc::new(Mutex::new(script)))
    }

    fn set(&self, answer: Result<QueryResult, SourceError>) {
        self.0.lock().unwrap().answer = answer;
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

impl MetricSource for Scripted {
    fn read(&self, question: &Query) -> QueryFuture {
        let mut script = self.0.lock().unwrap();
        let Query::PromQl(query) = question else {
            panic!("asked for {question:?}");
        };
        script.asked.push(query.clone());
        ready(script.answer.clone().map(Arc::new)).boxed()
    }
}

fn number(value: f64) -> Number {
    Number {
        value,
        timestamp: Timestamp::UNIX_EPOCH,
    }
}

fn by_cluster(values: &[(&str, f64)]) -> QueryResult {
    let values = values.iter().map(|(cluster, value)| {
        let labels = BTreeMap::from([("cluster_name".to_owned(), (*cluster).to_owned())]);
        (labels, number(*value))
    });
    QueryResult::Vector(values.collect())
}

/// Scales by a query: a hundred of them for each replica.
fn autoscaler(query: &str) -> Value {
    let mut autoscaler = yaml(AUTOSCALER);
    autoscaler["spec"]["metrics"] = json!([{ "type": "Prometheus", "prometheus": { "query": query,
        "target": { "type": "AverageValue", "averageValue": "100" } } }]);
    autoscaler
}

async fn scene(source: &Scripted) -> Scene {
    let beginning = Beginning {
        prometheus: Some(Arc::new(source.clone())),
        ..Beginning::default()
    };
    let scene = Scene::begin(beginning).await;
    scene.apply(&yaml(DEPLOYMENT)).await;
    scene
}

#[test]
fn a_vector_gives_each_cluster_its_own_number() {
    play(async {
        let source = Scripted::new(by_cluster(&[("cluster2", 480.0), ("cluster3", 150.0)]));
        let scene = scene(&source).await;
        scene.apply(&autoscaler("jobs")).await;
        scene.until(3, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 5), ("cluster3", 2)])
        );
    });
}

#[test]
fn without_prometheus_nothing_is_scaled_and_the_condition_says_so() {
    play(async {
        let source = Scripted::new(by_cluster(&[("cluster2", 480.0), ("cluster3", 150.0)]));
        let scene = scene(&source).await;
        scene.apply(&autoscaler("jobs")).await;
        scene.until(3, 0).await;
        let wanted = replicas(&[("cluster2", 5), ("cluster3", 2)]);

        // Ten minutes without an answer, then ten with nothing but NaN, which is left out.
        source.set(Err(SourceError::Prometheus(
            "connection refused".to_owned(),
        )));
        scene.until(13, 0).await;
        assert_eq!(scene.wanted().await, wanted);
        let (active, reason, message) = condition(&scene.status().await, "ScalingActive");
        assert_eq!(
            (active.as_str(), reason.as_str()),
            ("False", "FailedGetPrometheusMetric")
        );
        assert!(message.contains("connection refused"), "{message}");
        source.set(Ok(QueryResult::Vector(Vec::new())));
        scene.until(23, 0).await;
        assert_eq!(scene.wanted().await, wanted);
        let (_, _, message) = condition(&scene.status().await, "ScalingActive");
        assert!(message.contains("no number for it now"), "{message}");

        source.set(Ok(by_cluster(&[("cluster2", 90.0), ("cluster3", 90.0)])));
        scene.until(33, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 1), ("cluster3", 1)])
        );
        assert_eq!(condition(&scene.status().await, "ScalingActive").0, "True");
    });
}

#[test]
fn a_cluster_whose_number_is_nan_keeps_its_replicas_while_the_others_go_on() {
    play(async {
        let source = Scripted::new(by_cluster(&[("cluster2", 480.0), ("cluster3", 150.0)]));
        let scene = scene(&source).await;
        scene.apply(&autoscaler("jobs")).await;
        scene.until(3, 0).await;
        // The source leaves NaN out.
        source.set(Ok(by_cluster(&[("cluster3", 380.0)])));
        scene.until(13, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 5), ("cluster3", 4)])
        );
        let status = scene.status().await;
        let kept = status["clusters"][0]["limitedBy"].as_str().unwrap();
        assert!(kept.contains("there is no value for cluster2"), "{kept}");
    });
}

/// Until a rate has two samples of a counter that began anew, there is none; and whoever takes the
/// difference of a counter instead gets nothing, or less than nothing.
#[test]
fn a_counter_that_begins_anew_scales_nothing_down() {
    play(async {
        let usual = || by_cluster(&[("cluster2", 480.0), ("cluster3", 150.0)]);
        let source = Scripted::new(usual());
        let scene = scene(&source).await;
        scene.apply(&autoscaler("jobs")).await;
        scene.until(3, 0).await;
        let wanted = replicas(&[("cluster2", 5), ("cluster3", 2)]);
        let resets = [
            by_cluster(&[("cluster3", 150.0)]),
            by_cluster(&[("cluster2", 0.0), ("cluster3", 150.0)]),
            by_cluster(&[("cluster2", -90_000.0), ("cluster3", 150.0)]),
            by_cluster(&[("cluster2", 0.0), ("cluster3", 0.0)]),
        ];
        for (number, reset) in (0..).zip(resets) {
            let begin = 4 + 7 * number;
            scene.until(begin, 0).await;
            source.set(Ok(reset));
            scene.until(begin + 2, 0).await;
            assert_eq!(scene.wanted().await, wanted, "reset {number}");
            source.set(Ok(usual()));
            scene.until(begin + 7, 0).await;
            assert_eq!(scene.wanted().await, wanted, "after reset {number}");
        }
    });
}

#[test]
fn an_operator_without_prometheus_says_which_flag_to_give() {
    play(async {
        let scene = Scene::begin(Beginning::default()).await;
        scene.apply(&yaml(DEPLOYMENT)).await;
        scene.apply(&autoscaler("jobs")).await;
        scene.until(1, 0).await;
        let (_, _, message) = condition(&scene.status().await, "ScalingActive");
        assert!(message.contains("--prometheus-url"), "{message}");
    });
}

#[test]
fn an_external_metric_lets_replicas_go_to_zero_and_come_back() {
    play(async {
        let source = Scripted::new(by_cluster(&[("cluster2", 0.0), ("cluster3", 0.0)]));
        let scene = scene(&source).await;
        let mut object = yaml(AUTOSCALER);
        object["spec"]["minReplicas"] = 0.into();
        object["spec"]["metrics"] = json!([{ "type": "External", "external": {
            "metric": { "name": "queue_length", "selector": { "matchLabels": { "queue": "mail" } } },
            "target": { "type": "AverageValue", "averageValue": "100" } } }]);
        scene.apply(&object).await;
        scene.until(12, 0).await;
        assert_eq!(
            source.asked()[0],
            r#"sum by (cluster_name) (queue_length{queue="mail"})"#
        );
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 0), ("cluster3", 0)])
        );
        source.set(Ok(by_cluster(&[("cluster2", 150.0), ("cluster3", 0.0)])));
        scene.until(14, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 2), ("cluster3", 0)])
        );
    });
}

/// At twenty past the minimum is three for ten minutes; else nothing asks for a replica.
#[test]
fn a_schedule_brings_a_deployment_back_from_zero() {
    play(async {
        let source = Scripted::new(by_cluster(&[("cluster2", 0.0), ("cluster3", 0.0)]));
        let scene = scene(&source).await;
        let mut object = autoscaler("jobs");
        object["spec"]["minReplicas"] = 0.into();
        object["spec"]["schedules"] =
            json!([{ "schedule": "20 0 * * *", "duration": "10m", "minReplicas": 3 }]);
        scene.apply(&object).await;
        let nothing = replicas(&[("cluster2", 0), ("cluster3", 0)]);
        scene.until(12, 0).await;
        assert_eq!(scene.wanted().await, nothing);
        scene.until(21, 0).await;
        let awake = replicas(&[("cluster2", 2), ("cluster3", 1)]);
        assert_eq!(scene.wanted().await, awake);
        scene.until(37, 0).await;
        assert_eq!(scene.wanted().await, nothing);
    });
}

/// Answers nothing, ever.
struct Silent;

impl MetricSource for Silent {
    fn read(&self, _: &Query) -> QueryFuture {
        pending().boxed()
    }
}

#[test]
fn whoever_asks_members_does_not_wait_for_prometheus() {
    play(async {
        let beginning = Beginning {
            prometheus: Some(Arc::new(Silent)),
            flags: vec!["--concurrent-syncs=1"],
            ..Beginning::default()
        };
        let scene = Scene::begin(beginning).await;
        let mut waits = autoscaler("jobs");
        waits["metadata"]["name"] = "waits".into();
        waits["spec"]["scaleTargetRef"]["name"] = "waits".into();
        let mut other = yaml(DEPLOYMENT);
        other["metadata"]["name"] = "waits".into();
        scene.apply(&other).await;
        scene.apply(&waits).await;
        scene.until(2, 0).await;
        scene.apply(&yaml(DEPLOYMENT)).await;
        scene.apply(&yaml(AUTOSCALER)).await;
        scene.until(25, 0).await;
        let crowded = replicas(&[("cluster2", 6), ("cluster3", 2)]);
        assert_eq!(scene.wanted().await, crowded);
    });
}

/// Answers after five seconds.
struct Slow(Scripted);

impl MetricSource for Slow {
    fn read(&self, question: &Query) -> QueryFuture {
        let answer = self.0.read(question);
        async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            answer.await
        }
        .boxed()
    }
}

#[test]
fn what_is_edited_while_metrics_are_read_counts_at_once() {
    play(async {
        let source = Scripted::new(by_cluster(&[("cluster2", 480.0), ("cluster3", 150.0)]));
        let beginning = Beginning {
            prometheus: Some(Arc::new(Slow(source))),
            ..Beginning::default()
        };
        let scene = Scene::begin(beginning).await;
        scene.apply(&yaml(DEPLOYMENT)).await;
        scene.until(1, 2).await;
        let mut object = autoscaler("jobs");
        scene.apply(&object).await;
        scene.until(1, 4).await;
        object["spec"]["maxReplicas"] = 5.into();
        scene.apply(&object).await;
        scene.until(3, 0).await;
        assert_eq!(scene.wanted().await.values().sum::<u64>(), 5);
        let news = scene.events("SuccessfulRescale").await;
        assert!(
            news.iter().all(|one| one.contains("New size: 5")),
            "{news:?}"
        );
        assert_eq!(news.len(), 1);
    });
}

#[test]
fn autoscalers_of_the_same_metric_share_a_query() {
    play(async {
        let source = Scripted::new(by_cluster(&[("cluster2", 150.0), ("cluster3", 150.0)]));
        let scene = scene(&source).await;
        for number in 0..20 {
            let name = format!("app{number}");
            let mut deployment = yaml(DEPLOYMENT);
            deployment["metadata"]["name"] = name.clone().into();
            scene.apply(&deployment).await;
            let mut object = autoscaler("jobs");
            object["metadata"]["name"] = name.clone().into();
            object["spec"]["scaleTargetRef"]["name"] = name.into();
            scene.apply(&object).await;
        }
        scene.until(5, 1).await;
        source.asked();
        scene.until(6, 1).await;
        // Four rounds a minute.
        assert_eq!(source.asked(), ["jobs"; 4]);
    });
}

#[test]
fn an_autoscaler_that_is_edited_asks_anew_in_its_round() {
    play(async {
        let source = Scripted::new(by_cluster(&[("cluster2", 150.0), ("cluster3", 150.0)]));
        let scene = scene(&source).await;
        let mut object = autoscaler("jobs");
        scene.apply(&object).await;
        // A round is at five past, to the second.
        scene.until(5, 3).await;
        source.asked();
        source.set(Ok(by_cluster(&[("cluster2", 380.0), ("cluster3", 150.0)])));
        object["spec"]["maxReplicas"] = 20.into();
        scene.apply(&object).await;
        scene.until(5, 6).await;
        assert_eq!(source.asked(), ["jobs"]);
        let wanted = replicas(&[("cluster2", 4), ("cluster3", 2)]);
        assert_eq!(scene.wanted().await, wanted);
    });
}

#[test]
fn traffic_divides_one_number_over_the_clusters() {
    play(async {
        let source = Scripted::new(by_cluster(&[]));
        let scene = scene(&source).await;
        let mut object = yaml(AUTOSCALER);
        object["spec"]["distribution"] = "Traffic".into();
        scene.apply(&object).await;
        scene.until(9, 0).await;
        // Nobody knows where requests arrive: three for all, divided as they were.
        let status = scene.status().await;
        assert_eq!(status["desiredReplicas"], 3, "{status}");
        let kept = status["clusters"][0]["limitedBy"].as_str().unwrap();
        assert!(
            kept.contains("it is not known where requests arrive"),
            "{kept}"
        );
        let pods = scene.world.members.iter().flat_map(|(cluster, member)| {
            let share = if cluster == "cluster2" { 300.0 } else { 100.0 };
            member.cluster.pods().into_iter().map(move |pod| {
                let labels = [
                    ("cluster_name", cluster.clone()),
                    ("pod", pod.metadata.name.clone().unwrap()),
                ];
                (
                    labels.map(|(name, value)| (name.to_owned(), value)).into(),
                    number(share),
                )
            })
        });
        let answer = QueryResult::Vector(pods.collect());
        source.set(Ok(answer));
        scene.until(10, 0).await;
        let asked = source.asked();
        assert!(asked[0].contains(r#"{namespace="default"}"#), "{asked:?}");
        scene.until(25, 0).await;
        let wanted = scene.wanted().await;
        assert!(wanted.values().sum::<u64>() > 5, "{wanted:?}");
        assert!(wanted["cluster2"] > 2 * wanted["cluster3"], "{wanted:?}");
    });
}
