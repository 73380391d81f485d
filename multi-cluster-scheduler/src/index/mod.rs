//! What the scheduler knows, and what follows from what happens. Synchronous: no client, no clock, no
//! task; so each race is a unit test.

mod backlog;
mod displaced;
mod effect;
mod failover;
mod identity;
mod leaving;
mod leftovers;
mod limits;
mod member_events;
mod members;
mod moves;
mod reservations;
mod trials;
mod workload_events;
mod workloads;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use federation::api::{Leftover, MemberCluster, WorkloadMove};
use federation::members::{AccessProblem, Bundle, MemberBackend, MemberEvent, ObjectKey};
use federation::operator::queue::Priority;
use placement::{ClusterName, OwnerKey, PodShape, Proximity, Snapshot};
use tokio::time::Instant;

use crate::burst::Burst;
use crate::decide::Assignment;
use crate::plan::{self, Inputs, Moving};
use crate::validate::{Validated, validate};
use crate::workload::{Key, Kind, Workload};
use backlog::Backlog;
use displaced::Displaced;
use failover::Failover;
use leftovers::Leftovers;
use moves::Moves;
use reservations::Reservations;

pub use effect::{Effect, HubTask, Measure};
pub use failover::{Held, Settings as FailoverSettings};
pub use identity::Identity;
pub use leaving::Departure;
pub use members::{MemberRecord, Members, cluster_of};
pub use moves::{MoveKey, MoveReport, moved_workload, returns_with_spec};
pub use workloads::{Recordable, Tracked, Workloads, assignment_of};

/// What it is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The uid of the hub's `kube-system`.
    pub hub_uid: String,
    /// When the replicas of a silent member are placed elsewhere.
    pub failover: FailoverSettings,
    /// How long a location must have had room before displaced replicas move back.
    pub return_after: Duration,
    /// How long pods may be unschedulable on a member before they are placed elsewhere; zero for
    /// ever.
    pub unschedulable_after: Duration,
    /// How long room is held for replicas whose pods are not seen.
    pub reservation: Duration,
    /// How long a deletion waits for a member that does not answer.
    pub deletion_grace: Duration,
    /// How long changes are gathered before a status is written.
    pub report_delay: Duration,
}

/// Everything that is known.
pub struct Index {
    settings: Settings,
    snapshot: Snapshot,
    workloads: Workloads,
    members: Members,
    backlog: Backlog,
    displaced: Displaced,
    moves: Moves,
    leftovers: Leftovers,
    /// The hub is listed, and decisions have begun.
    is_settled: bool,
    reservations: Reservations,
    failover: Failover,
    /// Next position of `round_robin`, by namespace.
    cursors: BTreeMap<String, u64>,
    proximity: Option<Arc<Proximity>>,
    traffic: Option<Arc<BTreeMap<ClusterName, f64>>>,
    burst: Burst,
    /// What follows from the event that is being handled.
    effects: Vec<Effect>,
}

/// What happened.
pub enum Event {
    /// A `MemberCluster` appeared or changed.
    MemberApplied(Box<MemberCluster>),
    /// The same, less fields that cannot be read.
    MemberMended(Box<MemberCluster>),
    /// A `MemberCluster` appeared or changed, and only its metadata can be read.
    MemberUnreadable(Box<MemberCluster>),
    /// A `MemberCluster` is gone.
    MemberDeleted(ClusterName),
    /// The hub's list of members is complete: these.
    MembersListed(BTreeSet<ClusterName>),
    /// An object that is served appeared or changed.
    WorkloadApplied(Box<Workload>),
    /// An object is gone, and the hub said so.
    WorkloadDeleted(Box<Workload>),
    /// The hub's list of a kind is complete: these.
    WorkloadsListed(Kind, BTreeSet<Key>),
    /// An object was read again after a conflict.
    WorkloadRefreshed(Box<Workload>),
    /// A move appeared or changed.
    MoveApplied(Box<WorkloadMove>),
    /// A move is gone.
    MoveDeleted(MoveKey),
    /// The hub's list of moves is complete: these.
    MovesListed(BTreeSet<MoveKey>),
    /// These moves would bring displaced replicas of these objects back.
    ReturnsPlanned(Vec<(Key, WorkloadMove)>),
    /// The record of what a member holds of a deleted object appeared or changed.
    LeftoverApplied(Box<Leftover>),
    /// The record of this name is gone.
    LeftoverDeleted(String),
    /// The hub's list of such records is complete: these names.
    LeftoversListed(BTreeSet<String>),
    /// A namespace is gone: its name and its uid.
    NamespaceDeleted(String, String),
    /// A dependency changed or is gone.
    DependencyChanged(ObjectKey),
    /// An object of this kind cannot be read.
    Unreadable(&'static str),
    /// Something happened at a member.
    Member(MemberEvent),
    /// A member is connected, with a new endpoint or new credentials.
    Connected(Arc<MemberCluster>, Arc<dyn MemberBackend>),
    /// The access of a member does not work as its object says.
    AccessFailed(Arc<MemberCluster>, AccessProblem),
    /// The access of a member works again, unchanged.
    AccessRestored(Arc<MemberCluster>),
    /// An object's spec cannot be served.
    Invalid(Key, String),
    /// The hub rejects what is written to an object, or takes it again.
    Rejected(Key, Option<String>),
    /// A status was written; the object has this version since.
    StatusWritten(Box<Recordable>, u64),
    /// The assignment of an object is on record: each cluster gets its bundle, or why it has none.
    Deliver(Box<Delivery>),
    /// Round-trip times were fetched.
    Proximity(Proximity),
    /// Traffic was fetched; empty when there was no sample.
    Traffic(BTreeMap<ClusterName, f64>),
    /// The hub is listed, and the members are known or known to be away: decisions begin.
    Settled,
    /// A second has passed.
    Tick,
    /// Members' events were handled: what waits is retried where room has grown.
    RoomChanged,
}

/// The bundles of an object's assignment.
#[derive(Debug)]
pub struct Delivery {
    /// The object.
    pub key: Key,
    /// Its uid.
    pub uid: String,
    /// The bundle of each cluster that has a share, or why it cannot be made.
    pub bundles: BTreeMap<ClusterName, Result<Bundle, String>>,
}

impl Index {
    /// It knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            snapshot: Snapshot::default(),
            workloads: Workloads::default(),
            members: Members::default(),
            backlog: Backlog::default(),
            displaced: Displaced::default(),
            moves: Moves::default(),
            leftovers: Leftovers::default(),
            is_settled: false,
            reservations: Reservations::default(),
            failover: Failover::default(),
            cursors: BTreeMap::new(),
            proximity: None,
            traffic: None,
            burst: Burst::default(),
            effects: Vec::new(),
        }
    }

    /// Takes in what happened; what has to be done because of it.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        match event {
            Event::MemberApplied(object) => self.member_applied(*object, true, now),
            Event::MemberMended(object) => {
                self.measure(Measure::Unreadable("MemberCluster"));
                self.member_applied(*object, true, now);
            }
            Event::MemberUnreadable(object) => self.member_unreadable(*object, now),
            Event::MemberDeleted(name) => self.member_deleted(&name),
            Event::MembersListed(names) => self.members_listed(&names),
            Event::WorkloadApplied(workload) => self.workload_applied(*workload, now),
            Event::WorkloadDeleted(workload) => self.workload_deleted(&workload),
            Event::WorkloadsListed(kind, keys) => self.workloads_listed(kind, &keys),
            Event::WorkloadRefreshed(workload) => self.workload_refreshed(*workload, now),
            Event::MoveApplied(object) => self.move_applied(*object, now),
            Event::MoveDeleted(key) => self.move_deleted(&key),
            Event::MovesListed(keys) => self.moves_listed(&keys),
            Event::ReturnsPlanned(moves) => self.propose_returns(moves),
            Event::LeftoverApplied(object) => self.leftover_applied(*object),
            Event::LeftoverDeleted(name) => self.leftover_deleted(&name),
            Event::LeftoversListed(names) => self.leftovers_listed(&names),
            Event::NamespaceDeleted(name, uid) => self.namespace_deleted(&name, &uid),
            Event::DependencyChanged(name) => self.dependency_changed(&name),
            Event::Unreadable(kind) => self.measure(Measure::Unreadable(kind)),
            Event::Member(event) => self.member_event(event, now),
            Event::Connected(object, backend) => self.connected(&object, backend),
            Event::AccessFailed(object, problem) => {
                if let Some(record) = self.members.same_mut(&object) {
                    record.access_failed(problem);
                }
            }
            Event::AccessRestored(object) => {
                if let Some(record) = self.members.same_mut(&object) {
                    record.access_restored();
                }
            }
            Event::Invalid(key, problem) => self.invalid(&key, problem),
            Event::Rejected(key, rejection) => self.rejected(key, rejection.as_deref()),
            Event::StatusWritten(written, version) => {
                if let Some(tracked) = self.workloads.get_mut(&written.workload.key) {
                    tracked.wrote(&written, version);
                }
            }
            Event::Deliver(delivery) => self.deliver(*delivery),
            Event::Proximity(proximity) => self.proximity = Some(Arc::new(proximity)),
            // No sample at all is no traffic data, not silence everywhere.
            Event::Traffic(traffic) => {
                self.traffic = Some(traffic).filter(|all| !all.is_empty()).map(Arc::new);
            }
            Event::Settled => {
                self.is_settled = true;
                self.hold_recorded(now);
                for name in self.members.names() {
                    self.collect_leftovers(&name);
                }
            }
            Event::Tick => self.tick(now),
            Event::RoomChanged => self.retry_where_room_grew(now),
        }
        std::mem::take(&mut self.effects)
    }

    /// What it was told at the start.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The objects that are served.
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// The members.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The clusters, their nodes and pods.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Which silent members are lost.
    pub fn failover(&self) -> &Failover {
        &self.failover
    }

    /// Round-trip times between clusters, when a source gives them.
    pub fn proximity(&self) -> Option<&Proximity> {
        self.proximity.as_deref()
    }

    /// How many objects wait for room.
    pub fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// Many objects are changing just now.
    pub fn is_in_burst(&self, now: Instant) -> bool {
        self.burst.is_on(now)
    }

    /// What an object is decided from; none if it is not known.
    pub fn inputs(&self, key: &Key) -> Option<Inputs<'_>> {
        let tracked = self.workloads.get(key)?;
        let moving = self.moving(key, tracked);
        let workload = tracked.workload();
        let members = self
            .members
            .views(workload.owner_bits(), key.kind.on_members());
        let assignment = tracked.assignment();
        Some(Inputs {
            snapshot: &self.snapshot,
            proximity: self.proximity.as_deref(),
            traffic: self.traffic.as_deref(),
            cursor: self.cursors.get(&key.namespace).copied().unwrap_or(0),
            before: if assignment.decision.sequence > 0 {
                Cow::Borrowed(assignment)
            } else {
                Cow::Owned(Assignment::of_what_is_held(&members))
            },
            limits: tracked.limits().active(),
            members,
            failback: moving == Moving::None
                && returns_with_spec(
                    workload,
                    tracked.reported().observed_generation,
                    self.moves.objects_of(key),
                ),
            moving,
        })
    }

    /// Takes a decision for an object's assignment and holds its room; whether the assignment is
    /// another one. Decided from [`Self::inputs`] of this very state.
    pub fn decided(
        &mut self,
        key: &Key,
        validated: &Validated,
        decision: plan::Decision,
        now: Instant,
    ) -> (bool, Vec<Effect>) {
        let changed = self.accept(key, validated, decision, now);
        (changed, std::mem::take(&mut self.effects))
    }

    fn accept(
        &mut self,
        key: &Key,
        validated: &Validated,
        decision: plan::Decision,
        now: Instant,
    ) -> bool {
        let plan::Decision {
            next,
            plan,
            cursor,
            begun,
            refused,
        } = decision;
        if let Some(record) = begun {
            self.moving_decided(key, &record, refused.as_ref());
        }
        self.advance_cursor(&key.namespace, cursor);
        let Some(tracked) = self.workloads.get_mut(key) else {
            return false;
        };
        tracked.set_invalid(None);
        let priority = tracked.workload().priority();
        let is_other = next.differs_from(tracked.assignment());
        let was_reserved = tracked.is_reserved();
        if next.unplaced > 0 {
            let shape = validated.shape.clone();
            self.backlog.insert(key, priority, shape);
        } else {
            self.backlog.remove(key);
        }
        self.displaced.track(key, plan.displaced_replicas());
        if is_other {
            self.assign(key, next, &validated.shape, now);
        } else {
            tracked.explain(&next);
            if !was_reserved {
                // What was decided before this process started holds its room, too.
                let mut same = tracked.assignment().clone();
                same.decision.clusters = next.decision.clusters;
                self.assign(key, same, &validated.shape, now);
            }
        }
        is_other
    }

    /// Replaces an object's assignment and holds its room. Its service follows where it goes.
    fn assign(&mut self, key: &Key, next: Assignment, shape: &PodShape, now: Instant) {
        let Some(tracked) = self.workloads.get_mut(key) else {
            return;
        };
        let owner = OwnerKey(tracked.workload().owner_bits());
        let after = clusters_of(&next);
        let until = now + self.settings.reservation;
        plan::hold(&mut self.snapshot, owner, &next, shape);
        for cluster in &after {
            self.reservations.hold(owner, cluster.clone(), until);
        }
        let before = clusters_of(&tracked.assign(next));
        tracked.reserve();
        for cluster in before.difference(&after) {
            self.snapshot.release(cluster, owner);
        }
        if before != after {
            self.follow_service(key);
        }
    }

    /// What was decided before this process started holds its room before anything else is decided: its
    /// pods may not be there.
    fn hold_recorded(&mut self, now: Instant) {
        let recorded = self.workloads.iter().filter(|(_, tracked)| {
            let is_going = tracked.workload().deleted_at.is_some();
            tracked.is_placed_by_record() && !tracked.is_reserved() && !is_going
        });
        let shapes = recorded.filter_map(|(key, tracked)| {
            let shape = validate(tracked.workload()).ok()?.shape;
            Some((key.clone(), tracked.assignment().clone(), shape))
        });
        for (key, assignment, shape) in shapes.collect::<Vec<_>>() {
            self.assign(&key, assignment, &shape, now);
        }
    }

    /// Takes the clusters that a service goes to for its assignment.
    pub fn followed(&mut self, key: &Key, next: Assignment) {
        if let Some(tracked) = self.workloads.get_mut(key) {
            tracked.set_invalid(None);
            if next.differs_from(tracked.assignment()) {
                tracked.assign(next);
            }
        }
    }

    /// Positions of `round_robin` up to this one are taken.
    fn advance_cursor(&mut self, namespace: &str, next: u64) {
        let cursor = self.cursors.entry(namespace.to_owned()).or_default();
        *cursor = next.max(*cursor);
    }

    fn invalid(&mut self, key: &Key, problem: String) {
        if let Some(tracked) = self.workloads.get_mut(key) {
            tracked.set_invalid(Some(problem));
        }
    }

    fn rejected(&mut self, key: Key, rejection: Option<&str>) {
        let tracked = self.workloads.get_mut(&key);
        if tracked.is_some_and(|tracked| tracked.set_rejected(rejection)) {
            self.report(key);
        }
    }

    /// What has happened by time alone.
    fn tick(&mut self, now: Instant) {
        self.fail_over(now);
        for name in self.members.names() {
            self.cluster_changed(&name);
        }
        for (cluster, owner) in self.reservations.lapse(now) {
            self.snapshot.release(&cluster, owner);
        }
        self.retry_where_room_grew(now);
        if !self.settings.unschedulable_after.is_zero() {
            self.limit_unschedulable(now);
        }
        self.follow_moves(now);
        self.release_members(now);
    }

    /// Retries what waits, higher priority first.
    fn retry_waiting(&mut self) {
        let retries = self.backlog.keys().cloned();
        self.effects
            .extend(retries.map(|key| Effect::Reconcile(key, Priority::High)));
    }

    fn retry_where_room_grew(&mut self, now: Instant) {
        let due = self.backlog.due(&self.snapshot, now).into_iter();
        self.effects
            .extend(due.map(|key| Effect::Reconcile(key, Priority::High)));
    }

    /// What would be decided for an object now, if nothing that is displaced returned.
    fn trial(&self, key: &Key) -> Option<placement::Plan> {
        let inputs = Inputs {
            failback: false,
            ..self.inputs(key)?
        };
        let workload = self.workloads.get(key)?.workload();
        let validated = validate(workload).ok()?;
        Some(plan::plan(&inputs, workload, &validated, None).0)
    }

    fn reconcile(&mut self, key: Key, priority: Priority) {
        self.effects.push(Effect::Reconcile(key, priority));
    }

    fn renew(&mut self, key: Key) {
        self.effects.push(Effect::Renew(key));
    }

    fn report(&mut self, key: Key) {
        let delay = self.settings.report_delay;
        self.effects.push(Effect::Report(key, delay));
    }

    fn measure(&mut self, measure: Measure) {
        self.effects.push(Effect::Measure(measure));
    }
}

fn clusters_of(assignment: &Assignment) -> BTreeSet<ClusterName> {
    let placements = assignment.placements.iter();
    let names = placements.map(|one| ClusterName::from(one.cluster.as_str()));
    names.collect()
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
