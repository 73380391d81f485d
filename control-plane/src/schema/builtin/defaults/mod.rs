//! The defaults of built-in types, as users of `kubectl` see them and controllers rely on them.

mod batch;
mod cluster;
mod fill;
mod pod;
mod service;
#[cfg(test)]
pub(super) mod tests;
mod workloads;

use serde_json::Value;

/// Fills in the defaults of an object of a built-in kind, in place. The group of the core is
/// empty. Kinds without defaults stay as they are.
pub(super) fn default(group: &str, version: &str, kind: &str, object: &mut Value) {
    let defaults: fn(&mut Value) = match (group, version, kind) {
        ("", _, "Pod") => pod::pod,
        ("", _, "PodTemplate") => |object| pod::template(object, "template"),
        ("", _, "ReplicationController") => workloads::replication_controller,
        ("", _, "Service") => service::service,
        ("", _, "Endpoints") => service::endpoints,
        ("", _, "Secret") => cluster::secret,
        ("", _, "Namespace") => cluster::namespace,
        ("", _, "Node") => cluster::node,
        ("", _, "PersistentVolume") => cluster::volume,
        ("", _, "PersistentVolumeClaim") => cluster::claim,
        ("", _, "LimitRange") => cluster::limit_range,
        ("", _, "ResourceQuota") => cluster::quota,
        ("apps", _, "Deployment") => workloads::deployment,
        ("apps", _, "ReplicaSet") => workloads::replica_set,
        ("apps", _, "StatefulSet") => workloads::stateful_set,
        ("apps", _, "DaemonSet") => workloads::daemon_set,
        ("batch", _, "Job") => batch::job,
        ("batch", _, "CronJob") => batch::cron_job,
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => batch::autoscaler_v1,
        ("autoscaling", "v2", "HorizontalPodAutoscaler") => batch::autoscaler,
        ("policy", _, "PodDisruptionBudget") => batch::disruption_budget,
        ("rbac.authorization.k8s.io", _, "RoleBinding" | "ClusterRoleBinding") => {
            cluster::role_binding
        }
        ("rbac.authorization.k8s.io", _, "Role" | "ClusterRole") => cluster::role,
        ("discovery.k8s.io", _, "EndpointSlice") => service::endpoint_slice,
        ("networking.k8s.io", _, "NetworkPolicy") => service::network_policy,
        ("networking.k8s.io", _, "Ingress") => service::ingress,
        ("networking.k8s.io", _, "IngressClass") => service::ingress_class,
        ("storage.k8s.io", _, "StorageClass") => cluster::storage_class,
        ("storage.k8s.io", _, "CSIDriver") => cluster::csi_driver,
        ("scheduling.k8s.io", _, "PriorityClass") => cluster::priority_class,
        ("apiextensions.k8s.io", _, "CustomResourceDefinition") => cluster::custom_resource,
        _ => return,
    };
    defaults(object);
}
