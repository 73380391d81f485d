//! Clients that show a certificate, and how they get one.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use control_plane::{Options, Tls, User, serve};
use http::Method;
use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData as _, SigningKey as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use yasna::models::ObjectIdentifier;
use yasna::{Tag, construct_der};

use crate::fixture::Fixture;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const SIGNER: &str = "kubernetes.io/kube-apiserver-client";

async fn fixture() -> Fixture {
    Fixture::with(Options {
        tokens: [("bob".to_owned(), User::new("bob", &[]))].into(),
        ..Options::default()
    })
    .await
}

/// A subject as Go writes it: all organizations in one set.
fn subject(name: &str, groups: &[&str]) -> Vec<u8> {
    let set = |kind: u64, texts: &[&str]| {
        construct_der(|writer| {
            writer.write_set_of(|writer| {
                for text in texts {
                    writer.next().write_sequence(|writer| {
                        let kind = ObjectIdentifier::from_slice(&[2, 5, 4, kind]);
                        writer.next().write_oid(&kind);
                        writer.next().write_utf8_string(text);
                    });
                }
            });
        })
    };
    let (organizations, common_name) = (set(10, groups), set(3, &[name]));
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            if !groups.is_empty() {
                writer.next().write_der(&organizations);
            }
            writer.next().write_der(&common_name);
        });
    })
}

/// A request for a certificate (PKCS #10), as PEM.
fn pkcs10(key: &KeyPair, subject: &[u8]) -> String {
    let asked = construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_i64(0);
            writer.next().write_der(subject);
            writer.next().write_der(&key.subject_public_key_info());
            let attributes = writer.next();
            attributes.write_tagged_implicit(Tag::context(0), |writer| writer.write_set_of(|_| ()));
        });
    });
    let signature = key.sign(&asked).unwrap();
    let der = construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(&asked);
            writer.next().write_sequence(|writer| {
                // ECDSA with SHA-256
                let algorithm = ObjectIdentifier::from_slice(&[1, 2, 840, 10045, 4, 3, 2]);
                writer.next().write_oid(&algorithm);
            });
            writer
                .next()
                .write_bitvec_bytes(&signature, signature.len() * 8);
        });
    });
    let label = "CERTIFICATE REQUEST";
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// A request for a certificate of a user in groups.
fn request(key: &KeyPair, name: &str, groups: &[&str]) -> Value {
    let pem = pkcs10(key, &subject(name, groups));
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": BASE64_STANDARD.encode(pem),
            "signerName": SIGNER,
            "usages": ["client auth", "digital signature"],
            "username": "forged", "groups": ["forged"],
        },
    })
}

async fn approve(fixture: &Fixture, name: &str) {
    let path = format!("{REQUESTS}/{name}");
    let mut request = fixture.get(&path).await.json();
    request["status"]["conditions"] = json!([
        {"type": "Approved", "status": "True", "reason": "Test", "message": "by the test"},
    ]);
    fixture
        .put(&format!("{path}/approval"), &request)
        .await
        .expect(200);
}

/// The request once the signer is done with it.
async fn settled(fixture: &Fixture, name: &str) -> Value {
    loop {
        let request = fixture.get(&format!("{REQUESTS}/{name}")).await.json();
        let failed = request["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["type"] == "Failed"));
        if failed || request["status"]["certificate"].is_string() {
            return request;
        }
        tokio::task::yield_now().await;
    }
}

/// The certificate of a user, as PEM.
async fn certificate(fixture: &Fixture, key: &KeyPair, name: &str, groups: &[&str]) -> String {
    fixture
        .post(REQUESTS, &request(key, name, groups))
        .await
        .expect(201);
    approve(fixture, name).await;
    let signed = settled(fixture, name).await;
    let pem = signed["status"]["certificate"].as_str().unwrap();
    String::from_utf8(BASE64_STANDARD.decode(pem).unwrap()).unwrap()
}

/// Serves a router over TLS as long as the test runs.
async fn listen(router: Router, tls: &Tls) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tls.clone();
    tokio::spawn(async move { serve(listener, Some(&tls), router, pending()).await });
    address
}

/// The answer to a client that lists pods and shows a certificate.
async fn shown(server: SocketAddr, tls: &Tls, pem: &str, key: &KeyPair) -> String {
    let request = "GET /api/v1/pods HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    exchange(server, tls, (pem, key), request).await
}

/// The answer to a client that shows a certificate.
async fn exchange(
    server: SocketAddr,
    tls: &Tls,
    (pem, key): (&str, &KeyPair),
    request: &str,
) -> String {
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(tls.authority().as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let stream = TcpStream::connect(server).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_approved_request_gets_a_certificate_that_lets_in() {
    let folder = std::env::temp_dir().join(format!("control-plane-clients-{}", std::process::id()));
    let tls = Tls::open(&folder, &["127.0.0.1"]).unwrap();
    let (fixture, other) = (fixture().await, fixture().await);
    let key = KeyPair::generate().unwrap();
    let pem = certificate(&fixture, &key, "jane", &["ops", "devs"]).await;
    let asked = fixture.get(&format!("{REQUESTS}/jane")).await.json();
    assert_eq!(asked["spec"]["username"], "admin");
    assert_eq!(
        asked["spec"]["groups"],
        json!(["system:masters", "system:authenticated"])
    );

    let server = listen(fixture.plane.router(), &tls).await;
    let answer = shown(server, &tls, &pem, &key).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(
        answer.contains("User \\\"jane\\\" cannot list resource"),
        "{answer}"
    );
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let binding = json!({
        "metadata": {"name": "devs"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "name": "devs", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    fixture
        .post(&format!("{rbac}/clusterrolebindings"), &binding)
        .await
        .expect(201);
    let listed = shown(server, &tls, &pem, &key).await;
    assert!(listed.starts_with("HTTP/1.1 200"), "{listed}");

    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let review = format!(
        "POST /apis/authentication.k8s.io/v1/selfsubjectreviews HTTP/1.1\r\nhost: x\r\n\
         connection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{review}",
        review.len()
    );
    let reviewed = exchange(server, &tls, (&pem, &key), &review).await;
    let groups = r#""groups":["ops","devs","system:authenticated"]"#;
    assert!(reviewed.contains(groups), "{reviewed}");

    // Another control plane has another authority, and so has whoever signs for himself.
    let elsewhere = listen(other.plane.router(), &tls).await;
    let answer = shown(elsewhere, &tls, &pem, &key).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let mut forged = CertificateParams::default();
    forged.distinguished_name.push(DnType::CommonName, "jane");
    let forged = forged.self_signed(&key).unwrap().pem();
    let answer = shown(server, &tls, &forged, &key).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn nobody_asks_to_be_an_administrator_and_not_everybody_approves() {
    let fixture = fixture().await;
    let key = KeyPair::generate().unwrap();
    let master = request(&key, "m", &["system:masters"]);
    let refused = fixture.post(REQUESTS, &master).await;
    assert_eq!(
        (refused.code, refused.message().as_str()),
        (
            403,
            "certificatesigningrequests.certificates.k8s.io \"m\" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
        )
    );
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({
        "metadata": {"name": "bob"},
        "rules": [{"apiGroups": ["certificates.k8s.io"], "resources": ["*"], "verbs": ["get", "update"]}],
    });
    fixture
        .post(&format!("{rbac}/clusterroles"), &role)
        .await
        .expect(201);
    let binding = json!({
        "metadata": {"name": "bob"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bob"},
        "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    fixture
        .post(&format!("{rbac}/clusterrolebindings"), &binding)
        .await
        .expect(201);
    fixture
        .post(REQUESTS, &request(&key, "jane", &[]))
        .await
        .expect(201);
    let mut asked = fixture.get(&format!("{REQUESTS}/jane")).await.json();
    asked["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "R"}]);
    let call = |path: String, body: Value| {
        let request = http::Request::builder()
            .method(Method::PUT)
            .uri(path)
            .header("authorization", "Bearer bob")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body.to_string()))
            .unwrap();
        tower::ServiceExt::oneshot(fixture.plane.router(), request)
    };
    let path = format!("{REQUESTS}/jane");
    let refused = call(format!("{path}/approval"), asked.clone())
        .await
        .unwrap();
    assert_eq!(refused.status().as_u16(), 403);
    // By another path an approval has no effect.
    let updated = call(path.clone(), asked.clone()).await.unwrap();
    assert_eq!(updated.status().as_u16(), 200);
    assert_eq!(fixture.get(&path).await.json()["status"], json!({}));
    asked["status"]["certificate"] = json!(BASE64_STANDARD.encode("forged"));
    let refused = call(format!("{path}/status"), asked).await.unwrap();
    assert_eq!(refused.status().as_u16(), 403);
}

#[tokio::test]
async fn what_can_not_be_signed_fails() {
    let fixture = fixture().await;
    let key = KeyPair::generate().unwrap();
    let mut wrong = request(&key, "jane", &[]);
    wrong["spec"]["usages"] = json!(["client auth", "cert sign"]);
    let mut node = request(&key, "node", &["system:nodes"]);
    node["spec"]["signerName"] = json!(format!("{SIGNER}-kubelet"));
    let node_subject = "the subject must be system:node:NAME in the organization system:nodes";
    for (name, request, why) in [
        ("jane", wrong, "usage \"cert sign\" is not allowed"),
        ("node", node, node_subject),
    ] {
        fixture.post(REQUESTS, &request).await.expect(201);
        approve(&fixture, name).await;
        let failed = settled(&fixture, name).await;
        assert_eq!(failed["status"]["certificate"], Value::Null);
        let conditions = failed["status"]["conditions"].as_array().unwrap();
        let failed = conditions
            .iter()
            .find(|one| one["type"] == "Failed")
            .unwrap();
        assert_eq!(failed["message"], why);
    }
}
