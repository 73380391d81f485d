//! What the members' machines have room for, counted from their nodes and pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use placement::parse_milli;
use serde_json::Value;

use super::Story;
use super::objects::Served;
use super::packing::fit_together;
use super::witness::locations;

impl Story {
    /// No node holds more than it has.
    pub(super) fn check_rooms(&mut self) {
        let mut violations = Vec::new();
        for member in self.world.members.keys() {
            for (node, free) in self.free(member) {
                if free < 0 {
                    violations.push(format!("{node} holds {}m more than it has", -free));
                }
            }
        }
        violations.into_iter().for_each(|what| self.violation(what));
    }

    /// The milli-CPU that nodes have.
    fn nodes(&self, member: &str) -> BTreeMap<String, i128> {
        let Some(member) = self.world.members.get(member) else {
            return BTreeMap::new();
        };
        let nodes = member.cluster.nodes();
        let has = nodes.iter().map(|node| {
            let status = node.status.as_ref();
            let has = status.and_then(|status| status.allocatable.as_ref());
            (node.name_any(), cpu(has))
        });
        has.collect()
    }

    /// The pods of a member that have not ended.
    fn pods(&self, member: &str) -> Vec<Arc<Pod>> {
        let member = self.world.members.get(member);
        let mut pods = member.map_or_else(Vec::new, |member| member.cluster.pods());
        pods.retain(|pod| {
            let status = pod.status.as_ref();
            let phase = status.and_then(|status| status.phase.as_deref());
            !matches!(phase, Some("Succeeded" | "Failed"))
        });
        pods
    }

    /// The milli-CPU that no pod asks for, by node.
    fn free(&self, member: &str) -> BTreeMap<String, i128> {
        let mut free = self.nodes(member);
        for pod in self.pods(member) {
            if let Some(free) = node(&pod).and_then(|node| free.get_mut(node)) {
                *free -= asks(&pod);
            }
        }
        free
    }

    /// The pods of an object that wait for a node on a member, if it is the member's doing alone:
    /// no node has room for one of them, but all pods that are there would have had room together.
    /// Where exactly pods run is decided by the member. Otherwise what is wrong.
    pub(super) fn waiting(
        &self,
        kind: Served,
        there: &DynamicObject,
        member: &str,
    ) -> Result<u64, String> {
        let (free, pods) = (self.free(member), self.pods(member));
        let mut waiting = 0;
        for pod in pods
            .iter()
            .filter(|pod| node(pod).is_none() && is_of(pod, kind, there))
        {
            let asks = asks(pod);
            if let Some((node, _)) = free.iter().find(|(_, free)| **free >= asks) {
                return Err(format!("{} waits, but {node} has room", pod.name_any()));
            }
            waiting += 1;
        }
        let asked: Vec<i128> = pods.iter().map(|pod| asks(pod)).collect();
        let nodes = self.nodes(member);
        if waiting > 0 && !fit_together(asked.clone(), nodes.values().copied().collect()) {
            return Err(format!(
                "{waiting} pods wait, because pods of {asked:?} were placed that fit its nodes of {nodes:?} in no way: free are {free:?}"
            ));
        }
        Ok(waiting)
    }

    /// A member with room for a replica of an object that still has one without a place. Places are
    /// asked for, not only replicas: what is meant for a location that is missing waits for a member
    /// that is none yet.
    pub(super) fn has_room(&self, kind: Served, object: &DynamicObject) -> Option<String> {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        let unplaced = status["unplacedReplicas"].as_u64().unwrap_or(0);
        if unplaced == 0 {
            return None;
        }
        let request = request(spec)?;
        let shares = || status["placements"].as_array().into_iter().flatten();
        let located = shares().filter(|one| one["location"] == true).count() as u64;
        let missing = locations(spec).saturating_sub(located);
        let is_short = unplaced > missing * spec["replicas"].as_u64().unwrap_or(1);
        let may_take = |member: &&String| {
            let share = shares().find(|one| one["cluster"] == ***member);
            let is_location = share.is_some_and(|one| one["location"] == true);
            // A Job that is made does not grow.
            let is_made = kind == Served::Job && share.is_some_and(|one| one["replicas"] != 0);
            !is_made && (is_short || !is_location)
        };
        let mut members = self.world.members.keys().filter(may_take);
        let found = members.find(|name| {
            let free = self.free(name);
            free.values().any(|free| *free >= i128::from(request))
        });
        found.cloned()
    }
}

/// The node that a pod is bound to.
fn node(pod: &Pod) -> Option<&String> {
    pod.spec.as_ref()?.node_name.as_ref()
}

/// Whether a pod is of an object of a member: in a story, all pods of an app are of the Deployment
/// or of the Job of that name.
fn is_of(pod: &Pod, kind: Served, there: &DynamicObject) -> bool {
    let controller = if kind == Served::Job {
        "Job"
    } else {
        "ReplicaSet"
    };
    let mut owners = pod.owner_references().iter();
    pod.namespace() == there.namespace()
        && pod.labels().get("app") == Some(&there.name_any())
        && owners.any(|owner| owner.kind == controller)
}

/// The milli-CPU that a replica asks for.
fn request(spec: &Value) -> Option<i64> {
    let container = &spec["template"]["spec"]["containers"][0];
    let request = container["resources"]["requests"]["cpu"].as_str()?;
    parse_milli(request).ok()
}

/// The milli-CPU that a pod asks for.
fn asks(pod: &Pod) -> i128 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let requests = containers.filter_map(|one| one.resources.as_ref()?.requests.as_ref());
    requests.map(|requests| cpu(Some(requests))).sum()
}

/// The milli-CPU of some resources.
fn cpu(resources: Option<&BTreeMap<String, Quantity>>) -> i128 {
    let quantity = resources.and_then(|resources| resources.get("cpu"));
    quantity.map_or(0, |quantity| parse_milli(&quantity.0).map_or(0, i128::from))
}
