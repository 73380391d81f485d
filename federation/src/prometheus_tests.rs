//! Addresses, credentials and errors; the server itself is in `tests/real_sources`.

use super::*;

#[test]
fn addresses_with_secrets_are_rejected_without_repeating_them() {
    for url in [
        "http://user:swordfish@prometheus",
        "http://prometheus/?token=swordfish",
        "swordfish:9090",
    ] {
        let refused = Server::new(url, ServerOptions::default()).err();
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
    let options = ServerOptions {
        ca_file: Some("/nowhere/ca.pem".into()),
        ..ServerOptions::default()
    };
    let error = Server::new("https://prometheus", options).err().unwrap();
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");

    let options = ServerOptions {
        credentials: Some(Credentials::Bearer("/nowhere/token".into())),
        ..ServerOptions::default()
    };
    let source = Server::new("http://127.0.0.1:1", options).unwrap();
    let error = source.ask("up").await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/token"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_silent_is_named() {
    let source = Server::new("http://127.0.0.1:1", ServerOptions::default()).unwrap();
    let error = source.ask("up").await.unwrap_err().to_string();
    assert!(
        error.contains("127.0.0.1:1") && error.contains("refused"),
        "{error}"
    );

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = ServerOptions {
        timeout: Duration::from_millis(50),
        ..ServerOptions::default()
    };
    let url = format!("http://{}", silent.local_addr().unwrap());
    let error = Server::new(&url, options)
        .unwrap()
        .ask("up")
        .await
        .unwrap_err();
    assert!(matches!(error, PrometheusError::Silent { .. }), "{error}");
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
async fn credentials_are_read_anew() {
    let url = server(
        "Bearer second",
        r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"cluster_name":"fog1"},"value":[1.5,"12.5"]}]}}"#,
    )
    .await;
    let token = std::env::temp_dir().join(format!("mck8s-token-{}", std::process::id()));
    std::fs::write(&token, "first\n").unwrap();
    let options = ServerOptions {
        credentials: Some(Credentials::Bearer(token.clone())),
        ..ServerOptions::default()
    };
    let server = Server::new(&url, options).unwrap();
    let error = server.ask("up").await.unwrap_err();
    assert!(matches!(error, PrometheusError::Query { .. }), "{error}");
    assert!(!error.to_string().contains("first"), "{error}");
    std::fs::write(&token, "second\n").unwrap();
    let labels = BTreeMap::from([("cluster_name".to_owned(), "fog1".to_owned())]);
    let sample = Sample {
        value: 12.5,
        at: 1.5,
    };
    let answer = server.ask("up").await.unwrap();
    assert_eq!(answer, Answer::Vector(vec![(labels, sample)]));
    std::fs::remove_file(token).unwrap();
}

#[tokio::test]
async fn a_user_brings_a_password_and_no_token() {
    // user:swordfish
    let answer = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#;
    let url = server("Basic dXNlcjpzd29yZGZpc2g=", answer).await;
    let file = std::env::temp_dir().join(format!("mck8s-password-{}", std::process::id()));
    std::fs::write(&file, "swordfish\n").unwrap();
    let credentials = Credentials::given(None, Some("user".to_owned()), Some(file.clone()));
    let options = ServerOptions {
        credentials: credentials.unwrap(),
        ..ServerOptions::default()
    };
    let server = Server::new(&url, options).unwrap();
    let sample = Sample {
        value: 7.0,
        at: 1.0,
    };
    assert_eq!(server.ask("7").await.unwrap(), Answer::Scalar(sample));
    std::fs::remove_file(&file).unwrap();
    assert!(Credentials::given(None, Some("user".to_owned()), None).is_err());
    assert!(Credentials::given(Some(file.clone()), Some("user".to_owned()), Some(file)).is_err());
}
