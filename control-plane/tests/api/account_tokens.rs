//! Tokens of service accounts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::Body;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use control_plane::store::{OpenError, Options as StoreOptions, Store};
use control_plane::{ControlPlane, Keys, Options, Sources};
use http::Request;
use jiff::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::Fixture;

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ISSUER: &str = "https://kubernetes.default.svc";

/// Seconds since 1970, as the control plane sees it.
type Now = Arc<AtomicI64>;

fn sources() -> (Sources, Now) {
    let now = Arc::new(AtomicI64::new(1_800_000_000));
    let clock = Arc::clone(&now);
    let sources = Sources {
        clock: Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
        ..Sources::default()
    };
    (sources, now)
}

/// With a service account `robot`.
async fn fixture() -> (Fixture, Now) {
    let (sources, now) = sources();
    let fixture = Fixture::with(Options {
        sources,
        ..Options::default()
    })
    .await;
    robot(&fixture).await;
    (fixture, now)
}

async fn robot(fixture: &Fixture) {
    let robot = json!({"metadata": {"name": "robot"}});
    fixture.post(ACCOUNTS, &robot).await.expect(201);
}

async fn token(fixture: &Fixture, spec: Value) -> String {
    let path = format!("{ACCOUNTS}/robot/token");
    let answer = fixture
        .post(&path, &json!({ "spec": spec }))
        .await
        .expect(201);
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// The status of a request that shows a token.
async fn shown(fixture: &Fixture, token: &str) -> u16 {
    let request = Request::get("/api/v1/pods")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let response = fixture.plane.router().oneshot(request).await.unwrap();
    response.status().as_u16()
}

async fn review(fixture: &Fixture, token: &str, audiences: Value) -> Value {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token, "audiences": audiences},
    });
    fixture.post(REVIEWS, &review).await.expect(201)["status"].clone()
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// Accepted: who it is may do nothing.
const KNOWN: u16 = 403;
const UNKNOWN: u16 = 401;

#[tokio::test]
async fn a_token_says_what_kubernetes_tokens_say() {
    let (fixture, _) = fixture().await;
    let account = fixture.get(&format!("{ACCOUNTS}/robot")).await.json();
    let token = token(&fixture, json!({})).await;
    let mut claims = claims(&token);
    assert!(claims["jti"].take().is_string());
    assert_eq!(
        claims,
        json!({
            "aud": [ISSUER], "iss": ISSUER, "jti": null,
            "iat": 1_800_000_000, "nbf": 1_800_000_000, "exp": 1_800_003_600,
            "sub": "system:serviceaccount:default:robot",
            "kubernetes.io": {
                "namespace": "default",
                "serviceaccount": {"name": "robot", "uid": account["metadata"]["uid"]},
            },
        })
    );
    assert_eq!(shown(&fixture, &token).await, KNOWN);
    let status = review(&fixture, &token, json!([])).await;
    assert_eq!(status["audiences"], json!([ISSUER]));
    assert_eq!(
        status["user"]["username"],
        "system:serviceaccount:default:robot"
    );
    assert_eq!(
        status["user"]["groups"],
        json!([
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            "system:authenticated"
        ])
    );
    let id = &status["user"]["extra"]["authentication.kubernetes.io/credential-id"][0];
    assert!(id.as_str().unwrap().starts_with("JTI="), "{id}");
}

#[tokio::test]
async fn a_token_is_good_for_its_audiences() {
    let (fixture, _) = fixture().await;
    let token = token(&fixture, json!({"audiences": ["vault", "other"]})).await;
    assert_eq!(shown(&fixture, &token).await, UNKNOWN);
    assert_eq!(
        review(&fixture, &token, json!([])).await["authenticated"],
        Value::Null
    );
    let status = review(&fixture, &token, json!(["vault", "third"])).await;
    assert_eq!(
        (&status["authenticated"], &status["audiences"]),
        (&json!(true), &json!(["vault"]))
    );
}

#[tokio::test]
async fn a_token_ends() {
    let (fixture, now) = fixture().await;
    let token = token(&fixture, json!({"expirationSeconds": 600})).await;
    now.fetch_add(599, Ordering::SeqCst);
    assert_eq!(shown(&fixture, &token).await, KNOWN);
    now.fetch_add(1, Ordering::SeqCst);
    assert_eq!(shown(&fixture, &token).await, UNKNOWN);
}

#[tokio::test]
async fn a_token_dies_with_what_it_is_bound_to() {
    let (fixture, now) = fixture().await;
    let core = "/api/v1/namespaces/default";
    let pod = json!({
        "metadata": {"name": "a"},
        "spec": {"serviceAccountName": "robot", "containers": [{"name": "a", "image": "a"}]},
    });
    for (kind, path, object) in [
        (
            "Secret",
            format!("{core}/secrets"),
            json!({"metadata": {"name": "a"}}),
        ),
        ("Pod", format!("{core}/pods"), pod),
        (
            "Node",
            "/api/v1/nodes".to_owned(),
            json!({"metadata": {"name": "a"}}),
        ),
    ] {
        let reference = json!({"apiVersion": "v1", "kind": kind, "name": "a"});
        let asked = format!("{ACCOUNTS}/robot/token");
        let spec = json!({"spec": {"boundObjectRef": reference}});
        fixture.post(&asked, &spec).await.expect(404);
        fixture.post(&path, &object).await.expect(201);
        let token = token(&fixture, json!({"boundObjectRef": reference})).await;
        assert_eq!(shown(&fixture, &token).await, KNOWN, "{kind}");
        let own = &claims(&token)["kubernetes.io"][kind.to_lowercase()];
        let there = fixture.get(&format!("{path}/a")).await.json();
        assert_eq!(
            *own,
            json!({"name": "a", "uid": there["metadata"]["uid"]}),
            "{kind}"
        );
        fixture.delete(&format!("{path}/a")).await.expect(200);
        assert_eq!(shown(&fixture, &token).await, UNKNOWN, "{kind}");
        // Another object of the name is another object.
        fixture.post(&path, &object).await.expect(201);
        assert_eq!(shown(&fixture, &token).await, UNKNOWN, "{kind}");
    }
    fixture.until(&format!("{ACCOUNTS}/default"), 200).await;
    let other =
        json!({"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "a"}}});
    fixture
        .post(&format!("{ACCOUNTS}/default/token"), &other)
        .await
        .expect(400);
    let odd =
        json!({"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "a"}}});
    fixture
        .post(&format!("{ACCOUNTS}/robot/token"), &odd)
        .await
        .expect(400);
    let token = token(&fixture, json!({})).await;
    fixture
        .delete(&format!("{ACCOUNTS}/robot"))
        .await
        .expect(200);
    robot(&fixture).await;
    now.fetch_add(1, Ordering::SeqCst);
    assert_eq!(shown(&fixture, &token).await, UNKNOWN);
}

#[tokio::test]
async fn tokens_are_verified_with_the_keys_that_are_shown() {
    let (fixture, _) = fixture().await;
    let token = token(&fixture, json!({})).await;
    let found = fixture
        .get("/.well-known/openid-configuration")
        .await
        .expect(200);
    assert_eq!(found["issuer"], ISSUER);
    assert_eq!(found["jwks_uri"], format!("{ISSUER}/openid/v1/jwks"));
    assert_eq!(
        found["id_token_signing_alg_values_supported"],
        json!(["ES256"])
    );
    let answer = fixture.get("/openid/v1/jwks").await;
    assert_eq!(answer.headers["content-type"], "application/jwk-set+json");
    let key = answer.expect(200)["keys"][0].clone();
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let number = |field: &str| part(key[field].as_str().unwrap());
    let point = [vec![4], number("x"), number("y")].concat();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header: Value = serde_json::from_slice(&part(message.split('.').next().unwrap())).unwrap();
    assert_eq!(header["kid"], key["kid"]);
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    public.verify(message.as_bytes(), &part(signature)).unwrap();
}

#[tokio::test]
async fn service_accounts_may_read_the_keys_and_strangers_may_not() {
    let (fixture, _) = fixture().await;
    let token = token(&fixture, json!({})).await;
    let code = async |header: Option<String>| {
        let mut request = Request::get("/openid/v1/jwks");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = fixture.plane.router().oneshot(request).await.unwrap();
        response.status().as_u16()
    };
    assert_eq!(code(Some(format!("Bearer {token}"))).await, 200);
    assert_eq!(code(None).await, 401);
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("control-plane-{name}-{}", std::process::id()));
    std::fs::remove_dir_all(&folder).ok();
    folder
}

#[tokio::test]
async fn tokens_survive_a_restart() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder("keys");
    let start = async || {
        let options = Options {
            keys: Some(Keys::open(&folder.join("keys"), &Sources::default()).unwrap()),
            ..Options::default()
        };
        // What the former one was at may still have to end.
        let store = loop {
            match Store::open(&folder.join("data"), StoreOptions::default()) {
                Ok(store) => break store,
                Err(OpenError::InUse(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        Fixture::of(ControlPlane::start(store, options).await.unwrap())
    };
    let first = start().await;
    robot(&first).await;
    let token = token(&first, json!({})).await;
    drop(first);
    let second = start().await;
    assert_eq!(shown(&second, &token).await, KNOWN);
    let mode = |name: &str| {
        let metadata = std::fs::metadata(folder.join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("keys"), 0o700);
    assert_eq!(mode("keys/sa.key"), 0o600);
    drop(second);
    std::fs::write(folder.join("keys/sa.key"), "garbage").unwrap();
    let refused = Keys::open(&folder.join("keys"), &Sources::default());
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("restore it, or remove it"), "{refused}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn tokens_of_one_control_plane_are_worth_nothing_on_another() {
    let (one, _) = fixture().await;
    let (other, _) = fixture().await;
    let token = token(&one, json!({})).await;
    assert_eq!(shown(&one, &token).await, KNOWN);
    assert_eq!(shown(&other, &token).await, UNKNOWN);
}

/// The Secret once it has a token.
async fn filled(fixture: &Fixture, path: &str) -> Value {
    loop {
        let secret = fixture.get(path).await.json();
        if secret["data"]["token"].is_string() {
            return secret;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_secret_of_an_account_gets_its_token() {
    let (fixture, _) = fixture().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = json!({
        "metadata": {
            "name": "robot-token",
            "annotations": {"kubernetes.io/service-account.name": "robot"},
        },
        "type": "kubernetes.io/service-account-token",
    });
    fixture.post(secrets, &secret).await.expect(201);
    let path = format!("{secrets}/robot-token");
    let filled = filled(&fixture, &path).await;
    let account = fixture.get(&format!("{ACCOUNTS}/robot")).await.json();
    let annotations = &filled["metadata"]["annotations"];
    assert_eq!(
        annotations["kubernetes.io/service-account.uid"],
        account["metadata"]["uid"]
    );
    let field = |name: &str| {
        let bytes = BASE64_STANDARD
            .decode(filled["data"][name].as_str().unwrap())
            .unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(field("namespace"), "default");
    let token = field("token");
    assert_eq!(shown(&fixture, &token).await, KNOWN);
    fixture.delete(&path).await.expect(200);
    assert_eq!(shown(&fixture, &token).await, UNKNOWN);
    // Without its account it goes.
    fixture.post(secrets, &secret).await.expect(201);
    self::filled(&fixture, &path).await;
    fixture
        .delete(&format!("{ACCOUNTS}/robot"))
        .await
        .expect(200);
    fixture.until(&path, 404).await;
}

#[tokio::test]
async fn a_request_for_a_token_is_of_its_type() {
    let (fixture, _) = fixture().await;
    let path = format!("{ACCOUNTS}/robot/token");
    for spec in [
        json!({"audiences": "vault"}),
        json!({"audiences": [5]}),
        json!({"audiences": ["vault"], "expirationSeconds": "600"}),
        json!({"audiences": ["vault"], "expirationSeconds": 600.5}),
        json!({"audiences": ["vault"], "boundObjectRef": "pod"}),
        json!("vault"),
    ] {
        let answer = fixture.post(&path, &json!({"spec": spec})).await;
        assert_eq!(answer.code, 400, "{spec}: {}", answer.text);
        assert!(answer.json()["status"]["token"].is_null(), "{spec}");
    }
    let spec = json!({"audiences": ["vault"], "expirationSeconds": 600});
    let made = fixture
        .post(&path, &json!({"spec": spec}))
        .await
        .expect(201);
    assert_eq!(made["spec"]["audiences"], json!(["vault"]));
}
