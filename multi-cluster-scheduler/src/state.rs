//! What the scheduler knows. One lock around it, never held while waiting for anything.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use federation::api::{Leftover, MemberCluster, MemberClusterStatus, Role, WorkloadStatus};
use federation::members::{AccessProblem, Failure, Member, ObjectKey, Observed};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use placement::{Cluster, ClusterName, Health, OwnerKey, PodShape, Proximity, Snapshot, Taint};
use tokio::time::Instant;

use crate::burst::Burst;
use crate::decide::{Assignment, Standing};
use crate::dependencies::Fetched;
use crate::failover::Failover;
use crate::identity::Identity;
use crate::returning::Away;
use crate::status_guard::StatusGuard;
use crate::unschedulable::Limit;
use crate::workload::{Key, Kind, Workload};

/// Everything that is known.
#[derive(Default)]
pub struct State {
    /// Clusters, nodes and pods, as the decision core counts them.
    pub snapshot: Snapshot,
    /// The objects that are served.
    pub workloads: BTreeMap<Key, Tracked>,
    /// Whose uid is whose.
    pub owners: BTreeMap<u128, Key>,
    /// The members.
    pub members: BTreeMap<ClusterName, Registered>,
    /// What waits for room: higher priority first, then by name.
    pub waiting: BTreeSet<(Reverse<i32>, Key)>,
    /// Deployments of which some replicas run elsewhere than at their location.
    pub away: BTreeMap<Key, Away>,
    /// Who names a dependency.
    pub dependants: BTreeMap<ObjectKey, BTreeSet<Key>>,
    /// Reservations that lapse.
    pub lapses: BTreeSet<(Instant, u128, ClusterName)>,
    /// Next position of `round_robin`, by namespace.
    pub cursors: BTreeMap<String, u64>,
    /// When what waits was last tried.
    pub last_retry: Option<Instant>,
    /// The last changes of specs.
    pub burst: Burst,
    /// Every `MemberCluster` of the hub is among the members.
    pub members_listed: bool,
    /// Which members are lost.
    pub failover: Failover,
    /// Round-trip times and traffic were fetched, or cannot be.
    pub sources_tried: bool,
    /// Round-trip times between clusters, when a source gives them.
    pub proximity: Option<Proximity>,
    /// Traffic by cluster, when a source gives it.
    pub traffic: Option<BTreeMap<ClusterName, f64>>,
}

/// An object that is served.
pub struct Tracked {
    /// As the hub has it.
    pub workload: Arc<Workload>,
    /// The last decision.
    pub assignment: Assignment,
    /// The sequence of the last assignment that the hub has on record.
    pub recorded: i64,
    /// Why the spec cannot be served.
    pub invalid: Option<String>,
    /// What the hub said against our last write of the object.
    pub refused: Option<String>,
    /// What the template names.
    pub named: BTreeSet<ObjectKey>,
    /// The same, fetched.
    pub dependencies: Option<Fetched>,
    /// How often any of it was seen to change.
    pub dependency_changes: u64,
    /// What went wrong with the last delivery, by cluster.
    pub failures: BTreeMap<ClusterName, Failure>,
    /// Clusters that have what was last handed over.
    pub delivered: BTreeSet<ClusterName>,
    /// When its deletion was seen.
    pub deletion_seen: Option<Instant>,
    /// Clusters that hold nothing of it any more (while it is deleted).
    pub removed: BTreeSet<ClusterName>,
    /// The status that we reported last.
    pub reported: WorkloadStatus,
    /// Whether the hub still has it.
    pub guard: StatusGuard,
    /// What clusters are limited to, because their own schedulers cannot place more.
    pub limits: BTreeMap<ClusterName, Limit>,
    /// Its share of each cluster is held in the snapshot.
    pub reserved: bool,
    /// When the change that is being worked on was seen, for the end-to-end time.
    pub changed_at: Option<Instant>,
}

/// A member of the registry.
pub struct Registered {
    /// Its object.
    pub object: Arc<MemberCluster>,
    /// Its object could be read: what the hub has in its status is known.
    pub is_readable: bool,
    /// Its tasks, once it is connected.
    pub member: Option<Arc<Member>>,
    /// Whether it answers; unknown at first.
    pub reachable: Option<bool>,
    /// Since when it does not answer, if it was found to be silent. One that answers and cannot be
    /// listed, or whose access is missing, is not.
    pub silent_since: Option<Instant>,
    /// Uid of the cluster that answers.
    pub uid: Option<String>,
    /// Whether it is served.
    pub identity: Identity,
    /// Its version.
    pub version: Option<String>,
    /// Why it cannot be reached.
    pub problem: Option<AccessProblem>,
    /// Why it does not let itself be watched.
    pub refused: Option<String>,
    /// Its nodes are known.
    pub nodes_listed: bool,
    /// Its pods are known.
    pub pods_listed: bool,
    /// Deleted objects that it still holds something of.
    pub leftovers: Vec<Leftover>,
    /// The status that the hub has.
    pub reported: Option<MemberClusterStatus>,
    /// The snapshot's version when what waits was last tried.
    pub capacity_version: u64,
}

impl Registered {
    /// Uid of the cluster that the hub has on record.
    pub fn recorded_uid(&self) -> Option<&str> {
        self.reported.as_ref()?.cluster_uid.as_deref()
    }

    /// Nothing is served under this name, which counts as if it were no member's.
    pub fn is_refused(&self) -> bool {
        matches!(self.identity, Identity::Duplicate(_) | Identity::Hub)
    }

    /// The cluster that answers, once it is on record that this name has it: so that no other name
    /// can have it after a restart.
    pub fn admitted(&self) -> Option<&str> {
        let uid = self.uid.as_deref();
        let is_on_record = self.identity == Identity::Unique && uid == self.recorded_uid();
        uid.filter(|_| is_on_record)
    }

    /// It answers, and what it holds and what room it has is known, so it can be worked with.
    pub fn is_open(&self) -> bool {
        self.reachable == Some(true)
            && self.admitted().is_some()
            && self.nodes_listed
            && self.pods_listed
            && self.refused.is_none()
            && self.member.as_deref().is_some_and(Member::is_open)
    }
}

impl Tracked {
    /// A newly seen object; what was decided for it before goes on.
    pub fn new(workload: Arc<Workload>, now: Instant) -> Self {
        let assignment = assignment_of(&workload);
        Self {
            recorded: assignment.decision.sequence,
            invalid: None,
            refused: None,
            named: BTreeSet::new(),
            dependencies: None,
            dependency_changes: 0,
            failures: BTreeMap::new(),
            delivered: BTreeSet::new(),
            deletion_seen: None,
            removed: BTreeSet::new(),
            reported: workload.status.clone(),
            guard: StatusGuard::default(),
            limits: BTreeMap::new(),
            reserved: false,
            // What was on record when this process started is not a change that it has seen.
            changed_at: (assignment.decision.sequence == 0).then_some(now),
            assignment,
            workload,
        }
    }

    /// A job that is complete or has failed for good, as the hub has it on record: it is not run
    /// again, whatever becomes of its members and of its Jobs there.
    pub fn has_ended(&self) -> bool {
        let ended = |condition: &Condition| {
            matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
        };
        self.workload.key.kind == Kind::Job
            && self.reported.observed_generation == Some(self.workload.generation)
            && self.reported.conditions.iter().any(ended)
    }

    /// The sequence of the assignment in the status that the hub has.
    pub fn reported_sequence(&self) -> i64 {
        let decision = self.guard.on_hub(&self.reported).decision.as_ref();
        decision.map_or(0, |decision| decision.sequence)
    }
}

/// The assignment that the hub has on record.
pub fn assignment_of(workload: &Workload) -> Assignment {
    let status = &workload.status;
    Assignment {
        decision: status.decision.clone().unwrap_or_default(),
        policy: status.policy.clone(),
        placements: status.placements.clone(),
        unplaced: status.unplaced_replicas,
        fallback: None,
        obstacle: None,
    }
}

impl State {
    /// The next position of `round_robin` in a namespace.
    pub fn cursor(&self, namespace: &str) -> u64 {
        self.cursors.get(namespace).copied().unwrap_or(0)
    }

    /// Positions of a namespace up to this one are taken.
    pub fn advance_cursor(&mut self, namespace: &str, next: u64) {
        let cursor = self.cursors.entry(namespace.to_owned()).or_default();
        *cursor = next.max(*cursor);
    }

    /// What an assignment needs to know of each member.
    pub fn standing(
        &self,
        owner: u128,
        kind: federation::members::ManagedKind,
    ) -> BTreeMap<ClusterName, Standing> {
        self.members
            .iter()
            .filter(|(_, registered)| !registered.is_refused())
            .map(|(name, registered)| {
                let available = match registered
                    .member
                    .as_ref()
                    .and_then(|member| member.observed(owner, kind))
                {
                    Some(Observed::Replicas(replicas)) if replicas.current => replicas.available,
                    Some(Observed::Job(job)) => job.active + job.succeeded,
                    _ => 0,
                };
                (
                    name.clone(),
                    Standing {
                        open: registered.is_open(),
                        available,
                        holds: (registered.member.as_ref())
                            .is_some_and(|member| member.holds(owner)),
                    },
                )
            })
            .collect()
    }

    /// A member that counts as one.
    pub fn member(&self, name: &str) -> Option<&Registered> {
        let registered = self.members.get(name);
        registered.filter(|registered| !registered.is_refused())
    }

    /// Brings the snapshot's view of a cluster up to date; whether it has changed.
    pub fn refresh_cluster(&mut self, name: &ClusterName) -> bool {
        let Some(registered) = self.member(name.as_str()) else {
            let known = self.snapshot.cluster(name).is_some();
            self.snapshot.remove_cluster(name);
            return known;
        };
        let spec = &registered.object.spec;
        let health = if registered.is_open() {
            Health::Ready
        } else if registered.silent_since.is_some() && self.failover.is_lost(name) {
            Health::Lost
        } else {
            Health::Unreachable
        };
        let taints = spec.taints.iter().filter_map(|taint| {
            let effect = federation::capacity::taint_effect(&taint.effect)?;
            Some(Taint {
                key: taint.key.clone(),
                value: taint.value.clone().unwrap_or_default(),
                effect,
            })
        });
        let cluster = Cluster {
            name: name.clone(),
            role: match spec.role {
                Role::OnPremises => placement::Role::OnPremises,
                Role::Cloud => placement::Role::Cloud,
            },
            region: spec.region.clone(),
            zone: spec.zone.clone(),
            labels: registered
                .object
                .metadata
                .labels
                .clone()
                .unwrap_or_default(),
            taints: taints.collect(),
            unschedulable: spec.unschedulable,
            health,
        };
        let changed = self.snapshot.cluster(name) != Some(&cluster);
        if changed {
            self.snapshot.upsert_cluster(cluster);
        }
        changed
    }

    /// The objects that have a share on a cluster, or had.
    pub fn placed_on(&self, cluster: &ClusterName) -> Vec<Key> {
        self.workloads
            .iter()
            .filter(|(_, tracked)| {
                tracked
                    .assignment
                    .placements
                    .iter()
                    .any(|one| one.cluster == cluster.as_str())
            })
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// A cluster is no member any more: nothing of what was known of it holds.
    pub fn forget_cluster(&mut self, name: &ClusterName) {
        self.snapshot.remove_cluster(name);
        for tracked in self.workloads.values_mut() {
            tracked.failures.remove(name);
            tracked.delivered.remove(name);
            tracked.removed.remove(name);
            tracked.limits.remove(name);
        }
    }

    /// Takes an assignment for an object's, and holds its room until then; whether the clusters are
    /// other ones than before.
    pub fn assign(
        &mut self,
        key: &Key,
        assignment: Assignment,
        shape: &PodShape,
        until: Instant,
    ) -> bool {
        let Some(tracked) = self.workloads.get_mut(key) else {
            return false;
        };
        let owner = OwnerKey(tracked.workload.owner_bits());
        let clusters = |assignment: &Assignment| -> BTreeSet<ClusterName> {
            let placements = assignment.placements.iter();
            placements
                .map(|one| ClusterName::from(one.cluster.as_str()))
                .collect()
        };
        let before = clusters(&tracked.assignment);
        let now = clusters(&assignment);
        for cluster in before.difference(&now) {
            self.snapshot.release(cluster, owner);
        }
        for one in &assignment.placements {
            let cluster = ClusterName::from(one.cluster.as_str());
            self.snapshot.reserve(&cluster, owner, shape, one.replicas);
            self.lapses.insert((until, owner.0, cluster));
        }
        tracked.assignment = assignment;
        tracked.reserved = true;
        before != now
    }

    /// From now on the object's template names these.
    pub fn names(&mut self, key: &Key, names: &BTreeSet<ObjectKey>) {
        let Some(tracked) = self.workloads.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut tracked.named, names.clone());
        for name in before.difference(names) {
            if let Some(dependants) = self.dependants.get_mut(name) {
                dependants.remove(key);
                if dependants.is_empty() {
                    self.dependants.remove(name);
                }
            }
        }
        for name in names.difference(&before) {
            let dependants = self.dependants.entry(name.clone()).or_default();
            dependants.insert(key.clone());
        }
    }

    /// Forgets an object; its reservations go.
    pub fn forget(&mut self, key: &Key) {
        self.names(key, &BTreeSet::new());
        let Some(tracked) = self.workloads.remove(key) else {
            return;
        };
        let owner = tracked.workload.owner_bits();
        if self.owners.get(&owner) == Some(key) {
            self.owners.remove(&owner);
        }
        self.waiting.retain(|(_, waiting)| waiting != key);
        self.away.remove(key);
        self.release(owner);
    }

    /// Forgets an object that ended without a deletion on record: what members hold of it stays.
    pub fn leave_alone(&mut self, key: &Key) {
        if let Some(tracked) = self.workloads.get(key) {
            let owner = tracked.workload.owner_bits();
            let members = self.members.values();
            for member in members.filter_map(|one| one.member.as_ref()) {
                member.forget(owner);
            }
        }
        self.forget(key);
    }

    /// Lets the reservations of an owner go.
    pub fn release(&mut self, owner: u128) {
        for cluster in self.members.keys() {
            self.snapshot.release(cluster, OwnerKey(owner));
        }
        self.lapses.retain(|(_, holder, _)| *holder != owner);
    }
}
