//! Traffic from a Prometheus server that scrapes an exporter in the test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use federation::prometheus::{Server, ServerOptions};
use federation::traffic::{Traffic as _, TrafficError, TrafficQueries, TrafficSource};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::programs::{DEADLINE, TICK, free_address, is_installed, scratch, spawn};

#[tokio::test]
async fn both_queries_give_the_traffic_by_cluster() {
    if !is_installed("prometheus") {
        return;
    }
    let address = free_address();
    let config = scratch("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: members\n  honor_labels: true\n  static_configs:\n  - targets: ['{}']\n",
        exporter().await
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!(
        "--storage.tsdb.path={}",
        scratch("prometheus").display()
    ));
    command.arg(format!("--web.listen-address={address}"));
    let _server = spawn(command);

    let url = format!("http://{address}");
    let server = Server::new(&url, ServerOptions::default()).unwrap();
    let source = TrafficSource::new(server.clone(), TrafficQueries::default());
    let on_creation = [("fog1", 300.0), ("fog2", 50.0)];
    until(&on_creation, || source.on_creation()).await;
    let on_update = [("fog1", 1100.0), ("fog2", 7.0)];
    until(&on_update, || source.on_update("shop", "web.v1-")).await;
    assert!(
        source
            .on_update("shop", "nothing-")
            .await
            .unwrap()
            .is_empty()
    );

    // A query that someone has mistyped: the server's own words.
    let queries = TrafficQueries {
        creation: "sum by (cluster_name) (".to_owned(),
        update: "7".to_owned(),
        ..TrafficQueries::default()
    };
    let mistyped = TrafficSource::new(server, queries);
    let error = mistyped.on_creation().await.unwrap_err().to_string();
    assert!(error.contains("parse error"), "{error}");
    let error = mistyped.on_update("shop", "web").await.unwrap_err();
    assert!(matches!(error, TrafficError::Shape { .. }), "{error}");
}

/// Waits until the answer is as expected, within five percent: scrapes are not a second apart to
/// the microsecond.
async fn until<F>(expected: &[(&str, f64)], ask: impl Fn() -> F)
where
    F: Future<Output = Result<BTreeMap<String, f64>, TrafficError>>,
{
    let start = Instant::now();
    loop {
        let answer = ask().await;
        if let Ok(traffic) = &answer {
            let fits = |(name, bytes): &(&str, f64)| {
                traffic
                    .get(*name)
                    .is_some_and(|found| (found - bytes).abs() <= bytes * 0.05)
            };
            if traffic.len() == expected.len() && expected.iter().all(fits) {
                return;
            }
        }
        assert!(
            start.elapsed() < DEADLINE,
            "expected {expected:?}, got {answer:?}"
        );
        sleep(TICK).await;
    }
}

/// Exports what the members' Prometheus servers would. The counters grow at every scrape.
async fn exporter() -> SocketAddr {
    let scrapes = Arc::new(AtomicU64::new(0));
    let metrics = move || async move {
        let scrape = scrapes.fetch_add(1, Ordering::Relaxed);
        let nodes = [
            ("fog1", "n1", "100"),
            ("fog1", "n2", "200"),
            ("fog2", "n1", "50"),
            ("fog3", "n1", "NaN"),
        ];
        let pods = [
            ("fog1", "shop", "web.v1-7d9f-aaaaa", 1000),
            ("fog1", "shop", "web.v1-7d9f-bbbbb", 100),
            ("fog2", "shop", "web.v1-7d9f-ccccc", 7),
            // Not to be counted: the dot is a dot, the namespace is one, the prefix is at the start.
            ("fog2", "shop", "webXv1-7d9f-ddddd", 5000),
            ("fog2", "bank", "web.v1-7d9f-eeeee", 5000),
            ("fog2", "shop", "the-web.v1-7d9f-fffff", 5000),
        ];
        let mut text = String::new();
        for (cluster, node, bytes) in nodes {
            let _written = writeln!(
                text,
                "instance:node_network_receive_bytes_excluding_lo:rate1m{{cluster_name=\"{cluster}\",instance=\"{node}\"}} {bytes}"
            );
        }
        for (cluster, namespace, pod, rate) in pods {
            let bytes = rate * scrape;
            let _written = writeln!(
                text,
                "container_network_receive_bytes_total{{cluster_name=\"{cluster}\",namespace=\"{namespace}\",pod=\"{pod}\"}} {bytes}"
            );
        }
        text
    };
    let router = axum::Router::new().route("/metrics", axum::routing::get(metrics));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    });
    address
}
