//! People with one right each: every verb alone, against every path and method.
//!
//! The conversations are generated. What is compared is the status and the reason: what was
//! answered to those who may is the business of the other conversations.

use serde_json::{Value, json};

use crate::case::{Case, Step};
use crate::compare::Difference;
use crate::conversation::Answer;
use crate::verbs::{METHODS, VERBS};

/// A kind: its path, its version's path, an object, and its subresources.
struct Kind {
    version: &'static str,
    plural: &'static str,
    object: Value,
    subresources: &'static [&'static str],
}

fn kinds() -> [Kind; 4] {
    let pod = json!({"containers": [{"name": "a", "image": "a"}]});
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": pod});
    let kind = |version, plural, object, subresources| Kind {
        version,
        plural,
        object,
        subresources,
    };
    [
        kind("/api/v1", "configmaps", json!({"data": {"k": "v"}}), &[]),
        kind(
            "/api/v1",
            "pods",
            json!({"spec": pod}),
            &["status", "eviction", "binding"],
        ),
        kind(
            "/apis/apps/v1",
            "deployments",
            json!({"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}}),
            &["status", "scale"],
        ),
        kind(
            "/apis/rbac.authorization.k8s.io/v1",
            "roles",
            json!({"rules": []}),
            &[],
        ),
    ]
}

impl Kind {
    fn body(&self, name: &str) -> Value {
        let mut body = self.object.clone();
        body["metadata"] = json!({"name": name});
        body
    }

    fn paths(&self) -> Vec<String> {
        let Self {
            version, plural, ..
        } = self;
        let end = "timeoutSeconds=1";
        let collection = format!("{version}/namespaces/<ns>/{plural}");
        let watched = format!("{version}/watch/namespaces/<ns>/{plural}");
        let mut paths = vec![
            collection.clone(),
            format!("{collection}/a"),
            format!("{collection}/new"),
            format!("{collection}?watch=1&{end}"),
            format!("{collection}?fieldSelector=metadata.name%3Da"),
            format!("{watched}?{end}"),
            format!("{watched}/a?{end}"),
            format!("{version}/watch/{plural}?{end}"),
            format!("{version}/{plural}"),
        ];
        for subresource in self.subresources.iter().chain(&["nothing"]) {
            paths.push(format!("{collection}/a/{subresource}"));
        }
        paths
    }
}

/// A conversation for each verb.
pub fn cases() -> Vec<Case> {
    VERBS.into_iter().map(case).collect()
}

fn case(verb: &str) -> Case {
    let user = format!("only-{verb}");
    let group = "rbac.authorization.k8s.io";
    let rbac = format!("/apis/{group}/v1/namespaces/<ns>");
    let role = json!({
        "metadata": {"name": "only"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": [verb]}],
    });
    let binding = json!({
        "metadata": {"name": "only"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "only"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    });
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "<ns>"}},
    });
    let mut steps = vec![
        json!({"do": format!("POST {rbac}/roles"), "body": role}),
        json!({"do": format!("POST {rbac}/rolebindings"), "body": binding}),
        json!({
            "do": "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "as": user, "body": review, "until": {"/status/allowed": true},
        }),
    ];
    for kind in kinds() {
        let collection = format!("{}/namespaces/<ns>/{}", kind.version, kind.plural);
        for path in kind.paths() {
            for method in METHODS {
                // What kube-apiserver v1.34.3 takes away then is a matter of time: nothing, in some
                // runs.
                if (verb, method) == ("deletecollection", "DELETE") && path.contains("watch=1") {
                    continue;
                }
                // What somebody has taken away or changed is there again.
                steps.push(json!({"do": format!("DELETE {collection}/a?gracePeriodSeconds=0")}));
                steps.push(json!({"do": format!("DELETE {collection}/new?gracePeriodSeconds=0")}));
                steps.push(json!({"do": format!("POST {collection}"), "body": kind.body("a")}));
                let mut step = json!({"do": format!("{method} {path}"), "as": user});
                match method {
                    "POST" => step["body"] = kind.body("new"),
                    "PUT" => {
                        step["body"] = kind.body(if path.contains("/new") { "new" } else { "a" });
                    }
                    "PATCH" => {
                        step["body"] = json!({"metadata": {"labels": {"by": verb}}});
                        step["type"] = json!("merge");
                    }
                    _ => {}
                }
                steps.push(step);
            }
        }
    }
    let steps: Vec<Step> = steps
        .into_iter()
        .map(|step| serde_json::from_value(step).unwrap())
        .collect();
    Case {
        name: format!("who may only {verb}"),
        steps,
        later: Vec::new(),
    }
}

/// Whether two answers have another status, or another reason.
pub fn differences(real: &Answer, embedded: &Answer) -> Vec<Difference> {
    let reason = |answer: &Answer| match &answer.body["reason"] {
        Value::String(reason) => reason.clone(),
        _ => String::new(),
    };
    let mut found = Vec::new();
    for (path, real, embedded) in [
        (
            "status",
            real.status.to_string(),
            embedded.status.to_string(),
        ),
        ("/reason", reason(real), reason(embedded)),
    ] {
        if real != embedded {
            found.push(Difference {
                path: path.to_owned(),
                real,
                embedded,
            });
        }
    }
    found
}
