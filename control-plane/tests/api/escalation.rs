//! Nobody gives rights that they do not have, nor creates without the right to.

use axum::body::Body;
use control_plane::{Options, User};
use http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::{Answer, Fixture, settle};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// With `ann`, who has the token `ann` and these rules everywhere.
async fn fixture(rules: Value) -> Fixture {
    let fixture = Fixture::with(Options {
        tokens: [("ann".to_owned(), User::new("ann", &["makers"]))].into(),
        ..Options::default()
    })
    .await;
    let role = json!({"metadata": {"name": "ann"}, "rules": rules});
    fixture
        .post(&format!("{RBAC}/clusterroles"), &role)
        .await
        .expect(201);
    let binding = binding("ClusterRoleBinding", "ann", "ClusterRole", "ann");
    let bindings = format!("{RBAC}/clusterrolebindings");
    fixture.post(&bindings, &binding).await.expect(201);
    fixture
}

fn role(kind: &str, name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": name}, "rules": rules,
    })
}

fn binding(kind: &str, name: &str, role_kind: &str, role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}],
    })
}

async fn ann(fixture: &Fixture, method: Method, path: &str, kind: &str, body: &Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer ann")
        .header("content-type", kind)
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = fixture.plane.router().oneshot(request).await.unwrap();
    Answer::of(response).await
}

fn rbac_rules(more: &[Value]) -> Value {
    let group = "rbac.authorization.k8s.io";
    let verbs = ["get", "create", "update", "patch"];
    let mut rules = vec![json!({"apiGroups": [group], "resources": ["*"], "verbs": verbs})];
    rules.extend(more.iter().cloned());
    rules.into()
}

const SECRETS: &str = r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#;

#[tokio::test]
async fn a_role_needs_the_rights_in_it() {
    let reads_maps = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]});
    let fixture = fixture(rbac_rules(std::slice::from_ref(&reads_maps))).await;
    let reads_secrets = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
    let why = format!(
        "user \"ann\" (groups=[\"makers\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{SECRETS}"
    );
    for (kind, plural, path) in [
        ("Role", "roles", format!("{RBAC}/namespaces/default/roles")),
        (
            "ClusterRole",
            "clusterroles",
            format!("{RBAC}/clusterroles"),
        ),
    ] {
        let refused = format!("{plural}.rbac.authorization.k8s.io \"a\" is forbidden: {why}");
        let own = role(kind, "a", &json!([reads_maps]));
        let more = role(kind, "a", &json!([reads_maps, reads_secrets]));
        let one = format!("{path}/a");
        let applied = format!("{one}?fieldManager=t");
        // While it is not there: each of these would create it.
        for (method, path, form) in [
            (Method::POST, &path, JSON),
            (Method::PUT, &one, JSON),
            (Method::PATCH, &applied, APPLY),
        ] {
            let answer = ann(&fixture, method, path, form, &more).await;
            assert_eq!(
                (answer.code, answer.message()),
                (403, refused.clone()),
                "{path}"
            );
        }
        assert_eq!(fixture.get(&one).await.code, 404);
        ann(&fixture, Method::POST, &path, JSON, &own)
            .await
            .expect(201);
        for (method, path, form) in [
            (Method::PUT, &one, JSON),
            (Method::PATCH, &one, MERGE),
            (Method::PATCH, &format!("{applied}&force=1"), APPLY),
        ] {
            let answer = ann(&fixture, method, path, form, &more).await;
            assert_eq!(
                (answer.code, answer.message()),
                (403, refused.clone()),
                "{path}"
            );
        }
        let kept = fixture.get(&one).await.json();
        assert_eq!(kept["rules"], json!([reads_maps]));
        // Labels of a role whose rights she has are hers to change.
        let label = json!({"metadata": {"labels": {"a": "b"}}});
        ann(&fixture, Method::PATCH, &one, MERGE, &label)
            .await
            .expect(200);
    }
}

/// A null in a list of texts is an empty text once it is stored, and that is the core group.
#[tokio::test]
async fn rights_are_those_of_the_role_as_it_is_stored() {
    let fixture = fixture(rbac_rules(&[])).await;
    let path = format!("{RBAC}/namespaces/default/roles");
    let one = format!("{path}/a");
    let reads_secrets = json!({"apiGroups": [null], "resources": ["secrets"], "verbs": ["get"]});
    let more = role("Role", "a", &json!([reads_secrets]));
    let create = ann(&fixture, Method::POST, &path, JSON, &more).await;
    let why = format!("permissions not currently held:\n{SECRETS}");
    assert_eq!(create.code, 403);
    assert!(create.message().ends_with(&why), "{}", create.message());
    let none = role("Role", "a", &json!([]));
    ann(&fixture, Method::POST, &path, JSON, &none)
        .await
        .expect(201);
    let steps = json!([{"op": "add", "path": "/rules", "value": [reads_secrets]}]);
    for (method, path, form, body) in [
        (Method::PUT, &one, JSON, &more),
        (Method::PATCH, &one, MERGE, &more),
        (
            Method::PATCH,
            &one,
            "application/strategic-merge-patch+json",
            &more,
        ),
        (Method::PATCH, &one, "application/json-patch+json", &steps),
    ] {
        let answer = ann(&fixture, method, path, form, body).await;
        assert_eq!(answer.code, 403, "{form}: {}", answer.text);
        assert!(answer.message().ends_with(&why), "{}", answer.message());
    }
    let kept = fixture.get(&one).await.expect(200);
    assert!(kept["rules"].is_null(), "{kept}");
}

#[tokio::test]
async fn who_may_escalate_may_write_any_role() {
    let escalates = json!({
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles"], "verbs": ["escalate"],
    });
    let fixture = fixture(rbac_rules(&[escalates])).await;
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let path = format!("{RBAC}/namespaces/default/roles");
    ann(
        &fixture,
        Method::POST,
        &path,
        JSON,
        &role("Role", "a", &all),
    )
    .await
    .expect(201);
    let path = format!("{RBAC}/clusterroles");
    ann(
        &fixture,
        Method::POST,
        &path,
        JSON,
        &role("ClusterRole", "a", &all),
    )
    .await
    .expect(403);
}

#[tokio::test]
async fn a_binding_needs_the_rights_of_its_role() {
    let binds = json!({
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles"], "resourceNames": ["allowed"], "verbs": ["bind"],
    });
    let fixture = fixture(rbac_rules(&[binds])).await;
    let reads_secrets = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    for name in ["allowed", "other"] {
        let role = role("ClusterRole", name, &reads_secrets);
        fixture
            .post(&format!("{RBAC}/clusterroles"), &role)
            .await
            .expect(201);
    }
    for (kind, path) in [
        (
            "RoleBinding",
            format!("{RBAC}/namespaces/default/rolebindings"),
        ),
        ("ClusterRoleBinding", format!("{RBAC}/clusterrolebindings")),
    ] {
        for role in ["cluster-admin", "other"] {
            let body = binding(kind, "a", "ClusterRole", role);
            let applied = format!("{path}/a?fieldManager=t");
            for (method, path, form) in [
                (Method::POST, &path, JSON),
                (Method::PUT, &format!("{path}/a"), JSON),
                (Method::PATCH, &applied, APPLY),
            ] {
                let answer = ann(&fixture, method, path, form, &body).await;
                assert_eq!(answer.code, 403, "{role}: {}", answer.text);
                let why = "is attempting to grant RBAC permissions not currently held:\n{";
                assert!(answer.message().contains(why), "{}", answer.text);
            }
        }
        let none = binding(kind, "a", "ClusterRole", "none");
        ann(&fixture, Method::POST, &path, JSON, &none)
            .await
            .expect(404);
        let allowed = binding(kind, "a", "ClusterRole", "allowed");
        ann(&fixture, Method::POST, &path, JSON, &allowed)
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn an_aggregated_role_needs_every_right() {
    let fixture = fixture(rbac_rules(&[])).await;
    let mut role = role("ClusterRole", "a", &json!([]));
    role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let path = format!("{RBAC}/clusterroles");
    let answer = ann(&fixture, Method::POST, &path, JSON, &role).await;
    assert_eq!(
        (answer.code, answer.message().as_str()),
        (
            403,
            "clusterroles.rbac.authorization.k8s.io \"a\" is forbidden: must have cluster-admin privileges to use an aggregationRule"
        )
    );
}

#[tokio::test]
async fn updates_and_applies_that_create_need_the_right_to_create() {
    let leases = json!({
        "apiGroups": ["coordination.k8s.io", ""], "resources": ["leases", "configmaps"],
        "verbs": ["update", "patch", "get"],
    });
    let fixture = fixture(json!([leases])).await;
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"},
    });
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a";
    let answer = ann(&fixture, Method::PUT, path, JSON, &lease).await;
    assert_eq!(
        (answer.code, answer.message().as_str()),
        (
            403,
            "leases.coordination.k8s.io \"a\" is forbidden: User \"ann\" cannot create resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"default\""
        )
    );
    fixture.get(path).await.expect(404);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let path = "/api/v1/namespaces/default/configmaps/a";
    let applied = format!("{path}?fieldManager=t");
    ann(&fixture, Method::PATCH, &applied, APPLY, &map)
        .await
        .expect(403);
    fixture.get(path).await.expect(404);
    // What is there already needs no more than before.
    fixture
        .call(Method::PATCH, &applied, APPLY, &map.to_string())
        .await
        .expect(201);
    ann(&fixture, Method::PATCH, &applied, APPLY, &map)
        .await
        .expect(200);
}

/// The resources of a cluster role's rules.
async fn resources(fixture: &Fixture, name: &str) -> Vec<String> {
    let role = fixture
        .get(&format!("{RBAC}/clusterroles/{name}"))
        .await
        .expect(200);
    let rules = role["rules"].as_array().cloned().unwrap_or_default();
    let resources = rules
        .iter()
        .map(|rule| rule["resources"][0].as_str().unwrap().to_owned());
    resources.collect()
}

async fn until_resources(fixture: &Fixture, name: &str, wanted: &[&str]) {
    let wrong = async || {
        let found = resources(fixture, name).await;
        (found != wanted).then(|| format!("{name} has {found:?}, not {wanted:?}"))
    };
    settle(wrong).await;
}

#[tokio::test]
async fn aggregated_roles_are_kept_filled_in() {
    let fixture = fixture(json!([])).await;
    let path = format!("{RBAC}/clusterroles");
    let mut all = role("ClusterRole", "all", &json!([]));
    all["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]});
    fixture.post(&path, &all).await.expect(201);
    let mut further = role("ClusterRole", "further", &json!([]));
    further["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    further["aggregationRule"] = all["aggregationRule"].clone();
    fixture.post(&path, &further).await.expect(201);
    for name in ["widgets", "gadgets"] {
        let rules = json!([{"apiGroups": ["example.com"], "resources": [name], "verbs": ["get"]}]);
        let mut role = role("ClusterRole", name, &rules);
        role["metadata"]["labels"] = json!({"to": "all"});
        fixture.post(&path, &role).await.expect(201);
    }
    until_resources(&fixture, "all", &["gadgets", "widgets"]).await;
    // Over `further`, the view role has them, too, and so have those above it.
    for name in ["view", "edit", "admin"] {
        while !resources(&fixture, name)
            .await
            .contains(&"gadgets".to_owned())
        {
            tokio::task::yield_now().await;
        }
    }
    // What somebody writes into it is not kept.
    fixture
        .merge(&format!("{path}/all"), &json!({"rules": []}))
        .await
        .expect(200);
    until_resources(&fixture, "all", &["gadgets", "widgets"]).await;
    let unlabelled = json!({"metadata": {"labels": {"to": null}}});
    fixture
        .merge(&format!("{path}/gadgets"), &unlabelled)
        .await
        .expect(200);
    until_resources(&fixture, "all", &["widgets"]).await;
}

/// A rule with 60 values in each list.
fn wide(verb: &str) -> Value {
    let list =
        |what: &str| -> Vec<String> { (0..60).map(|number| format!("{what}{number}")).collect() };
    let mut verbs = list("v");
    verbs.push(verb.to_owned());
    json!({
        "apiGroups": list("g"), "resources": list("r"), "resourceNames": list("n"), "verbs": verbs,
    })
}

#[tokio::test]
async fn wide_rules_are_compared_at_once() {
    let fixture = fixture(rbac_rules(&[wide("v")])).await;
    let roles = format!("{RBAC}/clusterroles");
    let own = role("ClusterRole", "own", &json!([wide("v")]));
    ann(&fixture, Method::POST, &roles, JSON, &own)
        .await
        .expect(201);
    // 216,000 resources with names, each without one verb.
    let more = role("ClusterRole", "more", &json!([wide("w")]));
    let refused = ann(&fixture, Method::POST, &roles, JSON, &more).await;
    assert_eq!(refused.code, 403);
    let message = refused.message();
    let first = r#"{APIGroups:["g0"], Resources:["r0"], ResourceNames:["n0"], Verbs:["w"]}"#;
    assert!(message.contains(first), "{message}");
    assert!(message.ends_with("\nand more"), "{message}");
    assert!(message.len() < 1024 * 1024, "{}", message.len());
    fixture.post(&roles, &more).await.expect(201);
    let bindings = format!("{RBAC}/clusterrolebindings");
    for (name, code) in [("own", 201), ("more", 403)] {
        let binding = binding("ClusterRoleBinding", name, "ClusterRole", name);
        let answer = ann(&fixture, Method::POST, &bindings, JSON, &binding).await;
        assert_eq!(answer.code, code, "{name}");
    }
}

#[tokio::test]
async fn rules_that_take_too_long_to_compare_are_refused() {
    let fixture = fixture(rbac_rules(&[])).await;
    let roles = format!("{RBAC}/clusterroles");
    let rules = |verb: &str| -> Value {
        let numbers = 0..3000;
        let rules = numbers.map(|number| {
            json!({"apiGroups": ["a"], "resources": [format!("r{number}")], "verbs": [verb]})
        });
        rules.collect()
    };
    let many = role("ClusterRole", "many", &rules("get"));
    fixture.post(&roles, &many).await.expect(201);
    let binding = binding("ClusterRoleBinding", "many", "ClusterRole", "many");
    let bindings = format!("{RBAC}/clusterrolebindings");
    fixture.post(&bindings, &binding).await.expect(201);
    let refused = role("ClusterRole", "refused", &rules("get"));
    let refused = ann(&fixture, Method::POST, &roles, JSON, &refused).await;
    assert_eq!(refused.code, 403);
    let why = "there are too many rules to compare them with those of the user";
    assert!(refused.message().ends_with(why), "{}", refused.message());
}
