//! What must hold when all is mended: everything is as the specs say.

use std::collections::{BTreeMap, BTreeSet};

use federation::api::LABEL_OWNER;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::objects::{FOREIGN, Served, moves, of};
use super::witness::asked;
use super::{Error, Story};
use crate::simulation::HUB;

/// What members hold of ours, by owner and member.
type OnMembers = BTreeMap<(String, String), DynamicObject>;

impl Story {
    /// Everything is as the specs say.
    pub(super) async fn check_end(&mut self) -> Result<(), Error> {
        self.check_rooms();
        let hub = self.world.hub_client();
        self.check_upkeep(HUB, &hub).await?;
        let members: Vec<String> = self.world.members.keys().cloned().collect();
        for name in members {
            let client = self.member_client(&name)?;
            self.check_upkeep(&name, &client).await?;
        }
        self.check_moves().await?;
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

    /// Every move has ended, and says how.
    async fn check_moves(&mut self) -> Result<(), Error> {
        let api = moves(&self.world.hub_client(), None);
        for object in api.list(&ListParams::default()).await? {
            let (spec, status) = (&object.data["spec"], &object.data["status"]);
            // What waits for somebody else's object to go is never settled.
            if spec["workload"]["name"] == FOREIGN {
                continue;
            }
            let phase = status["phase"].as_str().unwrap_or_default();
            let says_why = !status["conditions"][0]["message"].is_null();
            if !["Succeeded", "Refused", "RolledBack"].contains(&phase) || !says_why {
                let name = object.name_any();
                self.violation(format!("move {name} has not ended: {spec} {status}"));
            }
        }
        Ok(())
    }

    /// What an API server sees to itself is done: no namespace lacks its account, and neither a
    /// namespace nor a definition hangs.
    async fn check_upkeep(&mut self, plane: &str, client: &Client) -> Result<(), Error> {
        let accounts = Api::<ServiceAccount>::all(client.clone());
        let accounts = accounts.list(&ListParams::default()).await?;
        let provided: BTreeSet<String> = accounts
            .iter()
            .filter(|account| account.name_any() == "default")
            .filter_map(ResourceExt::namespace)
            .collect();
        let namespaces = Api::<Namespace>::all(client.clone());
        for namespace in namespaces.list(&ListParams::default()).await? {
            let name = namespace.name_any();
            if namespace.metadata.deletion_timestamp.is_some() {
                self.violation(format!("{plane}: namespace {name} is still being deleted"));
            } else if !provided.contains(&name) {
                self.violation(format!("{plane}: namespace {name} has no default account"));
            }
        }
        let definitions = Api::<CustomResourceDefinition>::all(client.clone());
        for definition in definitions.list(&ListParams::default()).await? {
            let conditions = definition
                .status
                .iter()
                .flat_map(|status| &status.conditions);
            let mut conditions = conditions.flatten();
            let established = conditions
                .any(|condition| condition.type_ == "Established" && condition.status == "True");
            if definition.metadata.deletion_timestamp.is_some() || !established {
                self.violation(format!("{plane}: {} hangs", definition.name_any()));
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
                    let differs = match self.waiting(kind, &there, &cluster) {
                        Ok(waiting) => differs(kind, replicas, &there.data, waiting),
                        Err(what) => Some(what),
                    };
                    if let Some(what) = differs {
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
        // What waits for somebody else's object to go has the room.
        if object.name_any() != FOREIGN
            && let Some(member) = self.has_room(kind, object)
        {
            let unplaced = &status["unplacedReplicas"];
            self.violation(format!(
                "{name}: {unplaced} replicas fit nowhere, but {member} has room: {placements}"
            ));
        }
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

/// How what a member has differs from its share, of which so many pods may wait for a node.
fn differs(kind: Served, replicas: u64, there: &Value, waiting: u64) -> Option<String> {
    let (spec, status) = (&there["spec"], &there["status"]);
    match kind {
        Served::Deployment => {
            let told = spec["replicas"].as_u64().unwrap_or(1);
            let available = status["availableReplicas"].as_u64().unwrap_or(0);
            (told != replicas || available + waiting != replicas)
                .then(|| format!("{replicas} replicas shall run, {told} are told to: {status}"))
        }
        Served::Job => {
            let told = spec["parallelism"].as_u64().unwrap_or(1);
            let succeeded = status["succeeded"].as_u64().unwrap_or(0);
            let is_complete = has(there, "Complete");
            let is_over = is_complete || waiting > 0 && succeeded + waiting == replicas;
            // A member may have left, and come back with a larger share that was done meanwhile.
            let was_larger = is_complete && told > replicas && succeeded >= replicas;
            (told != replicas && !was_larger || !is_over).then(|| {
                format!("{replicas} pods shall run to their end, {told} are told to: {status}")
            })
        }
        Served::Service => None,
    }
}
