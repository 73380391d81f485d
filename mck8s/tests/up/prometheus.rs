//! The simulation's Prometheus, for whoever has the token.

use federation::prometheus::{Answer, Credentials, Server, ServerOptions};
use kube::api::PostParams;

use crate::harness::{Up, deployment, folder, until};

#[tokio::test]
async fn queries_are_answered_to_whoever_has_the_token() {
    let folder = folder("prometheus");
    let file = folder.with_extension("yaml");
    let config = "clusters: 2\nloads: {default/hello: {requests: 50}}";
    std::fs::write(&file, config).unwrap();
    let up = Up::start(&folder, &["--config", &file.display().to_string()]);
    let hello = deployment("hello", "first_fit");
    let api = up.deployments().await;
    api.create(&PostParams::default(), &hello).await.unwrap();

    let url = up.config("hub").await.cluster_url.to_string();
    let url = url.replace("/clusters/hub", "/prometheus");
    let server = |credentials| {
        let options = ServerOptions {
            credentials,
            ca_file: Some(folder.join("tls/ca.crt")),
            ..ServerOptions::default()
        };
        Server::new(&url, options).unwrap()
    };
    let known = server(Some(Credentials::Bearer(folder.join("token"))));
    until("requests of both clusters", async || {
        let query = "sum by (cluster_name) (rate(http_requests_total{deployment=\"hello\"}[1m]))";
        let answer = known.ask(query).await.map_err(|error| error.to_string())?;
        let Answer::Vector(samples) = &answer else {
            return Err(format!("{answer:?}"));
        };
        let is_of = |index: usize, cluster: &str| {
            let (labels, sample) = &samples[index];
            labels["cluster_name"] == cluster && (sample.value - 50.0).abs() < 1.0
        };
        let both = samples.len() == 2 && is_of(0, "cluster1") && is_of(1, "cluster2");
        both.then_some(()).ok_or_else(|| format!("{answer:?}"))
    })
    .await;
    for (query, wanted) in [
        (
            "stddev(http_requests_total)",
            "the aggregation stddev is not supported",
        ),
        ("sum(", "unclosed left parenthesis"),
    ] {
        let error = known.ask(query).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }

    std::fs::write(folder.join("wrong"), "guessed").unwrap();
    for credentials in [None, Some(Credentials::Bearer(folder.join("wrong")))] {
        let error = server(credentials).ask("1").await.unwrap_err().to_string();
        assert!(error.contains("401"), "{error}");
    }
    up.stop();
}
