//! When a member is healthy, by what it answers.

use http::Response;
use kube::client::Body;
use kube::core::Status;
use tower::service_fn;

use super::*;

/// A member that answers these paths with these statuses; everything else, and the identity where
/// it is 200, as a healthy one.
fn member(answers: &'static [(&'static str, u16)]) -> Client {
    let service = service_fn(move |request: Request<Body>| async move {
        let path = request.uri().path();
        let answer = answers.iter().find(|(prefix, _)| path.starts_with(prefix));
        let code = answer.map_or(200, |(_, code)| *code);
        let body = match (path, code) {
            ("/readyz", 500) => "[+]ping ok\n[-]etcd failed: reason withheld\n".to_owned(),
            (_, 200) if path.contains("kube-system") => {
                r#"{"metadata":{"name":"kube-system","uid":"u"}}"#.to_owned()
            }
            (_, 200) => "ok".to_owned(),
            (_, code) => {
                format!(
                    r#"{{"kind":"Status","status":"Failure","message":"refused","reason":"","code":{code}}}"#
                )
            }
        };
        let response = Response::builder().status(code);
        let response = response.body(Body::from(body.into_bytes()));
        Ok::<_, std::convert::Infallible>(response.unwrap())
    });
    Client::new(service, "default")
}

async fn probed(answers: &'static [(&'static str, u16)]) -> String {
    match probe(&member(answers), Duration::from_secs(1)).await {
        Probe::Ready(uid) => format!("ready {uid}"),
        Probe::Unidentified(problem) => format!("unidentified {problem}"),
        Probe::Silent(problem) => format!("silent {problem}"),
    }
}

const SYSTEM_PATH: &str = "/api/v1/namespaces/kube-system";

#[tokio::test]
async fn a_member_is_ready_when_its_api_server_says_so_and_its_storage_answers() {
    assert_eq!(probed(&[]).await, "ready u");
    let etcd = probed(&[("/readyz", 500)]).await;
    assert_eq!(etcd, "silent /readyz: etcd failed: reason withheld");
    assert!(probed(&[(SYSTEM_PATH, 500)]).await.starts_with("silent"));
}

#[tokio::test]
async fn an_old_server_and_a_role_without_readyz_are_asked_otherwise() {
    assert_eq!(probed(&[("/readyz", 404)]).await, "ready u");
    assert_eq!(
        probed(&[("/readyz", 403), ("/healthz", 403)]).await,
        "ready u"
    );
    let old = probed(&[("/readyz", 404), ("/healthz", 500)]).await;
    assert!(old.starts_with("silent /healthz"), "{old}");
}

#[tokio::test]
async fn a_member_that_refuses_its_identity_is_not_silent() {
    for code in [("/", 401), (SYSTEM_PATH, 403)] {
        let answers: &'static [_] = Box::leak(Box::new([code]));
        let refused = probed(answers).await;
        assert!(refused.starts_with("unidentified"), "{refused}");
    }
}

fn unavailable(message: &str) -> Failure {
    Failure {
        kind: FailureKind::Unavailable,
        message: message.to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_all_fail_for_a_minute_are_silence() {
    let mut requests = Requests::default();
    let fail =
        |requests: &mut Requests| requests.delivery_failed(&unavailable("etcdserver: no space"));
    fail(&mut requests);
    tokio::time::advance(Duration::from_secs(59)).await;
    fail(&mut requests);
    assert_eq!(requests.silence(), None);
    tokio::time::advance(Duration::from_secs(1)).await;
    let silence = requests.silence().unwrap();
    assert!(silence.contains("60 s: etcdserver: no space"), "{silence}");
    requests.succeeded();
    assert_eq!(requests.silence(), None);
}

#[tokio::test(start_paused = true)]
async fn lists_are_silence_only_if_those_of_all_kinds_fail() {
    let unreadable = || {
        let status = Status::failure("cannot be decrypted", "InternalError").with_code(500);
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    };
    let mut requests = Requests::default();
    for _ in 0..4 {
        requests.watch_failed(ManagedKind::Secret, &unreadable());
        tokio::time::advance(Duration::from_secs(30)).await;
    }
    assert_eq!(requests.silence(), None, "one kind");
    for _ in 0..4 {
        for kind in ManagedKind::ALL {
            requests.watch_failed(kind, &unreadable());
        }
        tokio::time::advance(Duration::from_secs(30)).await;
    }
    assert!(requests.silence().is_some());
    requests.succeeded();
    assert_eq!(requests.silence(), None);
}

#[tokio::test(start_paused = true)]
async fn one_failure_long_ago_and_a_webhook_are_no_silence() {
    let mut requests = Requests::default();
    requests.delivery_failed(&unavailable("etcdserver: no space"));
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(requests.silence(), None);
    let mut requests = Requests::default();
    for _ in 0..3 {
        requests.delivery_failed(&unavailable(
            "Internal error occurred: failed calling webhook \"w\"",
        ));
        tokio::time::advance(Duration::from_secs(40)).await;
    }
    assert_eq!(requests.silence(), None);
}
