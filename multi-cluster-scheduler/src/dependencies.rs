//! The objects that a template names and that go along to the members: which ones, and how they
//! look there.

use std::collections::BTreeSet;

use federation::api::{LABEL_HUB, LABEL_OWNER_PREFIX};
use federation::members::{Deadlined as _, Item, ManagedKind, ObjectKey};
use kube::api::DynamicObject;
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use crate::bundles::remove_nulls;
use crate::workload::Workload;

/// The objects that the workload's template names, in its namespace.
pub fn named_by(workload: &Workload) -> BTreeSet<ObjectKey> {
    let wanted = workload
        .placement()
        .is_some_and(|fields| fields.dependencies == federation::api::Dependencies::Auto);
    let Some(spec) = workload
        .template()
        .map(|template| &template["spec"])
        .filter(|_| wanted)
    else {
        return BTreeSet::new();
    };
    let mut names = BTreeSet::new();
    let mut name = |kind: ManagedKind, value: &Value| {
        if let Some(name) = value.as_str().filter(|name| !name.is_empty()) {
            names.insert(ObjectKey {
                kind,
                namespace: workload.key.namespace.clone(),
                name: name.to_owned(),
            });
        }
    };
    for volume in items(&spec["volumes"]) {
        name(ManagedKind::ConfigMap, &volume["configMap"]["name"]);
        name(ManagedKind::Secret, &volume["secret"]["secretName"]);
        name(
            ManagedKind::PersistentVolumeClaim,
            &volume["persistentVolumeClaim"]["claimName"],
        );
        for source in items(&volume["projected"]["sources"]) {
            name(ManagedKind::ConfigMap, &source["configMap"]["name"]);
            name(ManagedKind::Secret, &source["secret"]["name"]);
        }
    }
    for container in ["containers", "initContainers"]
        .iter()
        .flat_map(|list| items(&spec[*list]))
    {
        for source in items(&container["envFrom"]) {
            name(ManagedKind::ConfigMap, &source["configMapRef"]["name"]);
            name(ManagedKind::Secret, &source["secretRef"]["name"]);
        }
        for variable in items(&container["env"]) {
            name(
                ManagedKind::ConfigMap,
                &variable["valueFrom"]["configMapKeyRef"]["name"],
            );
            name(
                ManagedKind::Secret,
                &variable["valueFrom"]["secretKeyRef"]["name"],
            );
        }
    }
    for secret in items(&spec["imagePullSecrets"]) {
        name(ManagedKind::Secret, &secret["name"]);
    }
    name(ManagedKind::ServiceAccount, &spec["serviceAccountName"]);
    // Every namespace has these by itself.
    names.retain(|key| {
        !matches!(
            (key.kind, key.name.as_str()),
            (ManagedKind::ServiceAccount, "default") | (ManagedKind::ConfigMap, "kube-root-ca.crt")
        )
    });
    names
}

/// What a template names, as it goes to the members, and what of it the hub does not have.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// The objects.
    pub items: Vec<Item>,
    /// Those that are missing on the hub.
    pub missing: Vec<ObjectKey>,
}

/// Fetches what the workload's template names.
pub async fn fetch(
    client: &Client,
    hub: &str,
    workload: &Workload,
    deadline: std::time::Duration,
) -> kube::Result<Fetched> {
    let mut fetched = Fetched::default();
    for key in named_by(workload) {
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &key.namespace, &key.kind.resource());
        match api.get_opt(&key.name).within(deadline).await? {
            Some(object) if object.metadata.deletion_timestamp.is_none() => {
                let object = for_members(hub, workload, key.kind, &object);
                fetched.items.push(Item {
                    key,
                    object,
                    shared: true,
                    retain: Vec::new(),
                });
            }
            _ => fetched.missing.push(key),
        }
    }
    Ok(fetched)
}

/// The object without what belongs to the hub alone.
fn for_members(hub: &str, workload: &Workload, kind: ManagedKind, object: &DynamicObject) -> Value {
    let resource = kind.resource();
    let mut data = object.data.as_object().cloned().unwrap_or_default();
    for own in ["status", "secrets", "apiVersion", "kind", "metadata"] {
        data.remove(own);
    }
    if kind == ManagedKind::PersistentVolumeClaim
        && let Some(spec) = data.get_mut("spec").and_then(Value::as_object_mut)
    {
        // The volume is bound by the member's own provisioner.
        spec.remove("volumeName");
    }
    let kept = |map: Option<&std::collections::BTreeMap<String, String>>| -> Map<String, Value> {
        map.into_iter()
            .flatten()
            .filter(|(key, _)| {
                ![
                    "kubectl.kubernetes.io/",
                    "pv.kubernetes.io/",
                    "volume.kubernetes.io/",
                ]
                .iter()
                .any(|prefix| key.starts_with(prefix))
                    && !key.contains("fogguru.eu/")
            })
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect()
    };
    let mut labels = kept(object.metadata.labels.as_ref());
    labels.insert(LABEL_HUB.to_owned(), json!(hub));
    labels.insert(
        format!("{LABEL_OWNER_PREFIX}{}", workload.uid),
        json!("true"),
    );
    let mut value = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": object.metadata.name,
            "namespace": object.metadata.namespace,
            "labels": labels,
            "annotations": kept(object.metadata.annotations.as_ref()),
        },
    });
    if let Some(object) = value.as_object_mut() {
        object.extend(data);
    }
    remove_nulls(&mut value);
    value
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl Fetched {
    /// It was fetched for these names.
    pub fn covers(&self, names: &BTreeSet<ObjectKey>) -> bool {
        let mut fetched: BTreeSet<&ObjectKey> = self.items.iter().map(|item| &item.key).collect();
        fetched.extend(&self.missing);
        fetched == names.iter().collect()
    }
}
