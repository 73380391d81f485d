//! What is asked and what is made of the answers; the server itself is in `tests/real_sources`.

use super::*;
use crate::prometheus::ServerOptions;

#[test]
fn placeholders_are_filled_with_escaped_text() {
    let queries = TrafficQueries::default();
    assert_eq!(
        filled(&queries.update, "shop", "web-v1.2-"),
        r#"sum by (cluster_name) (irate(container_network_receive_bytes_total{namespace="shop",pod=~"web-v1\\.2-.*"}[60s]))"#
    );
    assert_eq!(filled("{namespace}", "a\"} or b\\", ""), r#"a\"} or b\\"#);
}

/// What comes of an answer of a server.
async fn traffic(answer: &'static str) -> Result<BTreeMap<String, f64>, TrafficError> {
    use axum::http::header::CONTENT_TYPE;
    let reply = move || async move { ([(CONTENT_TYPE, "application/json")], answer) };
    let router = axum::Router::new().route("/api/v1/query", axum::routing::post(reply));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let server = Server::new(&url, ServerOptions::default()).unwrap();
    TrafficSource::new(server, TrafficQueries::default())
        .on_creation()
        .await
}

#[tokio::test]
async fn odd_samples_are_dropped() {
    let answer = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"cluster_name":"fog1"},"value":[1,"12.5"]},
        {"metric":{"cluster_name":"fog2"},"value":[1,"NaN"]},
        {"metric":{"cluster_name":"fog3"},"value":[1,"+Inf"]},
        {"metric":{},"value":[1,"7"]}]}}"#;
    let traffic = traffic(answer).await.unwrap();
    assert_eq!(traffic, BTreeMap::from([("fog1".to_owned(), 12.5)]));
}

#[tokio::test]
async fn an_answer_of_another_shape_is_an_error() {
    let answer = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#;
    assert!(traffic(answer).await.is_err());
}
