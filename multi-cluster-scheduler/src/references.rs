//! What a pod spec names of its namespace, as Kubernetes' own visitors of a pod spec find it
//! (`VisitPodSecretNames` and `VisitPodConfigmapNames` of `pkg/api/v1/pod`), and its claims and
//! service account. Pure.

use std::collections::BTreeMap;

use federation::members::{ManagedKind, ObjectKey};
use serde_json::Value;

/// Whether pods start without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// They do not.
    Required,
    /// They do: it goes along if the hub has it.
    Optional,
}

/// Where a volume's source names a Secret: the source, and the field in it.
const VOLUME_SECRETS: [(&str, &str); 10] = [
    ("azureFile", "/secretName"),
    ("cephfs", "/secretRef/name"),
    ("cinder", "/secretRef/name"),
    ("flexVolume", "/secretRef/name"),
    ("rbd", "/secretRef/name"),
    ("secret", "/secretName"),
    ("scaleIO", "/secretRef/name"),
    ("iscsi", "/secretRef/name"),
    ("storageos", "/secretRef/name"),
    ("csi", "/nodePublishSecretRef/name"),
];

/// What a pod of this spec needs in its namespace.
pub fn needs_of_pod(namespace: &str, spec: &Value) -> BTreeMap<ObjectKey, Need> {
    let mut needs = Needs {
        namespace,
        found: BTreeMap::new(),
    };
    for volume in items(&spec["volumes"]) {
        needs.of_volume(volume);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items(&spec[list]) {
            needs.of_container(container);
        }
    }
    for secret in items(&spec["imagePullSecrets"]) {
        needs.add(ManagedKind::Secret, secret.get("name"), secret);
    }
    // The second is its old name, which counts where the first is not given.
    let account = ["serviceAccountName", "serviceAccount"]
        .into_iter()
        .find(|field| spec[*field].as_str().is_some_and(|name| !name.is_empty()));
    if let Some(field) = account {
        needs.add(ManagedKind::ServiceAccount, spec.get(field), &Value::Null);
    }
    needs.found
}

struct Needs<'a> {
    namespace: &'a str,
    found: BTreeMap<ObjectKey, Need>,
}

impl Needs<'_> {
    /// Notes what `name` names; `reference` says whether it is optional. What is required once is
    /// required.
    fn add(&mut self, kind: ManagedKind, name: Option<&Value>, reference: &Value) {
        let Some(name) = name.and_then(Value::as_str).filter(|name| !name.is_empty()) else {
            return;
        };
        let is_given = matches!(
            (kind, name),
            (ManagedKind::ServiceAccount, "default") | (ManagedKind::ConfigMap, "kube-root-ca.crt")
        );
        if is_given {
            return;
        }
        let need = if reference["optional"] == true {
            Need::Optional
        } else {
            Need::Required
        };
        let key = ObjectKey {
            kind,
            namespace: self.namespace.to_owned(),
            name: name.to_owned(),
        };
        let known = self.found.entry(key).or_insert(need);
        *known = need.min(*known);
    }

    fn of_volume(&mut self, volume: &Value) {
        for (source, field) in VOLUME_SECRETS {
            let source = &volume[source];
            self.add(ManagedKind::Secret, source.pointer(field), source);
        }
        let map = &volume["configMap"];
        self.add(ManagedKind::ConfigMap, map.get("name"), map);
        let claim = &volume["persistentVolumeClaim"];
        self.add(
            ManagedKind::PersistentVolumeClaim,
            claim.get("claimName"),
            &Value::Null,
        );
        for source in items(&volume["projected"]["sources"]) {
            let (map, secret) = (&source["configMap"], &source["secret"]);
            self.add(ManagedKind::ConfigMap, map.get("name"), map);
            self.add(ManagedKind::Secret, secret.get("name"), secret);
        }
    }

    fn of_container(&mut self, container: &Value) {
        for source in items(&container["envFrom"]) {
            let (map, secret) = (&source["configMapRef"], &source["secretRef"]);
            self.add(ManagedKind::ConfigMap, map.get("name"), map);
            self.add(ManagedKind::Secret, secret.get("name"), secret);
        }
        for variable in items(&container["env"]) {
            let from = &variable["valueFrom"];
            let (map, secret) = (&from["configMapKeyRef"], &from["secretKeyRef"]);
            self.add(ManagedKind::ConfigMap, map.get("name"), map);
            self.add(ManagedKind::Secret, secret.get("name"), secret);
        }
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
#[path = "references_tests.rs"]
mod tests;
