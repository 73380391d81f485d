//! What must hold all the while, seen at every change on the hub and on the members.
//!
//! - What a member is told to run is on record on the hub, cluster and number, or was so when a call
//!   that is in progress began.
//! - What the hub has on record adds up to what is asked for, never to more.
//! - Somebody else's Deployment is not touched.
//! - In a calm world: a change of where, or to more, never makes fewer replicas available than were
//!   so before it and are asked for after it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::api::LABEL_OWNER;
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::time::Instant;

use super::objects::{FOREIGN, Served, of};
use crate::simulation::trace::Trace;

/// The longest that a call to a member, with all that delays it, may be in progress.
const IN_PROGRESS: Duration = Duration::from_secs(40);

/// Sees everything. Clones see the same.
#[derive(Clone)]
pub(super) struct Witness(Arc<Mutex<Seen>>);

struct Seen {
    calm: bool,
    /// How many there are.
    members: u64,
    trace: Trace,
    /// Every `MultiClusterDeployment` there ever was, by uid.
    objects: BTreeMap<String, Wanted>,
    /// What members hold, by owner and member.
    held: BTreeMap<(String, String), Held>,
    /// Replicas that somebody has set by hand, by member and name.
    by_hand: BTreeSet<(String, String, u64)>,
    violations: Vec<String>,
}

/// A `MultiClusterDeployment` as it was last seen.
#[derive(Default)]
struct Wanted {
    name: String,
    generation: i64,
    template: Value,
    replicas: u64,
    possible: u64,
    /// As many must stay available.
    floor: u64,
    /// The shares on record, and those that were: until when.
    shares: BTreeMap<(String, u64), Option<Instant>>,
}

struct Held {
    available: u64,
    /// The spec's generation.
    generation: Option<i64>,
}

impl Witness {
    pub(super) fn new(calm: bool, trace: Trace) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            calm,
            members: 0,
            trace,
            objects: BTreeMap::new(),
            held: BTreeMap::new(),
            by_hand: BTreeSet::new(),
            violations: Vec::new(),
        })))
    }

    /// Watches the hub's deployments.
    pub(super) fn watch_hub(&self, client: &Client) {
        let this = self.clone();
        let api = of(client, &Served::Deployment.on_hub(), None);
        tokio::spawn(follow(api, move |event| match event {
            Event::Apply(object) | Event::InitApply(object) => this.seen().hub_has(&object),
            _ => {}
        }));
    }

    /// Watches a member's Deployments.
    pub(super) fn watch_member(&self, name: &str, client: &Client) {
        let (this, name) = (self.clone(), name.to_owned());
        this.seen().members += 1;
        let api = of(client, &Served::Deployment.on_members(), None);
        tokio::spawn(follow(api, move |event| match event {
            Event::Apply(object) | Event::InitApply(object) => {
                this.seen().member_has(&name, &object);
            }
            Event::Delete(object) => this.seen().member_has_lost(&name, &object),
            _ => {}
        }));
    }

    /// Somebody sets replicas on a member.
    pub(super) fn by_hand(&self, member: &str, name: &str, replicas: u64) {
        let change = (member.to_owned(), name.to_owned(), replicas);
        self.seen().by_hand.insert(change);
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.seen().violations.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow(api: Api<DynamicObject>, handle: impl Fn(Event<DynamicObject>)) {
    let mut events = pin!(watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        if let Ok(event) = event {
            handle(event);
        }
    }
}

impl Seen {
    fn hub_has(&mut self, object: &DynamicObject) {
        let uid = object.uid().unwrap_or_default();
        let available = self.available(&uid);
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        let wanted = self.objects.entry(uid).or_default();
        let generation = object.metadata.generation.unwrap_or(0);
        let asked = asked(spec);
        // What is asked for more locations than there are members can run nowhere.
        let possible = spec["replicas"].as_u64().unwrap_or(1) * locations(spec).min(self.members);
        if generation != wanted.generation {
            // Fewer on each cluster is no move: nothing is kept for it.
            let replicas = number(&spec["replicas"]);
            let same = wanted.template == spec["template"] && replicas >= wanted.replicas;
            wanted.replicas = replicas;
            // A share that is on its way is of what was asked for before.
            wanted.floor = if same && object.metadata.deletion_timestamp.is_none() {
                available.min(possible).min(wanted.possible)
            } else {
                0
            };
            wanted.name = object.name_any();
            wanted.template = spec["template"].clone();
            wanted.possible = possible;
            wanted.generation = generation;
        }
        if object.metadata.deletion_timestamp.is_some() {
            wanted.floor = 0;
        }
        let now = Instant::now();
        for until in wanted.shares.values_mut() {
            until.get_or_insert(now);
        }
        for share in array(&status["placements"]) {
            let cluster = share["cluster"].as_str().unwrap_or_default();
            let replicas = share["replicas"].as_u64().unwrap_or(0);
            wanted.shares.insert((cluster.to_owned(), replicas), None);
        }
        (wanted.shares).retain(|_, until| until.is_none_or(|until| now - until < IN_PROGRESS));
        let going = object.metadata.deletion_timestamp.is_some();
        if !going && status["observedGeneration"].as_i64() == Some(generation) {
            let placed: u64 = array(&status["placements"])
                .map(|share| number(&share["replicas"]) - number(&share["leaving"]))
                .sum();
            let sum = placed + number(&status["unplacedReplicas"]);
            if sum != asked {
                let what = format!(
                    "{}: {sum} of {asked} replicas are on record: {}",
                    object.name_any(),
                    status["placements"]
                );
                self.violation(what);
            }
        }
    }

    fn member_has(&mut self, member: &str, object: &DynamicObject) {
        let name = object.name_any();
        let Some(owner) = object.labels().get(LABEL_OWNER).cloned() else {
            return self.foreign_is_untouched(member, object);
        };
        let replicas = object.data["spec"]["replicas"].as_u64().unwrap_or(1);
        let share = (member.to_owned(), replicas);
        let on_record = (self.objects.get(&owner)).is_some_and(|one| {
            let until = one.shares.get(&share);
            until.is_some_and(|until| until.is_none_or(|until| until.elapsed() < IN_PROGRESS))
        });
        let change = (member.to_owned(), name.clone(), replicas);
        // A member that is told nothing goes on with what it was told.
        let before = self.held.get(&(owner.clone(), member.to_owned()));
        let is_told = before.is_none_or(|one| one.generation != object.metadata.generation);
        if is_told && !on_record && !self.by_hand.contains(&change) {
            self.violation(format!(
                "{member} has {replicas} replicas of {name}, which is not on record"
            ));
        }
        let held = Held {
            available: number(&object.data["status"]["availableReplicas"]),
            generation: object.metadata.generation,
        };
        self.held.insert((owner.clone(), member.to_owned()), held);
        self.check_floor(&owner);
    }

    fn member_has_lost(&mut self, member: &str, object: &DynamicObject) {
        match object.labels().get(LABEL_OWNER) {
            Some(owner) => {
                self.held.remove(&(owner.clone(), member.to_owned()));
                self.check_floor(owner);
            }
            None => self.violation(format!("{} on {member} is gone", object.name_any())),
        }
    }

    fn foreign_is_untouched(&mut self, member: &str, object: &DynamicObject) {
        let name = object.name_any();
        if name != FOREIGN || object.metadata.generation != Some(1) {
            self.violation(format!("{name} on {member} was touched"));
        }
    }

    fn check_floor(&mut self, owner: &str) {
        let available = self.available(owner);
        let Some(wanted) = self.objects.get_mut(owner) else {
            return;
        };
        let floor = wanted.floor;
        if self.calm && available < floor {
            // Once for each change.
            wanted.floor = 0;
            let name = wanted.name.clone();
            self.violation(format!(
                "{name}: only {available} replicas are available, and {floor} were before a change that keeps them"
            ));
        }
    }

    fn available(&self, owner: &str) -> u64 {
        let of_owner = |((one, _), _): &(&(String, String), &Held)| one == owner;
        let held = self.held.iter().filter(of_owner);
        held.map(|(_, held)| held.available).sum()
    }

    fn violation(&mut self, what: String) {
        self.trace.line(&format!("== VIOLATION: {what}"));
        self.violations.push(what);
    }
}

/// The replicas that a spec asks for.
pub(super) fn asked(spec: &Value) -> u64 {
    spec["replicas"].as_u64().unwrap_or(1) * locations(spec)
}

/// The places that a spec asks for.
pub(super) fn locations(spec: &Value) -> u64 {
    match spec["clusters"].as_array() {
        Some(clusters) => clusters.len() as u64,
        None => spec["numberOfLocations"].as_u64().unwrap_or(1),
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
