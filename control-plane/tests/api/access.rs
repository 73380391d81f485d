//! Who may do what.

use axum::Router;
use axum::body::Body;
use control_plane::{Options, User};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
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
