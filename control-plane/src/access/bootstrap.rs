//! What is there from the start: namespaces, the service `kubernetes`, and the roles that
//! everybody has.

use serde_json::{Value, json};

use crate::kinds::Kinds;
use crate::objects::{Error, Objects};

/// Makes what is missing.
pub(crate) async fn bootstrap(objects: &Objects) -> Result<(), Error> {
    let kinds = objects.registry.now();
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        let namespace = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        ensure(objects, &kinds, ("", "namespaces"), namespace).await?;
    }
    ensure(objects, &kinds, ("", "services"), service(objects)).await?;
    for (name, rules) in roles() {
        let role = json!({"metadata": metadata(name), "rules": rules});
        ensure(objects, &kinds, (GROUP, "clusterroles"), role).await?;
    }
    for (name, groups) in bindings() {
        let subjects = groups
            .iter()
            .map(|group| json!({"kind": "Group", "apiGroup": GROUP, "name": group}));
        let binding = json!({
            "metadata": metadata(name),
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": subjects.collect::<Vec<_>>(),
        });
        ensure(objects, &kinds, (GROUP, "clusterrolebindings"), binding).await?;
    }
    Ok(())
}

/// The service by which pods find the API server.
fn service(objects: &Objects) -> Value {
    let address = objects.service_network.first().to_string();
    json!({
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": address,
            "clusterIPs": [address],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    })
}

const GROUP: &str = "rbac.authorization.k8s.io";

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    })
}

async fn ensure(
    objects: &Objects,
    kinds: &Kinds,
    resource: (&str, &str),
    mut value: Value,
) -> Result<(), Error> {
    let Some(resource) = kinds.find(resource.0, "v1", resource.1) else {
        return Ok(());
    };
    let metadata = crate::meta::metadata(&mut value);
    metadata.insert("uid".to_owned(), objects.sources.uid().into());
    metadata.insert(
        "creationTimestamp".to_owned(),
        objects.sources.now_text().into(),
    );
    match objects.create(resource, value, false).await {
        Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn roles() -> Vec<(&'static str, Value)> {
    let paths = |urls: &[&str]| json!([{"nonResourceURLs": urls, "verbs": ["get"]}]);
    vec![
        (
            "cluster-admin",
            json!([
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                {"nonResourceURLs": ["*"], "verbs": ["*"]},
            ]),
        ),
        (
            "system:basic-user",
            json!([
                {
                    "apiGroups": ["authorization.k8s.io"],
                    "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                    "verbs": ["create"],
                },
                {
                    "apiGroups": ["authentication.k8s.io"],
                    "resources": ["selfsubjectreviews"],
                    "verbs": ["create"],
                },
            ]),
        ),
        (
            "system:discovery",
            paths(&[
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
            ]),
        ),
        (
            "system:public-info-viewer",
            paths(&["/healthz", "/livez", "/readyz", "/version", "/version/"]),
        ),
    ]
}

fn bindings() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("cluster-admin", &["system:masters"]),
        ("system:basic-user", &["system:authenticated"]),
        ("system:discovery", &["system:authenticated"]),
        (
            "system:public-info-viewer",
            &["system:authenticated", "system:unauthenticated"],
        ),
    ]
}
