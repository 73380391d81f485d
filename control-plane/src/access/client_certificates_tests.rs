//! From when until when a certificate lets in.

use std::sync::Mutex;
use std::time::Duration;

use axum::body::Body;
use axum::{Extension, Router};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Request;
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use rcgen::KeyPair;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::*;
use crate::sources::Sources;
use crate::store::{Options as StoreOptions, Store};
use crate::{ControlPlane, Options};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const DAY: i64 = 24 * 60 * 60;

async fn send(router: &Router, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The certificate of a client that asks for so many seconds.
async fn certificate(admin: &Router, name: &str, seconds: Option<i64>) -> CertificateDer<'static> {
    let mut asked = CertificateParams::default();
    asked.distinguished_name.push(DnType::CommonName, name);
    let asked = asked.serialize_request(&KeyPair::generate().unwrap());
    let mut request = json!({
        "metadata": {"name": name},
        "spec": {
            "request": BASE64_STANDARD.encode(asked.unwrap().pem().unwrap()),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    });
    if let Some(seconds) = seconds {
        request["spec"]["expirationSeconds"] = json!(seconds);
    }
    let (code, mut request) = send(admin, "POST", REQUESTS, &request).await;
    assert_eq!(code, 201, "{request}");
    let path = format!("{REQUESTS}/{name}");
    request["status"]["conditions"] = json!([
        {"type": "Approved", "status": "True", "reason": "Test", "message": "by the test"},
    ]);
    let (code, _) = send(admin, "PUT", &format!("{path}/approval"), &request).await;
    assert_eq!(code, 200);
    let signed = async {
        loop {
            let (_, request) = send(admin, "GET", &path, &Value::Null).await;
            if let Some(pem) = request["status"]["certificate"].as_str() {
                return BASE64_STANDARD.decode(pem).unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    let pem = timeout(Duration::from_secs(20), signed).await.unwrap();
    CertificateDer::from_pem_slice(&pem).unwrap()
}

#[tokio::test]
async fn a_certificate_lets_in_until_it_ends() {
    let start = Timestamp::from_second(1_800_000_000).unwrap();
    let now = Arc::new(Mutex::new(start));
    let clock = Arc::clone(&now);
    let options = Options {
        sources: Sources {
            clock: Arc::new(move || *clock.lock().unwrap()),
            ..Sources::default()
        },
        ..Options::default()
    };
    let store = Store::memory(StoreOptions::default());
    let plane = ControlPlane::start(store, options).await.unwrap();
    let admin = plane.router_for(User::admin());
    for (number, asked, given) in [
        (1, None, 365 * DAY),
        (2, Some(1200), 1200),
        (3, Some(DAY), DAY),
        (4, Some(400 * DAY), 365 * DAY),
    ] {
        *now.lock().unwrap() = start;
        let own = certificate(&admin, &format!("jane-{number}"), asked).await;
        let (_, parsed) = X509Certificate::from_der(&own).unwrap();
        let end = parsed.validity().not_after.timestamp();
        assert_eq!(end - start.as_second(), given, "{asked:?}");
        let shown = Shown(Arc::new([own.clone()]));
        let router = plane.router().layer(Extension(shown));
        for (passed, code) in [(given, 403), (given + 1, 401), (-301, 401), (-300, 403)] {
            *now.lock().unwrap() = start + SignedDuration::from_secs(passed);
            let (found, answer) = send(&router, "GET", "/api/v1/nodes", &Value::Null).await;
            assert_eq!(found, code, "after {passed} s of {given}: {answer}");
        }
    }
}
