//! Objects and patches that the tests send.

use serde_json::{Value, json};

pub const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub const JSON_PATCH: &str = "application/json-patch+json";
pub const MERGE: &str = "application/merge-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

pub const PODS: &str = "/api/v1/namespaces/default/pods";
pub const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

/// Where roles and their bindings are.
pub fn rbac(plural: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/default/{plural}")
}

/// The role of the editor, and its binding.
pub fn rights() -> [(&'static str, Value); 2] {
    let rule = |group: &str, resources: &[&str]| {
        let verbs = ["get", "create", "update", "patch", "delete"];
        json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
    };
    let written = ["configmaps", "pods/binding", "serviceaccounts/token"];
    let rules = [
        rule("", &written),
        rule("apps", &["deployments"]),
        rule("rbac.authorization.k8s.io", &["roles", "rolebindings"]),
        rule("example.com", &["*"]),
    ];
    [
        ("roles", role("editor", &json!(rules))),
        ("rolebindings", role_binding("editor", "editor")),
    ]
}

pub fn role(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": name}, "rules": rules,
    })
}

/// Gives the editor a role.
pub fn role_binding(name: &str, role: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "editor"}],
    })
}

/// Where the objects of a definition are.
pub fn objects(plural: &str) -> String {
    format!("/apis/example.com/v1/namespaces/default/{plural}")
}

/// A definition whose objects have this as their `spec`.
pub fn definition(plural: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind(plural)},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
            }],
        },
    })
}

fn kind(plural: &str) -> String {
    format!("K{plural}")
}

/// An object of a definition.
pub fn object(plural: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": kind(plural),
        "metadata": {"name": "a"}, "spec": spec,
    })
}

/// A `spec` with a list `l` of numbers and a text `s`, with a rule.
pub fn ruled(rule: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "l": {"type": "array", "maxItems": 1500, "items": {"type": "integer"}},
            "s": {"type": "string", "maxLength": 1000},
        },
        "x-kubernetes-validations": [{"rule": rule}],
    })
}

pub fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}})
}

pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": containers_of(1)},
    })
}

pub fn deployment(name: &str, containers: usize) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": containers_of(containers)},
            },
        },
    })
}

pub fn containers_of(count: usize) -> Vec<Value> {
    let container = |number| json!({"name": format!("c{number}"), "image": "i"});
    (0..count).map(container).collect()
}
