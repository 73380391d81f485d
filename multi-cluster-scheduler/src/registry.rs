//! The members: their objects, and what happens there.

use std::sync::Arc;
use std::time::Duration;

use federation::api::{Leftover, MemberCluster};
use federation::capacity::CapacityEvent;
use federation::members::{
    AccessProblem, AccessReason, Bundle, Change, Delivery as _, Ending, Failure, MemberEvent,
    Outcome, Owner, uid_bits,
};
use federation::operator::queue::Priority;
use kube::ResourceExt as _;
use placement::ClusterName;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::connections::same;
use crate::decide::is_over;
use crate::identity::Identity;
use crate::scheduler::Scheduler;
use crate::state::{Registered, State};

/// The least time between two retries of what waits.
const RETRY: Duration = Duration::from_millis(100);

/// A delivery that ended.
#[derive(Clone, Copy)]
struct Delivered {
    owner: u128,
    generation: i64,
    last: bool,
}

impl Scheduler {
    /// A `MemberCluster` appeared or changed.
    pub(crate) fn member_applied(&self, object: MemberCluster) {
        let name = ClusterName::from(object.name_any());
        let mut guard = self.state();
        let state = &mut *guard;
        let leftovers = object
            .status
            .as_ref()
            .map(|status| status.leftovers.clone())
            .unwrap_or_default();
        let was_readable = state.members.get(&name).is_none_or(|one| one.is_readable);
        if same(state, &object).is_none() || !was_readable {
            // It may have been deleted and made again while nobody watched.
            state.members.remove(&name);
            state.forget_cluster(&name);
        }
        let object = Arc::new(object);
        self.connections.apply(object.clone());
        let registered = state
            .members
            .entry(name.clone())
            .or_insert_with(|| Registered {
                object: object.clone(),
                is_readable: true,
                member: None,
                reachable: None,
                silent_since: None,
                uid: None,
                identity: Identity::Unknown,
                version: None,
                problem: None,
                refused: None,
                nodes_listed: false,
                pods_listed: false,
                leftovers,
                reported: object.status.clone(),
                capacity_version: 0,
            });
        registered.object = object;
        self.cluster_changed(state, &name);
        // It may say by now that it may be the hub.
        self.judge_identities(state);
    }

    fn access_problem(&self, cluster: &ClusterName) -> Option<AccessProblem> {
        self.connections
            .read(|all| all.get(cluster.as_str())?.problem().cloned())
    }

    /// A `MemberCluster` left: its tasks end, its shares are decided anew.
    pub(crate) fn member_gone(&self, name: &str) {
        let name = ClusterName::from(name);
        let mut guard = self.state();
        let state = &mut *guard;
        if state.members.remove(&name).is_some() {
            self.connections.remove(name.as_str());
            info!(cluster = %name, "is no longer a member");
            self.cluster_changed(state, &name);
            state.forget_cluster(&name);
            // Another name of the same cluster may serve now.
            self.judge_identities(state);
        }
    }

    /// The hub's list of members is complete.
    pub(crate) fn members_listed(&self) {
        let mut guard = self.state();
        guard.members_listed = true;
        self.judge_identities(&mut guard);
    }

    /// Something happened at a member.
    pub(crate) fn member_event(&self, event: MemberEvent) {
        let MemberEvent { cluster, change } = event;
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(registered) = state.members.get_mut(&cluster) else {
            return;
        };
        match change {
            // Of a cluster that is not served, nothing counts.
            Change::Capacity(_) if registered.admitted().is_none() => {}
            Change::Capacity(event) => {
                let (nodes, pods) = (
                    matches!(event, CapacityEvent::NodesListed(_)),
                    matches!(event, CapacityEvent::PodsListed(_)),
                );
                registered.nodes_listed |= nodes;
                registered.pods_listed |= pods;
                if nodes || pods {
                    registered.refused = None;
                }
                capacity(state, &cluster, event);
                if nodes || pods {
                    self.cluster_changed(state, &cluster);
                }
            }
            Change::Refused(problem) => {
                if registered.refused.as_ref() != Some(&problem) {
                    warn!(%cluster, problem, "does not let itself be watched");
                }
                registered.refused = Some(problem);
                self.cluster_changed(state, &cluster);
            }
            Change::Identified(uid) => self.identified(state, &cluster, uid),
            Change::Unidentified(problem) => {
                registered.reachable = Some(true);
                registered.silent_since = None;
                registered.problem = None;
                registered.refused = Some(problem);
                self.cluster_changed(state, &cluster);
            }
            Change::Reachable(version) => {
                registered.version = version.or(registered.version.take());
                registered.reachable = Some(true);
                registered.silent_since = None;
                // It answers by its old access, whatever is wrong with the one that it should have.
                registered.problem = self.access_problem(&cluster);
                registered.refused = None;
                self.cluster_changed(state, &cluster);
            }
            Change::Unreachable(problem) => {
                registered.reachable = Some(false);
                registered.silent_since.get_or_insert(Instant::now());
                let message = format!("does not answer: {problem}");
                registered.problem = Some(AccessReason::Unreachable.problem(message));
                self.cluster_changed(state, &cluster);
            }
            Change::Synced => {
                registered.refused = None;
                self.member_synced(state, &cluster);
            }
            Change::Unreadable(kind) => self.metrics.unreadable(kind),
            Change::Observed(owner) => self.observed(state, owner),
            Change::Undone(_) => self.metrics.put_back(cluster.as_str()),
            Change::Delivered {
                owner,
                generation,
                last,
                outcome,
            } => {
                let delivered = Delivered {
                    owner,
                    generation,
                    last,
                };
                self.delivered(state, &cluster, delivered, outcome);
            }
            Change::NamespaceKept(kept) => {
                let object = registered.object.clone();
                warn!(%cluster, "{kept}");
                self.recorder
                    .member(&object, "NamespaceKept", &kept.to_string());
            }
        }
    }

    /// What the member holds is known: what nobody wants there goes, what is on record too.
    fn member_synced(&self, state: &mut State, cluster: &ClusterName) {
        self.cluster_changed(state, cluster);
        let Some(registered) = state.members.get(cluster) else {
            return;
        };
        let Some(member) = &registered.member else {
            return;
        };
        // Each serves the object that it belongs to; an owner that the hub does not know is left
        // alone: that hub may have been restored from before it.
        for owner in member.owners() {
            if let Some(key) = state.owners.get(&owner) {
                self.queue.add(key.clone(), Priority::Low);
            }
        }
        // On another cluster that has the name by now, there is nothing to be collected.
        let is_here = |leftover: &&Leftover| {
            leftover.cluster_uid.is_none() || leftover.cluster_uid == registered.uid
        };
        for leftover in registered.leftovers.iter().filter(is_here) {
            let owner = Owner {
                uid: leftover.uid.clone(),
                kind: leftover.kind.clone(),
                namespace: leftover.namespace.clone(),
                name: leftover.name.clone(),
            };
            member.deliver(Bundle {
                owner,
                generation: 0,
                items: Vec::new(),
                ending: Some(Ending {
                    orphan: leftover.orphan,
                    namespace_gone: leftover.namespace_gone,
                }),
            });
        }
    }

    fn observed(&self, state: &State, owner: u128) {
        let Some(key) = state.owners.get(&owner) else {
            return;
        };
        self.reports
            .add_after(key.clone(), self.options.report_delay);
        let decides = state.workloads.get(key).is_some_and(|tracked| {
            tracked.assignment.is_moving() || tracked.workload.deleted_at.is_some()
        });
        if decides {
            self.queue.add(key.clone(), Priority::High);
        }
    }

    fn delivered(
        &self,
        state: &mut State,
        cluster: &ClusterName,
        delivered: Delivered,
        outcome: Outcome,
    ) {
        let Delivered {
            owner,
            generation,
            last,
        } = delivered;
        if let Some(registered) = state.members.get_mut(cluster)
            && last
            && outcome.is_ok()
        {
            let here = registered.uid.as_deref();
            registered.leftovers.retain(|leftover| {
                uid_bits(&leftover.uid) != owner
                    || leftover.cluster_uid.is_some() && leftover.cluster_uid.as_deref() != here
            });
        }
        self.metrics
            .delivered(outcome.as_ref().err().map(|failure: &Failure| failure.kind));
        let Some(key) = state.owners.get(&owner).cloned() else {
            return;
        };
        let member = state
            .members
            .get(cluster)
            .and_then(|one| one.member.as_ref());
        let holds = member.is_some_and(|member| member.holds(owner));
        let Some(tracked) = state.workloads.get_mut(&key) else {
            return;
        };
        let share =
            (tracked.assignment.placements.iter()).find(|one| one.cluster == cluster.as_str());
        let (has_share, has_left) = (
            share.is_some_and(|share| !is_over(share)),
            share.is_some_and(is_over),
        );
        match outcome {
            Ok(()) => {
                tracked.failures.remove(cluster);
                if tracked.workload.deleted_at.is_some() {
                    // One that was under way when the deletion came has brought it, not taken it.
                    if last {
                        tracked.removed.insert(cluster.clone());
                    }
                    self.queue.add(key.clone(), Priority::High);
                } else if has_share && generation == tracked.workload.generation {
                    tracked.delivered.insert(cluster.clone());
                } else if has_left && !holds {
                    // It need not be on record any more.
                    self.queue.add(key.clone(), Priority::High);
                }
                let all = (tracked.assignment.placements.iter())
                    .filter(|one| !is_over(one))
                    .all(|one| tracked.delivered.contains(one.cluster.as_str()));
                if all && let Some(since) = tracked.changed_at.take() {
                    self.metrics.took(since.elapsed());
                }
            }
            Err(failure) => {
                tracked.failures.insert(cluster.clone(), failure);
            }
        }
        self.reports.add_after(key, self.options.report_delay);
    }

    /// A cluster's standing may have changed: what is placed on it, or waits, is looked at again.
    pub(crate) fn cluster_changed(&self, state: &mut State, name: &ClusterName) {
        let open = state.members.get(name).map(Registered::is_open);
        self.metrics.member(name.as_str(), open);
        if state.refresh_cluster(name) {
            self.standing_changed.notify_one();
            for key in state.placed_on(name) {
                self.queue.add(key, Priority::Low);
            }
            self.retry_waiting(state);
        }
    }

    /// Looks again at what waits for room, the important first.
    pub(crate) fn retry_waiting(&self, state: &State) {
        for (_, key) in &state.waiting {
            self.queue.add(key.clone(), Priority::High);
        }
    }

    /// Retries what waits if any cluster has more room than when it was tried last; not more often
    /// than ten times a second, because a burst of pods ends one by one.
    pub(crate) fn retry_where_room_grew(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        let now = Instant::now();
        if state.waiting.is_empty() || state.last_retry.is_some_and(|last| now < last + RETRY) {
            return;
        }
        let mut grew = false;
        for (name, registered) in &mut state.members {
            let version = state.snapshot.version(name);
            grew |= version != registered.capacity_version;
            registered.capacity_version = version;
        }
        if grew {
            state.last_retry = Some(now);
            self.retry_waiting(state);
        }
    }
}

fn capacity(state: &mut State, cluster: &ClusterName, event: CapacityEvent) {
    let snapshot = &mut state.snapshot;
    match event {
        CapacityEvent::Node(node) => snapshot.upsert_node(cluster, node),
        CapacityEvent::NodeGone(name) => snapshot.remove_node(cluster, &name),
        CapacityEvent::Pod(key, pod) => snapshot.upsert_pod(cluster, key, pod),
        CapacityEvent::PodGone(key) => snapshot.remove_pod(cluster, key),
        CapacityEvent::NodesListed(names) => snapshot.retain_nodes(cluster, &names),
        CapacityEvent::PodsListed(keys) => snapshot.retain_pods(cluster, &keys),
        // The member says so itself.
        CapacityEvent::OwnPod(..) | CapacityEvent::Refused(_) | CapacityEvent::Unreadable(_) => {}
    }
}
