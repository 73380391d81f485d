//! Pods, and templates of pods.

use serde_json::{Map, Value, json};

use super::super::quantity::Quantity;
use super::fill::{add_missing, each, is_unset, set, set_number, where_there, within};

const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

pub(crate) fn pod(pod: &mut Value) {
    within(pod, "spec", |spec| {
        pod_spec(spec);
        for list in ["containers", "initContainers"] {
            each(spec, list, |container| {
                let limits = container["resources"]["limits"].clone();
                within(container, "resources", |resources| {
                    add_missing(resources, "requests", &limits);
                });
            });
        }
        set(spec, "enableServiceLinks", true);
        if spec["hostNetwork"] == true {
            host_ports(spec);
        }
    });
    let class = quality(&pod["spec"]);
    within(pod, "status", |status| {
        if let (Value::String(address), true) = (&status["podIP"], is_unset(status, "podIPs")) {
            let addresses = json!([{"ip": address}]);
            set(status, "podIPs", addresses);
        }
        set(status, "phase", "Pending");
        set(status, "qosClass", class);
    });
}

/// The template of a workload's pods, which is in the given field.
pub(crate) fn template(object: &mut Value, field: &str) {
    within(object, field, |template| {
        within(template, "metadata", |_| {});
        within(template, "spec", pod_spec);
    });
}

fn pod_spec(spec: &mut Value) {
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "restartPolicy", "Always");
    set(spec, "securityContext", Map::new());
    set(spec, "terminationGracePeriodSeconds", 30);
    set(spec, "schedulerName", "default-scheduler");
    service_account(spec);
    for list in CONTAINERS {
        each(spec, list, container);
    }
    each(spec, "volumes", volume);
}

/// The old and the new name of a field that means the same.
fn service_account(spec: &mut Value) {
    for (from, to) in [
        ("serviceAccountName", "serviceAccount"),
        ("serviceAccount", "serviceAccountName"),
    ] {
        if !is_unset(spec, from) {
            let name = spec[from].clone();
            set(spec, to, name);
        }
    }
}

fn container(container: &mut Value) {
    let policy = pull_policy(container["image"].as_str().unwrap_or_default());
    set(container, "imagePullPolicy", policy);
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
    set(container, "resources", Map::new());
    each(container, "ports", |port| set(port, "protocol", "TCP"));
    each(container, "env", |variable| {
        // An empty value is as good as none.
        if let (true, Value::Object(fields)) = (variable["value"] == "", &mut *variable) {
            fields.remove("value");
        }
        where_there(variable, "valueFrom", |from| {
            where_there(from, "fieldRef", |field| set(field, "apiVersion", "v1"));
            where_there(from, "resourceFieldRef", |field| set(field, "divisor", "0"));
        });
    });
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        where_there(container, field, probe);
    }
    where_there(container, "lifecycle", |lifecycle| {
        for field in ["postStart", "preStop"] {
            where_there(lifecycle, field, |handler| {
                where_there(handler, "httpGet", http_get);
            });
        }
    });
}

/// Images without a tag, and those that are always the latest, are pulled each time.
fn pull_policy(image: &str) -> &'static str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let last = name.rsplit('/').next().unwrap_or_default();
    let has_digest = name.len() < image.len();
    // What is no name at all has no tag either, and is refused later.
    if last.contains(|c: char| c.is_uppercase() || c.is_whitespace()) && !last.contains(':') {
        return "IfNotPresent";
    }
    let is_latest = match last.rsplit_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !has_digest && !image.is_empty(),
    };
    if is_latest { "Always" } else { "IfNotPresent" }
}

fn probe(probe: &mut Value) {
    set_number(probe, "timeoutSeconds", 1);
    set_number(probe, "periodSeconds", 10);
    set_number(probe, "successThreshold", 1);
    set_number(probe, "failureThreshold", 3);
    where_there(probe, "httpGet", http_get);
    where_there(probe, "grpc", |grpc| {
        // An empty service is one, and it is shown.
        if grpc["service"].is_null() {
            set(grpc, "service", "");
        }
    });
}

fn http_get(action: &mut Value) {
    set(action, "path", "/");
    set(action, "scheme", "HTTP");
}

fn volume(volume: &mut Value) {
    let has_source = |(name, value): (&String, &Value)| name != "name" && !value.is_null();
    let is_bare = volume
        .as_object()
        .is_some_and(|fields| !fields.iter().any(has_source));
    if is_bare {
        set(volume, "emptyDir", Map::new());
    }
    for field in ["secret", "configMap", "downwardAPI", "projected"] {
        where_there(volume, field, |source| set(source, "defaultMode", 0o644));
    }
    where_there(volume, "hostPath", |path| {
        if path["type"].is_null() {
            set(path, "type", "");
        }
    });
    where_there(volume, "downwardAPI", field_refs);
    where_there(volume, "projected", |projected| {
        each(projected, "sources", |source| {
            where_there(source, "serviceAccountToken", |token| {
                set(token, "expirationSeconds", 3_600);
            });
            where_there(source, "downwardAPI", field_refs);
        });
    });
    where_there(volume, "ephemeral", |ephemeral| {
        where_there(ephemeral, "volumeClaimTemplate", |template| {
            within(template, "metadata", |_| {});
            within(template, "spec", super::cluster::claim_spec);
        });
    });
    where_there(volume, "iscsi", |iscsi| {
        set(iscsi, "iscsiInterface", "default");
    });
    where_there(volume, "image", |image| {
        let policy = pull_policy(image["reference"].as_str().unwrap_or_default());
        set(image, "pullPolicy", policy);
    });
}

fn field_refs(downward: &mut Value) {
    each(downward, "items", |item| {
        where_there(item, "fieldRef", |field| set(field, "apiVersion", "v1"));
    });
}

fn host_ports(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        each(spec, list, |container| {
            each(container, "ports", |port| {
                if let Some(number) = port["containerPort"].as_i64() {
                    set_number(port, "hostPort", number);
                }
            });
        });
    }
}

/// How well a pod is treated when a node runs short: by the CPU and memory that it asks for.
fn quality(spec: &Value) -> &'static str {
    let containers = ["containers", "initContainers"].map(|list| spec[list].as_array());
    let containers: Vec<_> = containers.into_iter().flatten().flatten().collect();
    let amount = |container: &Value, kind: &str, name: &str| {
        let amount = Quantity::of(&container["resources"][kind][name]);
        amount.filter(|amount| amount.amount > 0)
    };
    let asks_for = |container: &&Value| {
        let names = ["cpu", "memory"];
        names.into_iter().any(|name| {
            amount(container, "requests", name).is_some()
                || amount(container, "limits", name).is_some()
        })
    };
    let is_fixed = |container: &&Value| {
        ["cpu", "memory"].into_iter().all(|name| {
            let limit = amount(container, "limits", name);
            let request = amount(container, "requests", name);
            limit.is_some() && request.is_none_or(|request| Some(request) == limit)
        })
    };
    if !containers.iter().any(asks_for) {
        "BestEffort"
    } else if containers.iter().all(is_fixed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// What a status holds that counts nothing yet.
pub(super) fn zeros(object: &mut Value, fields: &[&str]) {
    within(object, "status", |status| {
        for field in fields {
            set(status, field, json!(0));
        }
    });
}
