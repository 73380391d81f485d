//! Who may do what.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use control_plane::{Options, Tls, User, serve};
use http::Request;
use http_body_util::BodyExt;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tower::ServiceExt;

use crate::fixture::Fixture;

async fn fixture() -> Fixture {
    let tokens = [
        ("admin-token".to_owned(), User::admin()),
        ("bob-token".to_owned(), User::new("bob", &["devs"])),
    ];
    Fixture::with(Options {
        tokens: tokens.into(),
        ..Options::default()
    })
    .await
}

async fn get(router: &Router, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    (
        code,
        value["message"].as_str().unwrap_or_default().to_owned(),
    )
}

const BOB: (&str, &str) = ("authorization", "Bearer bob-token");
const ADMIN: (&str, &str) = ("authorization", "Bearer admin-token");

#[tokio::test]
async fn who_shows_no_token_sees_health_only() {
    let fixture = fixture().await;
    let router = fixture.plane.router();
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(get(&router, path, &[]).await.0, 200, "{path}");
    }
    assert_eq!(
        get(&router, "/api", &[]).await,
        (401, "Unauthorized".to_owned())
    );
    let wrong = ("authorization", "Bearer wrong");
    assert_eq!(get(&router, "/healthz", &[wrong]).await.0, 401);
}

#[tokio::test]
async fn roles_allow() {
    let fixture = fixture().await;
    let router = fixture.plane.router();
    let pods = "/api/v1/namespaces/default/pods";
    assert_eq!(get(&router, "/apis", &[BOB]).await.0, 200);
    let refused = "pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    assert_eq!(get(&router, pods, &[BOB]).await, (403, refused.to_owned()));
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
    });
    fixture
        .post(&format!("{rbac}/roles"), &role)
        .await
        .expect(201);
    let binding = json!({
        "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "Group", "name": "devs", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    fixture
        .post(&format!("{rbac}/rolebindings"), &binding)
        .await
        .expect(201);
    assert_eq!(get(&router, pods, &[BOB]).await.0, 200);
    let bound = format!("{rbac}/rolebindings/readers");
    fixture.delete(&bound).await.expect(200);
    assert_eq!(get(&router, pods, &[BOB]).await.0, 403);
    fixture
        .post(&format!("{rbac}/rolebindings"), &binding)
        .await
        .expect(201);
    assert_eq!(get(&router, pods, &[BOB]).await.0, 200);
    assert_eq!(
        get(&router, "/api/v1/namespaces/kube-system/pods", &[BOB])
            .await
            .0,
        403
    );
    assert_eq!(get(&router, &format!("{pods}/x"), &[BOB]).await.0, 403);
    let as_bob = [
        ADMIN,
        ("impersonate-user", "bob"),
        ("impersonate-group", "devs"),
    ];
    assert_eq!(get(&router, pods, &as_bob).await.0, 200);
    let as_jane = [BOB, ("impersonate-user", "jane")];
    let refused = "users \"jane\" is forbidden: User \"bob\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope";
    assert_eq!(
        get(&router, pods, &as_jane).await,
        (403, refused.to_owned())
    );
}

#[tokio::test]
async fn service_accounts_get_tokens() {
    let fixture = fixture().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    fixture
        .post(accounts, &json!({"metadata": {"name": "robot"}}))
        .await
        .expect(201);
    let path = format!("{accounts}/robot/token");
    let answer = fixture.post(&path, &json!({"spec": {}})).await.expect(201);
    let token = format!("Bearer {}", answer["status"]["token"].as_str().unwrap());
    let router = fixture.plane.router();
    let (code, message) = get(&router, "/api/v1/pods", &[("authorization", &token)]).await;
    assert_eq!(code, 403);
    assert!(
        message.contains("User \"system:serviceaccount:default:robot\""),
        "{message}"
    );
    fixture
        .delete(&format!("{accounts}/robot"))
        .await
        .expect(200);
    assert_eq!(
        get(&router, "/api/v1/pods", &[("authorization", &token)])
            .await
            .0,
        401
    );
}

/// The status line of an answer over TLS.
async fn over_tls(server: SocketAddr, tls: &Tls, path: &str, header: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(tls.authority().as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn other_machines_need_tls_and_a_token_whatever_the_options_say() {
    let fixture = Fixture::with(Options {
        tokens: [("admin-token".to_owned(), User::admin())].into(),
        anonymous: true,
        ..Options::default()
    })
    .await;
    let open = || TcpListener::bind("0.0.0.0:0");
    let refused = serve(
        open().await.unwrap(),
        None,
        fixture.plane.router(),
        pending(),
    )
    .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(
        refused.to_string().contains("serve it with TLS"),
        "{refused}"
    );

    let folder = std::env::temp_dir().join(format!("control-plane-outside-{}", std::process::id()));
    let tls = Tls::open(&folder, &["127.0.0.1"]).unwrap();
    for router in [
        fixture.plane.router(),
        fixture.plane.router_for(User::admin()),
    ] {
        let listener = open().await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = tls.clone();
        tokio::spawn(async move { serve(listener, Some(&served), router, pending()).await });
        let server = SocketAddr::from(([127, 0, 0, 1], port));
        let code = async |path: &str, header: &str| over_tls(server, &tls, path, header).await;
        assert_eq!(code("/version", "").await, "HTTP/1.1 200 OK");
        assert_eq!(code("/api", "").await, "HTTP/1.1 401 Unauthorized");
        let token = "authorization: Bearer admin-token\r\n";
        assert_eq!(code("/api", token).await, "HTTP/1.1 200 OK");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_further_name_leaves_the_authority_as_it_is() {
    let folder = std::env::temp_dir().join(format!("control-plane-names-{}", std::process::id()));
    let certificate = || std::fs::read(folder.join("tls.crt")).unwrap();
    let first = Tls::open(&folder, &["127.0.0.1", "localhost"]).unwrap();
    let shown = certificate();
    let same = Tls::open(&folder, &["localhost"]).unwrap();
    assert_eq!(
        (first.authority(), &shown),
        (same.authority(), &certificate())
    );
    let further = Tls::open(&folder, &["localhost", "10.0.0.7"]).unwrap();
    assert_eq!(first.authority(), further.authority());
    let other = certificate();
    assert_ne!(shown, other);
    let kept = Tls::open(&folder, &["10.0.0.7"]).unwrap();
    assert_eq!(
        (first.authority(), &other),
        (kept.authority(), &certificate())
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn impersonation_fails_closed() {
    let fixture = fixture().await;
    let router = fixture.plane.router();
    let pods = "/api/v1/namespaces/default/pods";
    // In the bytes of UTF-8, as kube-apiserver takes them; never as if nobody had been asked for.
    let who = async |headers: &[(&str, &[u8])]| {
        let mut request = Request::get(pods);
        request = request.header(ADMIN.0, ADMIN.1);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8_lossy(&bytes).into_owned())
    };
    let (code, text) = who(&[("impersonate-user", "zoë".as_bytes())]).await;
    assert_eq!(code, 403);
    assert!(text.contains("User \\\"zoë\\\" cannot list"), "{text}");
    for header in [
        "impersonate-user",
        "impersonate-group",
        "impersonate-uid",
        "impersonate-extra-a",
    ] {
        let (code, _) = who(&[("impersonate-user", b"jane"), (header, b"\xff")]).await;
        assert_eq!(code, 400, "{header}");
    }
    // Each part needs its right.
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({
        "metadata": {"name": "impersonator"},
        "rules": [{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}],
    });
    fixture
        .post(&format!("{rbac}/clusterroles"), &role)
        .await
        .expect(201);
    let binding = json!({
        "metadata": {"name": "impersonator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "impersonator"},
        "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    fixture
        .post(&format!("{rbac}/clusterrolebindings"), &binding)
        .await
        .expect(201);
    let refused = async |more: (&str, &str)| {
        let headers = [BOB, ("impersonate-user", "jane"), more];
        get(&router, "/api", &headers).await
    };
    assert_eq!(
        get(&router, "/api", &[BOB, ("impersonate-user", "jane")])
            .await
            .0,
        200
    );
    for (header, value, resource, group) in [
        ("impersonate-uid", "5", "uids", "authentication.k8s.io"),
        ("impersonate-group", "devs", "groups", ""),
        (
            "impersonate-extra-a%2fb",
            "v",
            "userextras/a/b",
            "authentication.k8s.io",
        ),
    ] {
        let (code, message) = refused((header, value)).await;
        let why = format!(
            "User \"bob\" cannot impersonate resource {resource:?} in API group {group:?} at the cluster scope"
        );
        assert_eq!(code, 403, "{header}");
        assert!(message.ends_with(&why), "{message}");
    }
}
