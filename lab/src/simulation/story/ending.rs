//! What must hold when all is mended: everything is as the specs say.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::api::LABEL_OWNER;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use placement::parse_milli;
use serde_json::Value;

use super::objects::{FOREIGN, Served, of};
use super::witness::asked;
use super::{Error, Story};

/// What members hold of ours, by owner and member.
type OnMembers = BTreeMap<(String, String), DynamicObject>;

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

    /// The milli-CPU that no pod asks for, by node.
    fn free(&self, member: &str) -> BTreeMap<String, i128> {
        let Some(member) = self.world.members.get(member) else {
            return BTreeMap::new();
        };
        let mut free: BTreeMap<String, i128> = member
            .cluster
            .nodes()
            .iter()
            .map(|node| {
                let status = node.status.as_ref();
                let has = status.and_then(|status| status.allocatable.as_ref());
                (node.name_any(), cpu(has))
            })
            .collect();
        for pod in member.cluster.pods() {
            let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
            let phase = status.and_then(|status| status.phase.as_deref());
            let node = spec.and_then(|spec| spec.node_name.as_ref());
            if let Some(free) = node.and_then(|node| free.get_mut(node))
                && !matches!(phase, Some("Succeeded" | "Failed"))
            {
                *free -= asks(&pod);
            }
        }
        free
    }

    /// Everything is as the specs say.
    pub(super) async fn check_end(&mut self) -> Result<(), Error> {
        self.check_rooms();
        for kind in Served::ALL {
            let mut on_members = self.on_members(kind).await?;
            let api = of(&self.world.hub_client(), &kind.on_hub(), None);
            for object in api.list(&ListParams::default()).await? {
                self.check_object(kind, &object, &mut on_members);
            }
            for (owner, member) in on_members.into_keys() {
                // What was there when a member left, and whose owner went meanwhile, is nobody's.
                if !self.left_behind.contains(&(owner.clone(), member.clone())) {
                    self.violation(format!("{member} still holds a {kind:?} of {owner}"));
                }
            }
        }
        Ok(())
    }

    /// What members hold of ours.
    async fn on_members(&self, kind: Served) -> Result<OnMembers, Error> {
        let mut held = OnMembers::new();
        for name in self.world.members.keys() {
            let api = of(&self.member_client(name)?, &kind.on_members(), None);
            for object in api.list(&ListParams::default()).await? {
                if let Some(owner) = object.labels().get(LABEL_OWNER) {
                    held.insert((owner.clone(), name.clone()), object);
                }
            }
        }
        Ok(held)
    }

    fn check_object(&mut self, kind: Served, object: &DynamicObject, on_members: &mut OnMembers) {
        let name = format!("{kind:?} {}", object.name_any());
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        let uid = object.uid().unwrap_or_default();
        if object.metadata.deletion_timestamp.is_some() {
            self.violation(format!("{name} is still being deleted"));
        }
        if status["observedGeneration"].as_i64() != object.metadata.generation {
            let seen = &status["observedGeneration"];
            self.violation(format!("{name}: the status is of an older spec, {seen}"));
        }
        // One that nobody can follow any more keeps what it has, and says so.
        if kind == Served::Service && !has(&object.data, "Placed") {
            on_members.retain(|(owner, _), _| *owner != uid);
            return;
        }
        let mut sum = status["unplacedReplicas"].as_u64().unwrap_or(0);
        for share in status["placements"].as_array().into_iter().flatten() {
            let cluster = share["cluster"].as_str().unwrap_or_default().to_owned();
            let replicas = share["replicas"].as_u64().unwrap_or(0);
            sum += replicas - share["leaving"].as_u64().unwrap_or(0);
            let there = on_members.remove(&(uid.clone(), cluster.clone()));
            let conflict = object.name_any() == FOREIGN && cluster == "cluster1";
            match there {
                Some(there) => {
                    if let Some(what) = differs(kind, replicas, &there.data)
                        && !self.is_split_up(&cluster, spec)
                    {
                        self.violation(format!("{name} on {cluster}: {what}"));
                    }
                }
                None if conflict || self.is_in_the_way(object, &cluster) => {}
                // A Job of no pods at a time would never end.
                None if kind == Served::Job && replicas == 0 => {}
                None => self.violation(format!("{name}: {cluster} has nothing of it: {share}")),
            }
        }
        if kind == Served::Service {
            return;
        }
        let (asked, placements) = (asked(spec), &status["placements"]);
        if sum != asked {
            self.violation(format!(
                "{name}: {sum} of {asked} replicas are accounted for: {placements}"
            ));
        }
        // More locations than there are clusters have no place, and what waits for somebody else's
        // object to go has the room.
        let locations = spec["numberOfLocations"].as_u64().unwrap_or(1);
        let impossible = locations > self.world.members.len() as u64;
        if object.name_any() != FOREIGN
            && !impossible
            && let Some(member) = self.has_room(kind, object)
        {
            let unplaced = &status["unplacedReplicas"];
            self.violation(format!(
                "{name}: {unplaced} replicas fit nowhere, but {member} has room: {placements}"
            ));
        }
    }

    /// Whether a member has room in all for what waits there, but on no single node for a replica.
    /// Where exactly pods run is the member's decision.
    fn is_split_up(&self, member: &str, spec: &Value) -> bool {
        let Some(cluster) = self.world.members.get(member).map(|one| &one.cluster) else {
            return false;
        };
        let waits = |pod: &&Arc<Pod>| pod.spec.as_ref().is_some_and(|one| one.node_name.is_none());
        let waiting: i128 = cluster
            .pods()
            .iter()
            .filter(waits)
            .map(|pod| asks(pod))
            .sum();
        let free = self.free(member);
        let in_all: i128 = free.values().sum();
        let fits = |request: i64| free.values().any(|free| *free >= i128::from(request));
        waiting > 0 && in_all >= waiting && !request(spec).is_some_and(fits)
    }

    /// A member with room for a replica of an object that still has one without a place.
    fn has_room(&self, kind: Served, object: &DynamicObject) -> Option<String> {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        if status["unplacedReplicas"].as_u64().unwrap_or(0) == 0 {
            return None;
        }
        let request = request(spec)?;
        let shares = || status["placements"].as_array().into_iter().flatten();
        // A Job that is made does not grow.
        let is_made = |member: &String| {
            kind == Served::Job
                && shares().any(|one| one["cluster"] == **member && one["replicas"] != 0)
        };
        let mut members = self.world.members.keys().filter(|name| !is_made(name));
        let found = members.find(|name| {
            let free = self.free(name);
            free.values().any(|free| *free >= i128::from(request))
        });
        found.cloned()
    }

    /// Whether something is in the way that was left behind there: then the status must say so.
    fn is_in_the_way(&self, object: &DynamicObject, cluster: &str) -> bool {
        let mut members = self.left_behind.iter().map(|(_, member)| member);
        has(&object.data, "Conflict") && members.any(|member| member == cluster)
    }
}

/// Whether a condition of this type is true.
fn has(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    let is_true = |one: &Value| one["type"] == condition && one["status"] == "True";
    conditions.is_some_and(|all| all.iter().any(is_true))
}

/// How what a member has differs from its share.
fn differs(kind: Served, replicas: u64, there: &Value) -> Option<String> {
    let (spec, status) = (&there["spec"], &there["status"]);
    match kind {
        Served::Deployment => {
            let told = spec["replicas"].as_u64().unwrap_or(1);
            let available = status["availableReplicas"].as_u64().unwrap_or(0);
            (told != replicas || available != replicas)
                .then(|| format!("{replicas} replicas shall run, {told} are told to: {status}"))
        }
        Served::Job => {
            let told = spec["parallelism"].as_u64().unwrap_or(1);
            (told != replicas || !has(there, "Complete")).then(|| {
                format!("{replicas} pods shall run to their end, {told} are told to: {status}")
            })
        }
        Served::Service => None,
    }
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
