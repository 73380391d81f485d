//! What is there from the start: namespaces, the service `kubernetes`, and the roles that
//! everybody has.

use serde_json::{Value, json};

use super::roles::{GROUP, bindings, metadata, roles};
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
    for role in roles() {
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
