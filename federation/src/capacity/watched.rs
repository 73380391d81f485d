//! Nodes and pods as the watches keep them: the few fields that capacity needs. The rest of each
//! object is dropped while it is being parsed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint as NodeTaint;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use placement::{Node, OwnerKey, Pod};
use serde::{Deserialize, Deserializer};

use super::amounts::typed_quantities;
use super::pods::{PodSpec, taint_of};
use super::trouble::Trouble;
use crate::api::LABEL_OWNER;
use crate::members::uid_bits;

/// A pod: identity, node, requests, owner, what other pods see of it, and whether it still counts.
#[derive(Clone, Debug, Deserialize)]
pub struct WatchedPod {
    #[serde(deserialize_with = "essential_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    conditions: Vec<PodCondition>,
    init_container_statuses: Vec<ContainerStatus>,
    container_statuses: Vec<ContainerStatus>,
}

/// Of a pod that runs it has no text: most pods are not ours, and run.
#[derive(Clone, Debug, Deserialize)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: ConditionKind,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum ConditionKind {
    PodScheduled,
    #[serde(other)]
    Other,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Waiting>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

/// A node: labels, taints, allocatable, and whether it is ready.
#[derive(Clone, Debug, Deserialize)]
pub struct WatchedNode {
    #[serde(deserialize_with = "essential_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    taints: Vec<NodeTaint>,
    unschedulable: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    allocatable: BTreeMap<String, Quantity>,
    conditions: Vec<NodeCondition>,
}

#[derive(Clone, Debug, Deserialize)]
struct NodeCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl WatchedPod {
    /// What it takes from its node; `None` when it is not bound yet or has ended.
    pub fn load(&self) -> Option<Pod> {
        let node = self
            .spec
            .node_name
            .clone()
            .filter(|node| !node.is_empty())?;
        if matches!(self.status.phase.as_str(), "Succeeded" | "Failed") {
            return None;
        }
        let labels = self.metadata.labels.as_ref().unwrap_or(&NO_LABELS);
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        Some(Pod {
            node,
            // The API server has checked what a pod that exists says.
            requests: self.spec.requests().unwrap_or_default(),
            owner: self.owner(),
            profile: self.spec.profile(namespace, labels).unwrap_or_default(),
        })
    }

    /// The owner on the hub, of a pod of ours.
    pub fn owner(&self) -> Option<OwnerKey> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(LABEL_OWNER).map(|uid| OwnerKey(uid_bits(uid)))
    }

    /// Why it does not run, if something keeps it from that.
    pub fn trouble(&self) -> Option<Trouble> {
        let status = &self.status;
        if matches!(status.phase.as_str(), "Succeeded" | "Failed") {
            return None;
        }
        let unscheduled = status.conditions.iter().find(|one| {
            one.kind == ConditionKind::PodScheduled
                && one.reason.as_deref() == Some("Unschedulable")
        });
        if let Some(one) = unscheduled {
            let message = one.message.as_deref().unwrap_or_default();
            return Some(Trouble::new("Unschedulable", message));
        }
        let containers = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses);
        // Nothing is wrong with one that is being started.
        let mut stuck = containers
            .filter_map(|one| one.state.waiting.as_ref())
            .filter(|waiting| {
                !matches!(
                    waiting.reason.as_str(),
                    "" | "ContainerCreating" | "PodInitializing"
                )
            });
        let waiting = stuck.next()?;
        Some(Trouble::new(&waiting.reason, &waiting.message))
    }
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

impl WatchedNode {
    /// The node's name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The node as the decision core knows it.
    pub fn node(&self) -> Node {
        Node {
            name: self.name().to_owned(),
            labels: self.metadata.labels.clone().unwrap_or_default(),
            taints: self.spec.taints.iter().filter_map(taint_of).collect(),
            unschedulable: self.spec.unschedulable,
            ready: self
                .status
                .conditions
                .iter()
                .any(|c| c.kind == "Ready" && c.status == "True"),
            allocatable: typed_quantities(&self.status.allocatable),
        }
    }
}

/// Name, namespace, uid, version and labels; not the managed fields, which are most of it.
fn essential_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Essential {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        labels: Option<BTreeMap<String, String>>,
    }
    let essential = Essential::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: essential.name,
        namespace: essential.namespace,
        uid: essential.uid,
        resource_version: essential.resource_version,
        labels: essential.labels,
        ..ObjectMeta::default()
    })
}

macro_rules! core_resource {
    ($type:ty, $scope:ty, $kind:literal, $plural:literal) => {
        impl kube::Resource for $type {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }
            fn group((): &()) -> Cow<'_, str> {
                "".into()
            }
            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }
            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

core_resource!(WatchedPod, NamespaceResourceScope, "Pod", "pods");
core_resource!(WatchedNode, ClusterResourceScope, "Node", "nodes");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn trouble(status: &Value) -> Option<Trouble> {
        let pod = json!({ "metadata": { "name": "web" }, "status": status });
        let pod: WatchedPod = serde_json::from_value(pod).unwrap();
        pod.trouble()
    }

    #[test]
    fn why_a_pod_does_not_run_is_read_from_its_status() {
        let waiting = |reason: &str| {
            json!({ "phase": "Pending", "containerStatuses": [
                { "name": "a", "state": { "running": {} } },
                { "name": "b", "state": { "waiting": { "reason": reason, "message": "why" } } },
            ] })
        };
        for reason in ["CrashLoopBackOff", "CreateContainerConfigError"] {
            let found = trouble(&waiting(reason));
            assert_eq!(found, Some(Trouble::new(reason, "why")));
        }
        assert_eq!(trouble(&waiting("ContainerCreating")), None);
        let unscheduled = json!({ "phase": "Pending", "conditions": [
            { "type": "Ready", "status": "False", "reason": "Unschedulable", "message": "not this" },
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/5 nodes" },
        ] });
        assert_eq!(
            trouble(&unscheduled),
            Some(Trouble::new("Unschedulable", "0/5 nodes"))
        );
        let gated = json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" },
        ] });
        assert_eq!(trouble(&gated), None);
        let failed = json!({ "phase": "Failed", "containerStatuses": waiting("ErrImagePull")["containerStatuses"] });
        assert_eq!(trouble(&failed), None);
        assert_eq!(trouble(&json!({ "phase": "Running" })), None);
    }
}
