//! What is valid in objects of built-in types.
//!
//! These are the rules that users meet, in the words of the real server. Objects come with their
//! defaults. A kind without rules of its own has its metadata checked.

mod affinity;
mod autoscaling;
mod batch;
mod check;
mod cluster;
mod container;
mod definition;
mod network;
mod pod;
mod rbac;
mod resources;
mod selector;
mod service;
#[cfg(test)]
mod tests;
mod workloads;

use serde_json::Value;

use crate::schema::names::{self, NameRule};
use crate::schema::{FieldError, Path, metadata};

type Check = fn(&Value, &mut Vec<FieldError>);
type CheckUpdate = fn(&Value, &Value, &mut Vec<FieldError>);

/// What is checked of a kind.
struct Rules {
    is_namespaced: bool,
    name: NameRule,
    check: Check,
    check_update: CheckUpdate,
    /// In place of `check` for an object whose spec stays; none for the same.
    check_again: Option<Check>,
}

const NAMESPACED: Rules = Rules {
    is_namespaced: true,
    name: names::subdomain_name,
    check: |_, _| {},
    check_update: |_, _, _| {},
    check_again: None,
};

const CLUSTER: Rules = Rules {
    is_namespaced: false,
    ..NAMESPACED
};

const ROLE: NameRule = |name, _| names::path_segment(name, false);

fn rules(group: &str, kind: &str) -> Option<Rules> {
    let rules = match (group, kind) {
        ("", "Pod") => Rules {
            check: pod::pod,
            check_update: pod::pod_update,
            ..NAMESPACED
        },
        ("", "PodTemplate") => Rules {
            check: |object, errors| {
                pod::template(&object["template"], &Path::new("template"), errors);
            },
            ..NAMESPACED
        },
        ("", "Service") => Rules {
            name: names::label_1035_name,
            check: service::service,
            check_update: service::service_update,
            ..NAMESPACED
        },
        ("", "Secret") => Rules {
            check: cluster::secret,
            check_update: cluster::secret_update,
            ..NAMESPACED
        },
        ("", "ConfigMap") => Rules {
            check: cluster::config_map,
            check_update: cluster::config_map_update,
            ..NAMESPACED
        },
        ("", "Namespace") => Rules {
            name: names::label_name,
            check: cluster::namespace,
            ..CLUSTER
        },
        ("", "Node") => Rules {
            check: cluster::node,
            check_update: cluster::node_update,
            ..CLUSTER
        },
        ("", "PersistentVolume") => Rules {
            check: cluster::volume,
            ..CLUSTER
        },
        ("", "PersistentVolumeClaim") => Rules {
            check: cluster::claim,
            check_update: cluster::claim_update,
            ..NAMESPACED
        },
        ("", "ResourceQuota") => Rules {
            check: cluster::quota,
            ..NAMESPACED
        },
        ("", "ReplicationController") => Rules {
            check: workloads::replication_controller,
            ..NAMESPACED
        },
        ("apps", "Deployment") => Rules {
            check: workloads::deployment,
            check_update: workloads::selector_update,
            ..NAMESPACED
        },
        ("apps", "ReplicaSet") => Rules {
            check: workloads::replica_set,
            check_update: workloads::selector_update,
            ..NAMESPACED
        },
        ("apps", "StatefulSet") => Rules {
            check: workloads::stateful_set,
            check_update: workloads::stateful_set_update,
            ..NAMESPACED
        },
        ("apps", "DaemonSet") => Rules {
            check: workloads::daemon_set,
            check_update: workloads::selector_update,
            ..NAMESPACED
        },
        ("apps", "ControllerRevision") => Rules {
            check: workloads::revision,
            check_update: workloads::revision_update,
            ..NAMESPACED
        },
        ("batch", "Job") => Rules {
            check: batch::job,
            check_update: batch::job_update,
            ..NAMESPACED
        },
        ("batch", "CronJob") => Rules {
            check: batch::cron_job,
            ..NAMESPACED
        },
        ("autoscaling", "HorizontalPodAutoscaler") => Rules {
            check: autoscaling::autoscaler,
            ..NAMESPACED
        },
        ("policy", "PodDisruptionBudget") => Rules {
            check: autoscaling::disruption_budget,
            ..NAMESPACED
        },
        ("rbac.authorization.k8s.io", "Role") => Rules {
            name: ROLE,
            check: rbac::role,
            ..NAMESPACED
        },
        ("rbac.authorization.k8s.io", "ClusterRole") => Rules {
            name: ROLE,
            check: rbac::cluster_role,
            ..CLUSTER
        },
        ("rbac.authorization.k8s.io", "RoleBinding") => Rules {
            name: ROLE,
            check: rbac::role_binding,
            check_update: rbac::binding_update,
            ..NAMESPACED
        },
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => Rules {
            name: ROLE,
            check: rbac::cluster_role_binding,
            check_update: rbac::binding_update,
            ..CLUSTER
        },
        ("coordination.k8s.io", "Lease") => Rules {
            check: cluster::lease,
            ..NAMESPACED
        },
        ("networking.k8s.io", "NetworkPolicy") => Rules {
            check: network::network_policy,
            ..NAMESPACED
        },
        ("networking.k8s.io", "Ingress") => Rules {
            check: network::ingress,
            ..NAMESPACED
        },
        ("discovery.k8s.io", "EndpointSlice") => Rules {
            check: network::endpoint_slice,
            check_update: network::endpoint_slice_update,
            ..NAMESPACED
        },
        ("", "Event") => Rules {
            check: cluster::event,
            ..NAMESPACED
        },
        ("", "Endpoints" | "LimitRange" | "ServiceAccount")
        | ("events.k8s.io", "Event")
        | ("storage.k8s.io", "CSIStorageCapacity") => NAMESPACED,
        ("scheduling.k8s.io", "PriorityClass") => Rules {
            check: cluster::priority_class,
            check_update: cluster::priority_class_update,
            ..CLUSTER
        },
        ("storage.k8s.io", "StorageClass") => Rules {
            check: cluster::storage_class,
            check_update: cluster::storage_class_update,
            ..CLUSTER
        },
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Rules {
            // The rules know the name by themselves.
            check: definition::definition,
            check_update: definition::definition_update,
            check_again: Some(definition::definition_again),
            ..CLUSTER
        },
        (
            "networking.k8s.io"
            | "storage.k8s.io"
            | "node.k8s.io"
            | "admissionregistration.k8s.io"
            | "apiregistration.k8s.io"
            | "certificates.k8s.io",
            _,
        ) => CLUSTER,
        _ => return None,
    };
    Some(rules)
}

/// Checks a new object of a built-in kind. The group of the core is empty.
pub(super) fn create(group: &str, kind: &str, object: &Value) -> Vec<FieldError> {
    let Some(rules) = rules(group, kind) else {
        return Vec::new();
    };
    let path = Path::new("metadata");
    let of_object = &object["metadata"];
    let mut errors = metadata::validate(of_object, rules.is_namespaced, rules.name, &path);
    if !matches!(group, "apiextensions.k8s.io" | "coordination.k8s.io") {
        finalizers(of_object, &path.field("finalizers"), &mut errors);
    }
    (rules.check)(object, &mut errors);
    errors
}

/// A finalizer is one of the server's own, or named after a domain.
fn finalizers(of_object: &Value, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let known = ["orphan", "foregroundDeletion", "kubernetes"];
    for (index, name) in check::texts(&of_object["finalizers"])
        .into_iter()
        .enumerate()
    {
        if !name.contains('/') && !known.contains(&name) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(&path.index(index), name, detail));
        }
    }
}

/// Checks an object of a built-in kind that is written again.
pub(super) fn update(group: &str, kind: &str, object: &Value, old: &Value) -> Vec<FieldError> {
    let Some(rules) = rules(group, kind) else {
        return Vec::new();
    };
    let path = Path::new("metadata");
    let mut errors = metadata::validate_update(&object["metadata"], &old["metadata"], &path);
    match rules.check_again {
        // What the spec says was checked when it was written.
        Some(check) if object["spec"] == old["spec"] => check(object, &mut errors),
        _ => (rules.check)(object, &mut errors),
    }
    (rules.check_update)(object, old, &mut errors);
    errors
}
