//! What is done is what was authorized: every right of one verb alone, against every path, method
//! and subresource.

use axum::body::Body;
use control_plane::store::Page;
use control_plane::{Options, User};
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::{Fixture, widgets};
use crate::verbs::{METHODS, VERBS};

/// In every object, so that an answer shows whether it was read.
const MARK: &str = "marked-value";

/// A kind with an object `a` of it, and its subresources.
struct Kind {
    version: &'static str,
    plural: &'static str,
    namespaced: bool,
    object: Value,
    subresources: &'static [&'static str],
}

fn kinds() -> Vec<Kind> {
    let kind = |version, plural, namespaced, object, subresources| Kind {
        version,
        plural,
        namespaced,
        object,
        subresources,
    };
    let template = json!({
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    });
    let deployment = json!({"selector": {"matchLabels": {"app": "a"}}, "template": template});
    vec![
        kind(
            "api/v1",
            "configmaps",
            true,
            json!({"data": {"k": "v"}}),
            &[],
        ),
        kind("api/v1", "serviceaccounts", true, json!({}), &["token"]),
        kind(
            "api/v1",
            "pods",
            true,
            json!({"spec": template["spec"]}),
            &["status", "binding", "eviction", "log", "exec", "proxy"],
        ),
        kind("api/v1", "nodes", false, json!({}), &["status", "proxy"]),
        kind(
            "apis/apps/v1",
            "deployments",
            true,
            json!({"spec": deployment}),
            &["status", "scale"],
        ),
        kind(
            "apis/rbac.authorization.k8s.io/v1",
            "roles",
            true,
            json!({"rules": []}),
            &[],
        ),
        kind(
            "apis/example.com/v1",
            "widgets",
            true,
            json!({}),
            &["status"],
        ),
    ]
}

impl Kind {
    fn body(&self, name: &str) -> Value {
        let mut body = self.object.clone();
        body["metadata"] = json!({"name": name, "annotations": {"mark": MARK}});
        if self.version == "apis/example.com/v1" {
            body["apiVersion"] = json!("example.com/v1");
            body["kind"] = json!("Widget");
        }
        body
    }

    fn collection(&self) -> String {
        let Self {
            version, plural, ..
        } = self;
        if self.namespaced {
            format!("/{version}/namespaces/default/{plural}")
        } else {
            format!("/{version}/{plural}")
        }
    }

    /// Every path that leads to the kind, or looks as if it did.
    fn paths(&self) -> Vec<String> {
        let Self {
            version, plural, ..
        } = self;
        let collection = self.collection();
        let place = collection.strip_prefix(&format!("/{version}")).unwrap();
        let watched = format!("/{version}/watch{place}");
        let mut paths = vec![
            collection.clone(),
            format!("{collection}/a"),
            format!("{collection}/new"),
            format!("{collection}?watch=1"),
            format!("{collection}/a?watch=1"),
            format!("{collection}?fieldSelector=metadata.name%3Da"),
            format!("{collection}%2Fa"),
            format!("{collection}//a"),
            watched.clone(),
            format!("{watched}/a"),
            format!("{watched}?fieldSelector=metadata.name%3Da"),
            format!("/{version}/{plural}"),
            format!("/{version}/watch/{plural}"),
            format!("/{version}/watch/watch{place}"),
        ];
        for subresource in self.subresources.iter().chain(&["nothing"]) {
            paths.push(format!("{collection}/a/{subresource}"));
            paths.push(format!("{watched}/a/{subresource}"));
            paths.push(format!("{collection}//{subresource}"));
        }
        paths
    }
}

async fn fixture() -> Fixture {
    let tokens = VERBS.map(|verb| (format!("may-{verb}"), User::new(verb, &[])));
    let fixture = Fixture::with(Options {
        tokens: tokens.into(),
        ..Options::default()
    })
    .await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    for verb in VERBS {
        let role = json!({
            "metadata": {"name": verb},
            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": [verb]}],
        });
        let binding = json!({
            "metadata": {"name": verb},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": verb},
            "subjects": [{"kind": "User", "name": verb, "apiGroup": "rbac.authorization.k8s.io"}],
        });
        fixture
            .post(&format!("{rbac}/clusterroles"), &role)
            .await
            .expect(201);
        let bindings = format!("{rbac}/clusterrolebindings");
        fixture.post(&bindings, &binding).await.expect(201);
    }
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let mut definition = widgets();
    definition["spec"]["versions"][0]["subresources"] = json!({"status": {}});
    fixture.post(definitions, &definition).await.expect(201);
    fixture
}

/// The objects of a kind, by name with their revisions.
fn objects(fixture: &Fixture, kind: &Kind) -> Vec<(String, u64)> {
    let group = match kind.version.strip_prefix("apis/") {
        Some(version) => version.split('/').next().unwrap(),
        None => "",
    };
    let table = format!("{group}/{}", kind.plural);
    let list = fixture.plane.store().list(&table, None, &Page::default());
    let named = list.unwrap().items.into_iter().map(|object| {
        let name = object.value()["metadata"]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        (name, object.revision())
    });
    named.filter(|(name, _)| name != "default").collect()
}

/// What a request did, and what it was answered.
struct Done {
    did: Vec<Did>,
    code: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Create,
    Change,
    Remove,
    /// The answer shows the object.
    Show,
}

/// Whether who has this right alone may do that by this request.
fn may(verb: &str, method: &str, path: &str, did: Did) -> bool {
    match did {
        Did::Create => verb == "create",
        Did::Change => match verb {
            "update" => method == "PUT",
            "patch" => method == "PATCH",
            // An eviction or a binding is created, and changes its pod.
            "create" => method == "POST",
            "delete" => method == "DELETE",
            _ => false,
        },
        Did::Remove => match verb {
            "delete" | "deletecollection" => method == "DELETE",
            "create" => path.contains("/eviction"),
            _ => false,
        },
        Did::Show => method != "GET" || matches!(verb, "get" | "list" | "watch"),
    }
}

async fn send(fixture: &Fixture, kind: &Kind, verb: &str, method: &str, path: &str) -> Done {
    // Somebody else's object of the name, as it was.
    let object = format!("{}/a", kind.collection());
    if fixture.get(&object).await.code == 404 {
        fixture
            .post(&kind.collection(), &kind.body("a"))
            .await
            .expect(201);
    }
    fixture.delete(&format!("{}/new", kind.collection())).await;
    let before = objects(fixture, kind);
    let (content_type, body) = match method {
        "PATCH" => (
            "application/merge-patch+json",
            json!({"metadata": {"annotations": {"by": format!("{verb} {path}")}}}),
        ),
        "PUT" => {
            let mut body = kind.body(if path.contains("/new") { "new" } else { "a" });
            body["metadata"]["annotations"]["by"] = json!(format!("{verb} {path}"));
            ("application/json", body)
        }
        "DELETE" => ("application/json", json!({})),
        _ => ("application/json", kind.body("new")),
    };
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header("authorization", format!("Bearer may-{verb}"))
        .header("content-type", content_type);
    let body = match method {
        "GET" | "HEAD" | "OPTIONS" => Body::empty(),
        _ => Body::from(body.to_string()),
    };
    let router = fixture.plane.router();
    let response = router.oneshot(request.body(body).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    let mut body = response.into_body();
    let mut shown = false;
    // Of a watch, which does not end, the first part.
    while let Some(Ok(frame)) = body.frame().await {
        let part = frame.into_data().unwrap_or_default();
        shown |= String::from_utf8_lossy(&part).contains(MARK);
        if shown || path.contains("watch") {
            break;
        }
    }
    let after = objects(fixture, kind);
    let revision = |of: &[(String, u64)], name: &str| {
        of.iter()
            .find(|(other, _)| other == name)
            .map(|(_, revision)| *revision)
    };
    let is_in = |of: &[(String, u64)], name: &str| revision(of, name).is_some();
    let is_changed =
        |(name, now): &(String, u64)| revision(&before, name).is_some_and(|then| then != *now);
    let did = [
        (
            Did::Create,
            after.iter().any(|(name, _)| !is_in(&before, name)),
        ),
        (Did::Change, after.iter().any(is_changed)),
        (
            Did::Remove,
            before.iter().any(|(name, _)| !is_in(&after, name)),
        ),
        (Did::Show, shown),
    ];
    let did = did.into_iter().filter(|(_, done)| *done);
    Done {
        did: did.map(|(did, _)| did).collect(),
        code,
    }
}

#[tokio::test]
async fn one_right_does_what_its_verb_says_and_nothing_else() {
    let fixture = fixture().await;
    let mut wrong = Vec::new();
    let mut requests = 0;
    for kind in kinds() {
        for path in kind.paths() {
            for method in METHODS.into_iter().chain(["OPTIONS"]) {
                for verb in VERBS {
                    let done = send(&fixture, &kind, verb, method, &path).await;
                    requests += 1;
                    let is_right = done.did.iter().all(|did| may(verb, method, &path, *did));
                    if !is_right {
                        wrong.push(format!("{verb}: {method} {path} ({})", done.code));
                    }
                }
            }
        }
    }
    assert!(requests > 5_000, "{requests}");
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn a_watch_by_path_is_for_get_only() {
    let fixture = fixture().await;
    for kind in kinds() {
        let collection = kind.collection();
        let place = collection
            .strip_prefix(&format!("/{}", kind.version))
            .unwrap();
        for path in [
            format!("/{}/watch{place}", kind.version),
            format!("/{}/watch{place}/a", kind.version),
        ] {
            for method in ["HEAD", "POST", "PUT", "PATCH", "DELETE"] {
                let done = send(&fixture, &kind, "watch", method, &path).await;
                assert_eq!(done.code, 405, "{method} {path}");
                let only_shown = done.did.iter().all(|did| *did == Did::Show);
                assert!(only_shown, "{method} {path}: {:?}", done.did);
                let refused = send(&fixture, &kind, "create", method, &path).await;
                assert_eq!(refused.code, 403, "{method} {path}");
            }
        }
    }
}
