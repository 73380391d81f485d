//! Queries, tokens and errors; the server itself is in `tests/real_sources.rs`.

use super::*;

#[test]
fn placeholders_are_filled_with_escaped_text() {
    let queries = TrafficQueries::default();
    assert_eq!(
        filled(&queries.update, "shop", "web-v1.2-"),
        r#"sum by (cluster_name) (irate(container_network_receive_bytes_total{namespace="shop",pod=~"web-v1\\.2-.*"}[60s]))"#
    );
    assert_eq!(filled("{namespace}", "a\"} or b\\", ""), r#"a\"} or b\\"#);
}

#[test]
fn addresses_with_secrets_are_rejected_without_repeating_them() {
    for url in [
        "http://user:swordfish@prometheus",
        "http://prometheus/?token=swordfish",
        "swordfish:9090",
    ] {
        let refused = TrafficSource::new(url, TrafficOptions::default()).err();
        let error = refused.unwrap().to_string();
        assert!(error.contains("write for example http://"), "{error}");
        assert!(
            !error.contains(":swordfish") && !error.contains("=swordfish"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let options = TrafficOptions {
        ca_file: Some("/nowhere/ca.pem".into()),
        ..TrafficOptions::default()
    };
    let error = TrafficSource::new("https://prometheus", options)
        .err()
        .unwrap();
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");

    let options = TrafficOptions {
        bearer_token_file: Some("/nowhere/token".into()),
        ..TrafficOptions::default()
    };
    let source = TrafficSource::new("http://127.0.0.1:1", options).unwrap();
    let error = source.on_creation().await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/token"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_silent_is_named() {
    let source = TrafficSource::new("http://127.0.0.1:1", TrafficOptions::default()).unwrap();
    let error = source.on_creation().await.unwrap_err().to_string();
    assert!(
        error.contains("127.0.0.1:1") && error.contains("refused"),
        "{error}"
    );

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = TrafficOptions {
        timeout: Duration::from_millis(50),
        ..TrafficOptions::default()
    };
    let url = format!("http://{}", silent.local_addr().unwrap());
    let error = TrafficSource::new(&url, options)
        .unwrap()
        .on_creation()
        .await
        .unwrap_err();
    assert!(matches!(error, TrafficError::Silent { .. }), "{error}");
}

/// A server that answers whoever brings the right token.
async fn server(token: &'static str, answer: &'static str) -> String {
    use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
    let reply = move |headers: HeaderMap| async move {
        let welcome = headers
            .get(AUTHORIZATION)
            .is_some_and(|value| value == token);
        let code = if welcome {
            StatusCode::OK
        } else {
            StatusCode::UNAUTHORIZED
        };
        (
            code,
            [(CONTENT_TYPE, "application/json")],
            if welcome { answer } else { "{}" },
        )
    };
    let router = axum::Router::new().route("/api/v1/query", axum::routing::post(reply));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

#[tokio::test]
async fn the_token_is_read_anew_and_odd_samples_are_dropped() {
    let url = server(
        "Bearer second",
        r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"cluster_name":"fog1"},"value":[1,"12.5"]},
            {"metric":{"cluster_name":"fog2"},"value":[1,"NaN"]},
            {"metric":{"cluster_name":"fog3"},"value":[1,"+Inf"]},
            {"metric":{},"value":[1,"7"]}]}}"#,
    )
    .await;
    let token = std::env::temp_dir().join(format!("mck8s-token-{}", std::process::id()));
    std::fs::write(&token, "first\n").unwrap();
    let options = TrafficOptions {
        bearer_token_file: Some(token.clone()),
        ..TrafficOptions::default()
    };
    let source = TrafficSource::new(&url, options).unwrap();
    let error = source.on_creation().await.unwrap_err();
    assert!(matches!(error, TrafficError::Query { .. }), "{error}");
    assert!(!error.to_string().contains("first"), "{error}");
    std::fs::write(&token, "second\n").unwrap();
    let traffic = source.on_creation().await.unwrap();
    assert_eq!(traffic, BTreeMap::from([("fog1".to_owned(), 12.5)]));
    std::fs::remove_file(token).unwrap();
}

#[tokio::test]
async fn an_answer_of_another_shape_is_an_error() {
    let answer = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#;
    let source = TrafficSource::new(&server("", answer).await, TrafficOptions::default()).unwrap();
    assert!(source.on_creation().await.is_err());
}
