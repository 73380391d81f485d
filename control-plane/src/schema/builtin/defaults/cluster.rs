//! Namespaces, nodes, volumes, secrets, roles, and what describes other things.

use serde_json::{Map, Value, json};

use super::fill::{add_missing, each, is_unset, replace_if_unset, set, where_there, within};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Texts in `stringData` are put into `data`, encoded.
pub(crate) fn secret(secret: &mut Value) {
    set(secret, "type", "Opaque");
    let Value::Object(fields) = secret else {
        return;
    };
    let Some(Value::Object(texts)) = fields.remove("stringData") else {
        return;
    };
    within(secret, "data", |data| {
        for (name, text) in texts {
            if let (Value::Object(data), Value::String(text)) = (&mut *data, text) {
                data.insert(name, Value::String(base64(text.as_bytes())));
            }
        }
    });
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * at) & 63) as usize);
            let is_filler = at > chunk.len();
            text.push(
                letter
                    .filter(|_| !is_filler)
                    .map_or('=', |letter| char::from(*letter)),
            );
        }
    }
    text
}

pub(crate) fn namespace(namespace: &mut Value) {
    let name = namespace["metadata"]["name"].clone();
    if name.as_str().is_some_and(|name| !name.is_empty()) {
        within(namespace, "metadata", |metadata| {
            within(metadata, "labels", |labels| {
                if let Value::Object(labels) = labels {
                    labels.insert("kubernetes.io/metadata.name".to_string(), name);
                }
            });
        });
    }
    within(namespace, "spec", |_| {});
    within(namespace, "status", |status| set(status, "phase", "Active"));
}

/// What a node says of itself, even if it says nothing.
const NODE_INFO: [&str; 10] = [
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
];

pub(crate) fn node(node: &mut Value) {
    within(node, "spec", |spec| {
        if let (Value::String(range), true) = (&spec["podCIDR"], is_unset(spec, "podCIDRs")) {
            let ranges = json!([range]);
            set(spec, "podCIDRs", ranges);
        }
    });
    within(node, "status", |status| {
        within(status, "daemonEndpoints", |endpoints| {
            within(endpoints, "kubeletEndpoint", |endpoint| {
                set(endpoint, "Port", 0);
            });
        });
        within(status, "nodeInfo", |info| {
            for field in NODE_INFO {
                if info[field].is_null() {
                    set(info, field, "");
                }
            }
        });
        if is_unset(status, "allocatable") && !is_unset(status, "capacity") {
            let capacity = status["capacity"].clone();
            replace_if_unset(status, "allocatable", &capacity);
        }
    });
}

pub(crate) fn volume(volume: &mut Value) {
    within(volume, "spec", |spec| {
        set(spec, "persistentVolumeReclaimPolicy", "Retain");
        set(spec, "volumeMode", "Filesystem");
        where_there(spec, "hostPath", |path| {
            if path["type"].is_null() {
                set(path, "type", "");
            }
        });
    });
    within(volume, "status", |status| set(status, "phase", "Pending"));
}

pub(crate) fn claim(claim: &mut Value) {
    within(claim, "spec", claim_spec);
    within(claim, "status", |status| set(status, "phase", "Pending"));
}

pub(super) fn claim_spec(spec: &mut Value) {
    set(spec, "volumeMode", "Filesystem");
    set(spec, "resources", Map::new());
    let source = spec["dataSource"].clone();
    if source.is_object() {
        replace_if_unset(spec, "dataSourceRef", &source);
    }
}

pub(crate) fn limit_range(range: &mut Value) {
    within(range, "spec", |spec| {
        each(spec, "limits", |limit| {
            if limit["type"] == "Container" {
                for (field, from) in [
                    ("default", "max"),
                    ("defaultRequest", "default"),
                    ("defaultRequest", "min"),
                ] {
                    let from = limit[from].clone();
                    add_missing(limit, field, &from);
                }
            }
        });
    });
}

pub(crate) fn quota(quota: &mut Value) {
    within(quota, "spec", |_| {});
    within(quota, "status", |_| {});
}

pub(crate) fn role(role: &mut Value) {
    // Rules are always shown, be there none.
    if let (true, Value::Object(fields)) = (is_unset(role, "rules"), role) {
        fields.insert("rules".to_string(), Value::Null);
    }
}

pub(crate) fn role_binding(binding: &mut Value) {
    within(binding, "roleRef", |role| set(role, "apiGroup", RBAC));
    each(binding, "subjects", |subject| {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            set(subject, "apiGroup", RBAC);
        }
    });
}

pub(crate) fn storage_class(class: &mut Value) {
    set(class, "reclaimPolicy", "Delete");
    set(class, "volumeBindingMode", "Immediate");
}

pub(crate) fn csi_driver(driver: &mut Value) {
    within(driver, "spec", |spec| {
        set(spec, "attachRequired", true);
        for field in [
            "podInfoOnMount",
            "storageCapacity",
            "requiresRepublish",
            "seLinuxMount",
        ] {
            set(spec, field, false);
        }
        set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        if is_unset(spec, "volumeLifecycleModes") {
            let modes = json!(["Persistent"]);
            replace_if_unset(spec, "volumeLifecycleModes", &modes);
        }
    });
}

pub(crate) fn priority_class(class: &mut Value) {
    set(class, "preemptionPolicy", "PreemptLowerPriority");
    set(class, "value", 0);
}

/// A `CustomResourceDefinition`.
pub(crate) fn custom_resource(definition: &mut Value) {
    within(definition, "spec", |spec| {
        within(spec, "names", |names| {
            let kind = names["kind"].as_str().unwrap_or_default().to_string();
            if !kind.is_empty() {
                set(names, "singular", kind.to_lowercase());
                set(names, "listKind", format!("{kind}List"));
            }
        });
        set(spec, "conversion", json!({"strategy": "None"}));
    });
    let versions = definition["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten();
    let mut stored = versions.filter(|version| version["storage"] == true);
    let stored: Vec<Value> = stored
        .next()
        .map(|version| version["name"].clone())
        .into_iter()
        .collect();
    within(definition, "status", |status| {
        set(status, "acceptedNames", json!({"kind": "", "plural": ""}));
        if !stored.is_empty() {
            replace_if_unset(status, "storedVersions", &Value::Array(stored));
        }
        if let Value::Object(fields) = status {
            fields.entry("conditions").or_insert(Value::Null);
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_has_fillers() {
        for (text, expected) in [
            ("", ""),
            ("a", "YQ=="),
            ("ab", "YWI="),
            ("abc", "YWJj"),
            ("ÿ?>", "w78/Pg=="),
        ] {
            assert_eq!(super::base64(text.as_bytes()), expected);
        }
    }
}
