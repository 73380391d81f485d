//! Load, and the metrics that show it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use control_plane::MetricsSource as _;
use k8s_openapi::api::apps::v1::Deployment;
use lab::simulated::{Costs, Curve, Load, Metrics, Prometheus, Value as Answer};
use serde_json::{Value, json};

use tower::ServiceExt as _;

use crate::fixture::Lab;

fn deployment(name: &str, replicas: i32) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "web", "image": "nginx" }] },
            },
        },
    })
}

/// 100 requests a second to `web`, and nothing to others.
fn metrics(lab: &Lab) -> Metrics {
    let load = Load {
        requests: Curve {
            base: 100.0,
            ..Curve::default()
        },
        costs: Costs::default(),
    };
    let loads = BTreeMap::from([("default/web".to_owned(), load)]);
    let metrics = Metrics::new("c1", loads, 1, Arc::clone(&lab.clock));
    lab.cluster.feed(&metrics);
    metrics
}

/// The values of a metric, added up.
fn sum(text: &str, metric: &str) -> f64 {
    let lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{metric}{{")));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_asked_use_more_than_others() {
    let lab = Lab::new().await;
    let metrics = metrics(&lab);
    for name in ["web", "idle"] {
        lab.create::<Deployment>(deployment(name, 2)).await;
    }
    lab.pass(Duration::from_secs(62)).await;
    let pods = metrics.pods(Some("default"));
    assert_eq!(pods.len(), 4);
    let usage = |prefix: &str| -> Vec<Value> {
        let pods = pods.iter();
        let pods = pods.filter(|pod| {
            pod["metadata"]["name"]
                .as_str()
                .unwrap()
                .starts_with(prefix)
        });
        pods.map(|pod| pod["containers"][0]["usage"].clone())
            .collect()
    };
    // 1m at rest, and 50 requests of 5 ms.
    let busy = json!({ "cpu": "251000000n", "memory": "35968Ki" });
    let idle = json!({ "cpu": "1000000n", "memory": "32768Ki" });
    assert_eq!(usage("web"), [busy.clone(), busy]);
    assert_eq!(usage("idle"), [idle.clone(), idle]);
    let nodes = metrics.nodes();
    assert_eq!(nodes.len(), 5);
    let cpu: i64 = nodes
        .iter()
        .map(|node| {
            node["usage"]["cpu"]
                .as_str()
                .unwrap()
                .trim_end_matches('n')
                .parse::<i64>()
                .unwrap()
        })
        .sum();
    assert_eq!(cpu, 504_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_prometheus_finds_the_names_it_knows() {
    let lab = Lab::new().await;
    let metrics = metrics(&lab);
    lab.create::<Deployment>(deployment("web", 2)).await;
    lab.pass(Duration::from_secs(10)).await;
    let before = metrics.exposition();
    lab.pass(Duration::from_mins(1)).await;
    let after = metrics.exposition();
    for metric in [
        "container_network_receive_bytes_total",
        "node_network_receive_bytes_total",
    ] {
        let rate = (sum(&after, metric) - sum(&before, metric)) / 60.0;
        assert!((rate - 200_000.0).abs() < 1.0, "{metric}: {rate}");
    }
    let recorded = sum(
        &after,
        "instance:node_network_receive_bytes_excluding_lo:rate1m",
    );
    assert!((recorded - 200_000.0).abs() < 1.0, "{recorded}");
    assert!(after.contains(
        "# TYPE container_network_receive_bytes_total counter\n\
         container_network_receive_bytes_total{cluster_name=\"c1\",namespace=\"default\",pod=\"web-"
    ));
}

#[tokio::test(start_paused = true)]
async fn an_operator_in_the_process_asks_directly() {
    let lab = Lab::new().await;
    let metrics = metrics(&lab);
    lab.create::<Deployment>(deployment("web", 2)).await;
    lab.create::<Deployment>(deployment("idle", 2)).await;
    lab.pass(Duration::from_secs(10)).await;
    assert!((metrics.received_by_nodes() - 200_000.0).abs() < 1.0);
    assert!((metrics.received_by_pods("default", "web") - 200_000.0).abs() < 1.0);
    assert!(metrics.received_by_pods("default", "idle").abs() < 1.0);
    assert!(metrics.received_by_pods("other", "web").abs() < 1.0);
}

/// What `GET PATH` gives: the status, and the body.
async fn get(router: axum::Router, path: &str) -> (u16, String) {
    let request = axum::extract::Request::get(path);
    send(router, request.body(axum::body::Body::empty()).unwrap()).await
}

/// What `POST PATH` of a form gives.
async fn post(router: axum::Router, path: &str, form: &'static str) -> (u16, String) {
    let request = axum::extract::Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded");
    send(router, request.body(axum::body::Body::from(form)).unwrap()).await
}

async fn send(router: axum::Router, request: axum::extract::Request) -> (u16, String) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    (status, String::from_utf8(body.unwrap().to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_scrape_gives_all_clusters_or_one() {
    let lab = Lab::new().await;
    let here = metrics(&lab);
    let there = Metrics::new("c2", BTreeMap::new(), 1, Arc::clone(&lab.clock));
    lab.cluster.feed(&there);
    lab.create::<Deployment>(deployment("web", 2)).await;
    lab.pass(Duration::from_secs(10)).await;
    let router = Prometheus::of(vec![here, there], Arc::clone(&lab.clock)).router();

    let (status, all) = get(router.clone(), "/metrics").await;
    assert_eq!(status, 200);
    // A metric is described once, and the samples of all clusters follow.
    let described = all.matches("# TYPE container_cpu_usage_seconds_total ");
    assert_eq!(described.count(), 1, "{all}");
    for cluster in ["c1", "c2"] {
        let sample = format!("container_cpu_usage_seconds_total{{cluster_name=\"{cluster}\"");
        assert_eq!(all.matches(&sample).count(), 2, "{all}");
    }
    let (status, one) = get(router.clone(), "/metrics/c2").await;
    assert_eq!((status, one.contains("\"c1\"")), (200, false));
    let (status, error) = get(router, "/metrics/c3").await;
    assert_eq!(status, 404);
    assert!(error.contains("write one of c1, c2"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_comes_and_goes() {
    let lab = Lab::new().await;
    let metrics = metrics(&lab);
    lab.create::<Deployment>(deployment("web", 2)).await;
    lab.pass(Duration::from_secs(10)).await;
    metrics.add_crowd("default/web", 5.0, Duration::from_mins(10));
    lab.pass(Duration::from_mins(5)).await;
    assert!((metrics.received_by_nodes() - 1_000_000.0).abs() < 1.0);
    lab.pass(Duration::from_mins(6)).await;
    assert!((metrics.received_by_nodes() - 200_000.0).abs() < 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_query_is_answered_from_what_is_known_now() {
    let lab = Lab::new().await;
    let metrics = metrics(&lab);
    lab.create::<Deployment>(deployment("web", 2)).await;
    lab.pass(Duration::from_mins(2)).await;
    let prometheus = Prometheus::of(vec![metrics], Arc::clone(&lab.clock));
    // The counters' rates are what they grow by.
    for (query, wanted) in [
        (
            "sum(rate(http_requests_total{namespace=\"default\",deployment=\"web\"}[1m]))",
            100.0,
        ),
        ("sum(http_requests_per_second)", 100.0),
        ("sum(rate(container_cpu_usage_seconds_total[1m]))", 0.502),
        (
            "sum(rate(container_network_receive_bytes_total[1m]))",
            200_000.0,
        ),
        (
            "sum(rate(container_network_transmit_bytes_total[1m]))",
            2_000_000.0,
        ),
        ("sum(rate(node_network_receive_bytes_total[1m]))", 200_000.0),
        (
            "sum(rate(node_network_transmit_bytes_total[1m]))",
            2_000_000.0,
        ),
        ("count(container_memory_working_set_bytes)", 2.0),
    ] {
        let Answer::Vector(samples) = prometheus.query(query).unwrap() else {
            panic!("{query}: a number");
        };
        let number = samples[0].1;
        assert!((number - wanted).abs() < wanted * 1e-9, "{query}: {number}");
    }
    let before = prometheus.query("sum(http_requests_total)").unwrap();
    lab.pass(Duration::from_mins(1)).await;
    let after = prometheus.query("sum(http_requests_total)").unwrap();
    let (Answer::Vector(before), Answer::Vector(after)) = (before, after) else {
        panic!("numbers");
    };
    assert!((after[0].1 - before[0].1 - 6000.0).abs() < 1.0);
}

#[tokio::test(start_paused = true)]
async fn queries_over_http_are_answered_as_prometheus_does_it() {
    let lab = Lab::new().await;
    let metrics = metrics(&lab);
    lab.create::<Deployment>(deployment("web", 2)).await;
    lab.pass(Duration::from_secs(10)).await;
    let router = Prometheus::of(vec![metrics], Arc::clone(&lab.clock)).router();
    let at = lab.clock.now().as_second() as f64;
    let (status, body) = post(
        router.clone(),
        "/api/v1/query",
        "query=sum+by+(cluster_name)+(http_requests_per_second)",
    )
    .await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    let result = json!([{ "metric": { "cluster_name": "c1" }, "value": [at, "100"] }]);
    let data = json!({ "resultType": "vector", "result": result });
    assert_eq!(body, json!({ "status": "success", "data": data }));

    let get = async |path: &str| {
        let (status, body) = get(router.clone(), path).await;
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (status, body) = get(&format!("/api/v1/query?query=1/0&time={at}")).await;
    assert_eq!(status, 200, "{body}");
    let data = json!({ "resultType": "scalar", "result": [at, "+Inf"] });
    assert_eq!(body["data"], data);
    for (query, code, kind, what) in [
        ("query=sum(", 400, "bad_data", "unclosed left parenthesis"),
        (
            "query=stddev(x)",
            422,
            "execution",
            "the aggregation stddev is not supported",
        ),
        ("query=x&time=1", 400, "bad_data", "there is no history"),
        ("time=1", 400, "bad_data", "query"),
    ] {
        let (status, body) = get(&format!("/api/v1/query?{query}")).await;
        assert_eq!(
            (status, &body["status"], &body["errorType"]),
            (code, &json!("error"), &json!(kind))
        );
        assert!(body["error"].as_str().unwrap().contains(what), "{body}");
    }
}
