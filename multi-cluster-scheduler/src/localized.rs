//! A dependency as it goes to the members: without what belongs to the hub's cluster alone. Pure.

use std::collections::BTreeMap;

use federation::api::LABEL_HUB;
use federation::members::{Item, ManagedKind, Manifest, ObjectKey};
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::bundles::remove_nulls;
use crate::references::Need;
use crate::workload::version_of;

/// The type of Secrets whose content a cluster's own token controller makes.
const SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
/// The account that such a Secret is for.
const TOKEN_ACCOUNT: &str = "kubernetes.io/service-account.name";

/// Top-level fields that are no content.
const NO_CONTENT: [&str; 4] = ["status", "apiVersion", "kind", "metadata"];

/// Annotations that say something of the hub's cluster, by the beginning of their keys.
const LOCAL_ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/",
    "pv.kubernetes.io/",
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    // The uid of the hub's account; the member's account has another.
    "kubernetes.io/service-account.uid",
    "kopf.zalando.org/",
];

/// The object as every owner brings it.
pub fn localized(hub: &str, key: ObjectKey, object: &DynamicObject) -> Item {
    let resource = key.kind.resource();
    let mut content = object.data.as_object().cloned().unwrap_or_default();
    content.retain(|field, _| !NO_CONTENT.contains(&field.as_str()));
    match key.kind {
        // Bound by the member's own provisioner.
        ManagedKind::PersistentVolumeClaim => {
            if let Some(spec) = content.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("volumeName");
            }
        }
        // Token Secrets that the hub's token controller made.
        ManagedKind::ServiceAccount => drop(content.remove("secrets")),
        // The member's token controller fills it: a token of the hub never leaves it.
        ManagedKind::Secret if is_token(object) => {
            content.remove("data");
            content.remove("stringData");
        }
        _ => {}
    }
    let mut labels = kept(object.metadata.labels.as_ref(), &[]);
    labels.insert(LABEL_HUB.to_owned(), json!(hub));
    let mut value = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": labels,
            "annotations": kept(object.metadata.annotations.as_ref(), &LOCAL_ANNOTATIONS),
        },
    });
    if let Some(object) = value.as_object_mut() {
        object.extend(content);
    }
    remove_nulls(&mut value);
    let version = object.metadata.resource_version.as_deref();
    let revision = version.map_or(0, version_of);
    Item {
        key,
        manifest: Manifest::new(value),
        shared: true,
        retain: Vec::new(),
        revision,
    }
}

/// What a dependency needs in turn: a service account the Secrets that images are pulled with, a
/// token the account that it is for.
pub fn named_by_object(key: &ObjectKey, object: &DynamicObject) -> Vec<(ObjectKey, Need)> {
    let named = |kind: ManagedKind, name: &str| ObjectKey {
        kind,
        namespace: key.namespace.clone(),
        name: name.to_owned(),
    };
    match key.kind {
        ManagedKind::ServiceAccount => {
            let secrets = object.data["imagePullSecrets"].as_array();
            let names = secrets.into_iter().flatten();
            let names = names.filter_map(|secret| secret["name"].as_str());
            // Pods start without one that is missing.
            names
                .filter(|name| !name.is_empty())
                .map(|name| (named(ManagedKind::Secret, name), Need::Optional))
                .collect()
        }
        ManagedKind::Secret if is_token(object) => {
            let annotations = object.metadata.annotations.as_ref();
            let account = annotations.and_then(|annotations| annotations.get(TOKEN_ACCOUNT));
            account
                .filter(|account| *account != "default")
                .map(|account| (named(ManagedKind::ServiceAccount, account), Need::Required))
                .into_iter()
                .collect()
        }
        _ => Vec::new(),
    }
}

fn is_token(object: &DynamicObject) -> bool {
    object.data["type"] == SERVICE_ACCOUNT_TOKEN
}

/// Labels or annotations without ours, and without those whose keys begin so.
fn kept(map: Option<&BTreeMap<String, String>>, without: &[&str]) -> Map<String, Value> {
    map.into_iter()
        .flatten()
        .filter(|(key, _)| {
            !key.contains("fogguru.eu/") && !without.iter().any(|prefix| key.starts_with(prefix))
        })
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect()
}

#[cfg(test)]
#[path = "localized_tests.rs"]
mod tests;
