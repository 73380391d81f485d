//! A hub and members that are played: objects appear, members answer, deliveries end as a test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use federation::api::{
    Leftover, MEMBER_FINALIZER, MemberCluster, MemberClusterStatus, MovePhase, WorkloadMove,
};
use federation::capacity::CapacityEvent;
use federation::members::{
    Bundle, Change, Contest, Diagnosis, DiagnosisKind, Ending, ManagedKind, MemberBackend,
    MemberEvent, Observed, ObservedReplicas, Outcome, uid_bits,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use placement::{ClusterName, Node, Resources};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Delivery, Departure, Effect, Event, FailoverSettings, HubTask, Index, MoveKey, MoveReport,
    Settings, Tracked,
};
use crate::bundles::Bundler;
use crate::decide::is_over;
use crate::plan;
use crate::report;
use crate::validate::validate;
use crate::workload::{Key, Kind, Workload};

pub(super) const HUB: &str = "hub-uid";

/// What a played member was told, and what it answers.
#[derive(Default)]
pub(super) struct Told {
    /// Every bundle that was handed over, in order.
    pub(super) bundles: Vec<Bundle>,
    pub(super) admitted: Option<String>,
    pub(super) forgotten: BTreeSet<u128>,
    pub(super) holds: BTreeMap<u128, u32>,
    /// Pods that it cannot schedule, by owner.
    pub(super) stuck: BTreeMap<u128, u32>,
}

#[derive(Clone, Default)]
pub(super) struct FakeMember(Arc<Mutex<Told>>);

impl FakeMember {
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }
}

impl MemberBackend for FakeMember {
    fn deliver(&self, bundle: Bundle) {
        self.told().bundles.push(bundle);
    }

    fn admit(&self, uid: Option<&str>) -> bool {
        let mut told = self.told();
        let is_new = told.admitted.as_deref() != uid;
        told.admitted = uid.map(str::to_owned);
        is_new
    }

    fn is_open(&self) -> bool {
        self.told().admitted.is_some()
    }

    fn is_delivering_until(&self, _: Instant) -> bool {
        false
    }

    fn holds(&self, owner: u128) -> bool {
        self.told().holds.contains_key(&owner)
    }

    fn owners(&self) -> Vec<u128> {
        self.told().holds.keys().copied().collect()
    }

    fn observed(&self, owner: u128, _: ManagedKind) -> Option<Observed> {
        let replicas = *self.told().holds.get(&owner)?;
        Some(Observed::Replicas(ObservedReplicas {
            current: true,
            wanted: replicas,
            updated: replicas,
            ready: replicas,
            available: replicas,
        }))
    }

    fn diagnosis(&self, owner: u128, _: ManagedKind) -> Option<Diagnosis> {
        let is_stuck = self.told().stuck.contains_key(&owner);
        is_stuck.then(|| Diagnosis {
            kind: DiagnosisKind::PodsNotRunning,
            message: "no volume".to_owned(),
        })
    }

    fn unschedulable(&self, _: Duration) -> BTreeMap<u128, u32> {
        self.told().stuck.clone()
    }

    fn contest(&self, _: u128) -> Option<Contest> {
        None
    }

    fn forget(&self, owner: u128) {
        self.told().forgotten.insert(owner);
    }
}

/// The index, and the world around it.
pub(super) struct World {
    pub(super) index: Index,
    pub(super) now: Instant,
    members: BTreeMap<String, FakeMember>,
    objects: BTreeMap<String, MemberCluster>,
    /// What followed from the events since it was last taken.
    effects: Vec<Effect>,
    /// The hub's moves and leftovers, and what is to be written about them.
    moves: BTreeMap<String, WorkloadMove>,
    leftovers: BTreeMap<String, Leftover>,
    hub_tasks: Vec<HubTask>,
}

pub(super) fn key(name: &str) -> Key {
    Key {
        kind: Kind::Deployment,
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

pub(super) fn owner(uid: &str) -> u128 {
    uid_bits(uid)
}

/// A deployment of pods of one core each; its uid is its name.
pub(super) fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "fogguru.eu/v1",
        "kind": "MultiClusterDeployment",
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "generation": 1,
            "resourceVersion": "10", "finalizers": ["fogguru.eu/scheduler"],
        },
        "spec": {
            "replicas": replicas, "numberOfLocations": 1, "placementPolicy": "first_fit",
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "c", "image": "i", "resources": { "requests": { "cpu": "1" } },
                }] },
            },
        },
    })
}

fn workload(object: &Value) -> Workload {
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    Workload::read(Kind::Deployment, &object)
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            index: Index::new(Settings {
                hub_uid: HUB.to_owned(),
                failover: FailoverSettings {
                    toleration: Duration::from_mins(1),
                    per_minute: 60,
                    threshold: 55,
                },
                return_after: Duration::from_secs(30),
                unschedulable_after: Duration::from_mins(1),
                reservation: Duration::from_mins(1),
                deletion_grace: Duration::from_mins(5),
                report_delay: Duration::from_millis(300),
            }),
            now: Instant::now(),
            members: BTreeMap::new(),
            objects: BTreeMap::new(),
            effects: Vec::new(),
            moves: BTreeMap::new(),
            leftovers: BTreeMap::new(),
            hub_tasks: Vec::new(),
        }
    }

    /// With these members, each with one node of so many cores, known and open.
    pub(super) fn of(members: &[(&str, i64)]) -> Self {
        let mut world = Self::new();
        for (name, _) in members {
            world.member(name, name);
        }
        world.list_members();
        for (name, cores) in members {
            world.open(name, *cores);
        }
        world.on(Event::Settled);
        world.take();
        world
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub(super) fn on(&mut self, event: Event) {
        let effects = self.index.on(event, self.now);
        self.perform(effects);
    }

    /// A second has passed: also what is displaced is looked at, as the runtime does.
    pub(super) fn tick(&mut self) {
        self.on(Event::Tick);
        let due = self.index.returns_due();
        let tried = self.index.trials(&due).would_return();
        self.index.returns_tried(tried, self.now);
        let ready = self.index.returns_ready(self.now);
        let moves = self.index.trials(&ready).returns();
        self.on(Event::ReturnsPlanned(moves));
    }

    /// Hands over what is to be delivered, and keeps everything for [`Self::take`].
    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            match effect {
                Effect::Deliver(cluster, bundle) => {
                    self.members[cluster.as_str()].deliver(bundle.clone());
                }
                Effect::OnHub(task) => self.hub_tasks.push(task.clone()),
                _ => {}
            }
        }
        self.effects.extend(effects);
    }

    /// What has followed since it was last taken.
    pub(super) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The objects that are to be reconciled since it was last taken.
    pub(super) fn reconciled(&mut self) -> BTreeSet<String> {
        let effects = self.take().into_iter();
        let keys = effects.filter_map(|effect| match effect {
            Effect::Reconcile(key, _) | Effect::Renew(key) => Some(key.name),
            _ => None,
        });
        keys.collect()
    }

    /// A `MemberCluster` appears and is connected to the cluster of this uid.
    pub(super) fn member(&mut self, name: &str, cluster: &str) {
        self.member_with(name, cluster, None);
    }

    /// The same with a status from before.
    pub(super) fn member_with(
        &mut self,
        name: &str,
        cluster: &str,
        status: Option<MemberClusterStatus>,
    ) {
        let mut object: MemberCluster = serde_json::from_value(json!({
            "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster",
            "metadata": { "name": name, "uid": format!("object-{name}"), "generation": 1 },
            "spec": { "access": { "context": name } },
        }))
        .unwrap();
        object.status = status;
        self.objects.insert(name.to_owned(), object.clone());
        self.on(Event::MemberApplied(Box::new(object)));
        self.connect(name);
        self.change(name, Change::Identified(cluster.to_owned()));
        self.change(name, Change::Reachable(None));
    }

    pub(super) fn connect(&mut self, name: &str) {
        let fake = FakeMember::default();
        self.members.insert(name.to_owned(), fake.clone());
        let object = self.objects[name].clone();
        self.on(Event::Connected(Arc::new(object), Arc::new(fake)));
    }

    pub(super) fn list_members(&mut self) {
        let names = self
            .objects
            .keys()
            .map(|name| ClusterName::from(name.as_str()));
        let names = names.collect();
        self.on(Event::MembersListed(names));
    }

    /// A member's object is deleted; our finalizer holds it.
    pub(super) fn leave(&mut self, name: &str) {
        let object = self.objects.get_mut(name).unwrap();
        object.metadata.finalizers = Some(vec![MEMBER_FINALIZER.to_owned()]);
        object.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let object = object.clone();
        self.on(Event::MemberApplied(Box::new(object)));
    }

    /// Why a deleted member may be forgotten now, if it may.
    pub(super) fn departure(&self, name: &str) -> Option<Departure> {
        let name = ClusterName::from(name);
        let placed = self.index.placements().of(&name);
        let departure = self.index.departure(&name, placed, self.now);
        departure.map(|(_, departure)| departure)
    }

    pub(super) fn remove_member(&mut self, name: &str) {
        self.objects.remove(name);
        self.on(Event::MemberDeleted(ClusterName::from(name)));
    }

    /// The hub has its status on record, which says which cluster has this name.
    pub(super) fn record(&mut self, name: &str) {
        let name = ClusterName::from(name);
        let record = self.index.members().get(&name).unwrap();
        let is_unique = *record.identity() == super::Identity::Unique;
        let status = MemberClusterStatus {
            cluster_uid: record.uid().filter(|_| is_unique).map(str::to_owned),
            ..MemberClusterStatus::default()
        };
        let effects = self.index.member_status_written(&name, status, 0);
        self.perform(effects);
    }

    /// Its claim is on record, and it is listed: one node of so many cores.
    pub(super) fn open(&mut self, name: &str, cores: i64) {
        self.record(name);
        self.node(name, "node", cores);
        let nodes = BTreeSet::from(["node".to_owned()]);
        self.capacity(name, CapacityEvent::NodesListed(nodes));
        self.capacity(name, CapacityEvent::PodsListed(BTreeSet::new()));
        self.change(name, Change::Synced);
    }

    pub(super) fn node(&mut self, cluster: &str, name: &str, cores: i64) {
        let node = Node {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            unschedulable: false,
            ready: true,
            allocatable: Resources {
                cpu_milli: cores * 1000,
                memory: 64 << 30,
                pods: 110,
                ..Resources::default()
            },
        };
        self.capacity(cluster, CapacityEvent::Node(node));
    }

    pub(super) fn capacity(&mut self, cluster: &str, event: CapacityEvent) {
        self.change(cluster, Change::Capacity(event));
        self.on(Event::RoomChanged);
    }

    pub(super) fn change(&mut self, cluster: &str, change: Change) {
        let cluster = ClusterName::from(cluster);
        self.on(Event::Member(MemberEvent { cluster, change }));
    }

    /// A member does not answer any more.
    pub(super) fn silence(&mut self, cluster: &str) {
        self.change(cluster, Change::Unreachable("timeout".to_owned()));
    }

    pub(super) fn told(&self, cluster: &str) -> MutexGuard<'_, Told> {
        self.members[cluster].told()
    }

    /// The main objects of the bundles that a member was handed, as replicas; none for an empty one.
    pub(super) fn deliveries(&self, cluster: &str) -> Vec<Option<u64>> {
        let told = self.told(cluster);
        let bundles = told.bundles.iter();
        bundles
            .map(|bundle| {
                bundle
                    .items
                    .last()?
                    .manifest
                    .value("/spec/replicas")
                    .as_u64()
            })
            .collect()
    }

    pub(super) fn apply(&mut self, object: &Value) {
        self.on(Event::WorkloadApplied(Box::new(workload(object))));
    }

    pub(super) fn delete(&mut self, object: &Value) {
        self.on(Event::WorkloadDeleted(Box::new(workload(object))));
    }

    pub(super) fn refresh(&mut self, object: &Value) {
        self.on(Event::WorkloadRefreshed(Box::new(workload(object))));
    }

    pub(super) fn tracked(&self, name: &str) -> &Tracked {
        self.index.workloads().get(&key(name)).unwrap()
    }

    /// Decides, records and delivers an object, as the runtime does when nothing comes between; its
    /// shares.
    pub(super) fn place(&mut self, name: &str) -> Vec<(String, u32)> {
        self.decide(name);
        self.write(name);
        self.deliver(name);
        self.shares(name)
    }

    pub(super) fn shares(&self, name: &str) -> Vec<(String, u32)> {
        let placements = self.tracked(name).assignment().placements.iter();
        placements
            .map(|one| (one.cluster.clone(), one.replicas))
            .collect()
    }

    pub(super) fn decide(&mut self, name: &str) {
        let workload = self.tracked(name).workload().clone();
        let validated = validate(&workload).unwrap();
        let inputs = self.index.inputs(&key(name)).unwrap();
        let decision = plan::decide(&inputs, &workload, &validated, None, Timestamp::UNIX_EPOCH);
        drop(inputs);
        let (_, effects) = self
            .index
            .decided(&key(name), &validated, decision, self.now);
        self.perform(effects);
    }

    /// The hub takes the status.
    pub(super) fn write(&mut self, name: &str) {
        let tracked = self.tracked(name);
        let status = report::status_of(
            &self.index,
            tracked,
            "2026-01-01T00:00:00Z".parse().unwrap(),
        );
        let recordable = tracked.recordable(status);
        let version = tracked.workload().version() + 1;
        self.on(Event::StatusWritten(Box::new(recordable), version));
    }

    pub(super) fn deliver(&mut self, name: &str) {
        let tracked = self.tracked(name);
        let workload = tracked.workload().clone();
        let shares = tracked.assignment().placements.iter();
        let shares = shares.filter(|one| !is_over(one));
        let bundler = Bundler::new(HUB, &workload, &[]);
        let bundles = shares
            .map(|one| (ClusterName::from(one.cluster.as_str()), bundler.bundle(one)))
            .collect();
        self.on(Event::Deliver(Box::new(Delivery {
            key: key(name),
            uid: workload.uid.clone(),
            bundles,
        })));
    }

    /// A member has what it was handed last of an object: its Deployment is available.
    pub(super) fn arrive(&mut self, cluster: &str, uid: &str) {
        let bundle = {
            let told = self.told(cluster);
            let mut bundles = told.bundles.iter().rev();
            bundles
                .find(|bundle| bundle.owner.uid == uid)
                .cloned()
                .unwrap()
        };
        let replicas = bundle
            .items
            .last()
            .map(|item| item.manifest.value("/spec/replicas"));
        let replicas = replicas
            .and_then(Value::as_u64)
            .map(|all| u32::try_from(all).unwrap());
        match replicas {
            Some(replicas) => drop(self.told(cluster).holds.insert(owner(uid), replicas)),
            None => drop(self.told(cluster).holds.remove(&owner(uid))),
        }
        self.change(cluster, Change::Observed(owner(uid)));
        let (generation, last) = (bundle.generation, bundle.ending.is_some());
        self.ended(cluster, uid, generation, last, Ok(()));
    }

    pub(super) fn ended(
        &mut self,
        cluster: &str,
        uid: &str,
        generation: i64,
        last: bool,
        outcome: Outcome,
    ) {
        self.change(
            cluster,
            Change::Delivered {
                owner: owner(uid),
                generation,
                last,
                outcome,
            },
        );
    }

    /// Somebody creates a move of a deployment.
    pub(super) fn ask(&mut self, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "fogguru.eu/v1", "kind": "WorkloadMove",
            "metadata": { "name": name, "namespace": "default", "uid": format!("move-{name}") },
            "spec": spec,
        });
        self.move_applied(serde_json::from_value(object).unwrap());
    }

    fn move_applied(&mut self, object: WorkloadMove) {
        let name = object.metadata.name.clone().unwrap();
        self.moves.insert(name, object.clone());
        self.on(Event::MoveApplied(Box::new(object)));
    }

    pub(super) fn delete_move(&mut self, name: &str) {
        self.moves.remove(name);
        self.on(Event::MoveDeleted(MoveKey {
            namespace: "default".to_owned(),
            name: name.to_owned(),
        }));
    }

    /// An object goes while these members are away: what they hold of it is put on record.
    pub(super) fn leave_over(&mut self, name: &str, members: &[&str]) {
        let workload = self.tracked(name).workload().clone();
        let members: Vec<_> = members
            .iter()
            .map(|name| ClusterName::from(*name))
            .collect();
        for object in self
            .index
            .leftovers_of(&workload, Ending::default(), &members)
        {
            self.leftover_applied(object);
        }
    }

    fn leftover_applied(&mut self, object: Leftover) {
        let name = object.metadata.name.clone().unwrap();
        self.leftovers.insert(name, object.clone());
        self.on(Event::LeftoverApplied(Box::new(object)));
    }

    /// The names of the records of what members hold of deleted objects.
    pub(super) fn leftovers(&mut self) -> Vec<String> {
        self.carry_out_hub_tasks();
        self.leftovers.keys().cloned().collect()
    }

    /// Writes what is to be written to the hub, as the runtime does.
    pub(super) fn carry_out_hub_tasks(&mut self) {
        for task in std::mem::take(&mut self.hub_tasks) {
            match task {
                HubTask::DeleteLeftover(name, _) => {
                    self.leftovers.remove(&name);
                    self.on(Event::LeftoverDeleted(name));
                }
                HubTask::KeepLeftovers(member) => {
                    let unkept = self.index.unkept_leftovers(&member);
                    for object in &unkept {
                        self.leftover_applied(object.clone());
                    }
                    self.index.leftovers_kept(&member, &unkept);
                }
                HubTask::ReportMove(key) => {
                    match self.index.move_report(&key, Timestamp::UNIX_EPOCH) {
                        Some(MoveReport::Write(object, status)) => {
                            let mut object = (*object).clone();
                            object.status = Some(*status);
                            self.move_applied(object);
                        }
                        Some(MoveReport::Delete(_)) => self.delete_move(&key.name),
                        None => {}
                    }
                }
                HubTask::ReturnHome(key) => {
                    if let Some(mut object) = self.index.proposed_return(&key) {
                        object.metadata.uid = Some("own".to_owned());
                        self.move_applied(object);
                    }
                }
            }
        }
    }

    /// The phase of each move on the hub, and why.
    pub(super) fn phases(&mut self) -> Vec<(String, MovePhase, String)> {
        self.carry_out_hub_tasks();
        let moves = self.moves.iter();
        moves
            .map(|(name, object)| {
                let status = object.status.clone().unwrap_or_default();
                let reason = status.conditions.first().map(|one| one.reason.clone());
                (name.clone(), status.phase, reason.unwrap_or_default())
            })
            .collect()
    }
}
