//! The roles that every cluster has, as Kubernetes v1.34 has them, and whom they are bound to.

use serde_json::{Value, json};

use super::aggregation::gathered;

pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const READ_WRITE: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const CREATE: &[&str] = &["create"];

/// Rules: the API group, the resources, the verbs.
type Rules = &'static [(
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
)];

const VIEW: Rules = &[
    (
        "",
        &[
            "configmaps",
            "endpoints",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "serviceaccounts",
            "services",
            "services/status",
        ],
        READ,
    ),
    (
        "",
        &[
            "bindings",
            "events",
            "limitranges",
            "namespaces/status",
            "pods/log",
            "pods/status",
            "replicationcontrollers/status",
            "resourcequotas",
            "resourcequotas/status",
        ],
        READ,
    ),
    ("", &["namespaces"], READ),
    ("discovery.k8s.io", &["endpointslices"], READ),
    (
        "apps",
        &[
            "controllerrevisions",
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "statefulsets",
            "statefulsets/scale",
            "statefulsets/status",
        ],
        READ,
    ),
    (
        "autoscaling",
        &[
            "horizontalpodautoscalers",
            "horizontalpodautoscalers/status",
        ],
        READ,
    ),
    (
        "batch",
        &["cronjobs", "cronjobs/status", "jobs", "jobs/status"],
        READ,
    ),
    (
        "extensions",
        &[
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "ingresses",
            "ingresses/status",
            "networkpolicies",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "replicationcontrollers/scale",
        ],
        READ,
    ),
    (
        "policy",
        &["poddisruptionbudgets", "poddisruptionbudgets/status"],
        READ,
    ),
    (
        "networking.k8s.io",
        &["ingresses", "ingresses/status", "networkpolicies"],
        READ,
    ),
    (
        "resource.k8s.io",
        &[
            "resourceclaims",
            "resourceclaims/status",
            "resourceclaimtemplates",
        ],
        READ,
    ),
];

const EDIT: Rules = &[
    (
        "",
        &[
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
            "secrets",
            "services/proxy",
        ],
        READ,
    ),
    ("", &["serviceaccounts"], &["impersonate"]),
    (
        "",
        &[
            "pods",
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
        ],
        WRITE,
    ),
    ("", &["pods/eviction"], CREATE),
    (
        "",
        &[
            "configmaps",
            "events",
            "persistentvolumeclaims",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "secrets",
            "serviceaccounts",
            "services",
            "services/proxy",
        ],
        WRITE,
    ),
    ("", &["serviceaccounts/token"], CREATE),
    (
        "apps",
        &[
            "daemonsets",
            "deployments",
            "deployments/rollback",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
        WRITE,
    ),
    ("autoscaling", &["horizontalpodautoscalers"], WRITE),
    ("batch", &["cronjobs", "jobs"], WRITE),
    (
        "extensions",
        &[
            "daemonsets",
            "deployments",
            "deployments/rollback",
            "deployments/scale",
            "ingresses",
            "networkpolicies",
            "replicasets",
            "replicasets/scale",
            "replicationcontrollers/scale",
        ],
        WRITE,
    ),
    ("policy", &["poddisruptionbudgets"], WRITE),
    (
        "networking.k8s.io",
        &["ingresses", "networkpolicies"],
        WRITE,
    ),
    ("coordination.k8s.io", &["leases"], READ_WRITE),
    (
        "resource.k8s.io",
        &["resourceclaims", "resourceclaimtemplates"],
        WRITE,
    ),
];

const ADMIN: Rules = &[
    (
        "authorization.k8s.io",
        &["localsubjectaccessreviews"],
        CREATE,
    ),
    (GROUP, &["rolebindings", "roles"], READ_WRITE),
];

const BASIC_USER: Rules = &[
    (
        "authorization.k8s.io",
        &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        CREATE,
    ),
    ("authentication.k8s.io", &["selfsubjectreviews"], CREATE),
];

const AUTH_DELEGATOR: Rules = &[
    ("authentication.k8s.io", &["tokenreviews"], CREATE),
    ("authorization.k8s.io", &["subjectaccessreviews"], CREATE),
];

fn rules(rules: Rules) -> Value {
    let rules = rules.iter().map(|(group, resources, verbs)| {
        json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
    });
    rules.collect()
}

fn paths(paths: &[&str]) -> Value {
    json!([{"nonResourceURLs": paths, "verbs": ["get"]}])
}

const DISCOVERY: &[&str] = &[
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];
const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];
const ISSUER: &[&str] = &[
    "/.well-known/openid-configuration",
    "/.well-known/openid-configuration/",
    "/openid/v1/jwks",
    "/openid/v1/jwks/",
];

pub(super) fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    })
}

fn aggregation(to: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{to}")
}

/// The cluster roles, each before those that are made of it.
pub(super) fn roles() -> Vec<Value> {
    let everything = json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]);
    let mut roles: Vec<Value> = [
        ("cluster-admin", everything),
        ("system:auth-delegator", rules(AUTH_DELEGATOR)),
        ("system:basic-user", rules(BASIC_USER)),
        ("system:discovery", paths(DISCOVERY)),
        ("system:public-info-viewer", paths(PUBLIC)),
        ("system:service-account-issuer-discovery", paths(ISSUER)),
    ]
    .into_iter()
    .map(|(name, rules)| json!({"metadata": metadata(name), "rules": rules}))
    .collect();
    for (to, rights) in [("view", VIEW), ("edit", EDIT), ("admin", ADMIN)] {
        let name = format!("system:aggregate-to-{to}");
        let mut role = json!({"metadata": metadata(&name), "rules": rules(rights)});
        role["metadata"]["labels"][aggregation(to)] = json!("true");
        roles.push(role);
    }
    for (name, within) in [
        ("view", Some("edit")),
        ("edit", Some("admin")),
        ("admin", None),
    ] {
        let mut role = json!({"metadata": metadata(name)});
        let labels = json!({ aggregation(name): "true" });
        role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": labels}]});
        if let Some(within) = within {
            role["metadata"]["labels"][aggregation(within)] = json!("true");
        }
        // In the order of names, as the roles are listed.
        let mut others = roles.clone();
        others.sort_by_key(|role| crate::meta::name(role).to_owned());
        let rules = gathered(&role, &others.iter()).unwrap_or_default();
        role["rules"] = json!(rules);
        roles.push(role);
    }
    roles
}

/// The cluster role bindings: the role, whose name they have, and the groups.
pub(super) fn bindings() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("cluster-admin", &["system:masters"]),
        ("system:basic-user", &["system:authenticated"]),
        ("system:discovery", &["system:authenticated"]),
        (
            "system:public-info-viewer",
            &["system:authenticated", "system:unauthenticated"],
        ),
        (
            "system:service-account-issuer-discovery",
            &["system:serviceaccounts"],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_may_edit_and_an_editor_may_view() {
        let roles = roles();
        let count = |name: &str| {
            let role = roles
                .iter()
                .find(|role| crate::meta::name(role) == name)
                .unwrap();
            crate::meta::items(role, "/rules").len()
        };
        assert_eq!(count("view"), VIEW.len());
        assert_eq!(count("edit"), EDIT.len() + VIEW.len());
        assert_eq!(count("admin"), ADMIN.len() + EDIT.len() + VIEW.len());
    }
}
