//! The scheduler's own moves: displaced replicas go home.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use federation::api::{
    MovePhase, MovedKind, MovedWorkload, PlacementStatus, STRATEGY_RETURN_HOME, WorkloadMove,
    WorkloadMoveSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use placement::{ClusterName, Placement, Plan};
use tokio::time::Instant;

use super::is_own;
use crate::decide::Assignment;
use crate::index::{Effect, HubTask, Index};
use crate::workload::{Key, Workload};

/// Of a workload's name, so much is in the name of a move of our own.
const LONGEST_NAME: usize = 220;
/// How long, in seconds, the scheduler's own moves stay to be seen. While one that failed is there, no
/// other is made of the same workload.
const OWN_TTL: u32 = 600;
/// So many moves are made at once, at most.
const AT_ONCE: usize = 64;

/// Nothing of a workload with these moves returns by itself: somebody else moved it, or the last return
/// failed.
fn hold_back<'a>(mut moves: impl Iterator<Item = &'a WorkloadMove>) -> bool {
    moves.any(|object| {
        let phase = object.status.as_ref().map(|status| status.phase);
        match phase {
            Some(MovePhase::Succeeded) => !is_own(object),
            Some(MovePhase::Refused | MovePhase::RolledBack) => is_own(object),
            // It comes first.
            _ => true,
        }
    })
}

/// Whether what is displaced of a workload with these moves returns with the next decision: its spec
/// has changed since the generation that was answered, and no move holds it back.
pub fn returns_with_spec<'a>(
    workload: &Workload,
    answered: Option<i64>,
    moves: impl Iterator<Item = &'a WorkloadMove>,
) -> bool {
    answered != Some(workload.generation) && !hold_back(moves)
}

impl Index {
    /// The objects with displaced replicas whose locations may have room for them by now.
    pub fn returns_due(&mut self) -> Vec<Key> {
        let mut displaced = std::mem::take(&mut self.displaced);
        let due = displaced.due_for_check(|key| {
            let tracked = self.workloads.get(key).filter(|_| self.may_return(key))?;
            let placements = tracked.assignment().placements.iter();
            let locations = placements.filter(|one| one.location);
            let locations = locations.map(|one| ClusterName::from(one.cluster.as_str()));
            Some(locations.map(|name| self.snapshot.version(&name)).sum())
        });
        self.displaced = displaced;
        due
    }

    /// Whether their locations have room.
    pub fn returns_tried(&mut self, tried: Vec<(Key, bool)>, now: Instant) {
        for (key, has_room) in tried {
            self.displaced.checked(&key, has_room, now);
        }
    }

    /// Those that have had room for long enough, higher priority first. If nothing comes of it, they
    /// wait again.
    pub fn returns_ready(&mut self, now: Instant) -> Vec<Key> {
        let ready = self.displaced.ready(self.settings.return_after, now);
        let mut ready: Vec<_> = ready
            .filter(|key| self.may_return(key))
            .map(|key| {
                let tracked = self.workloads.get(key);
                let priority = tracked.map_or(0, |tracked| tracked.workload().priority());
                (Reverse(priority), key.clone())
            })
            .collect();
        ready.sort();
        let ready = ready.into_iter().take(AT_ONCE);
        let ready: Vec<_> = ready.map(|(_, key)| key).collect();
        for key in &ready {
            self.displaced.returns(key);
        }
        ready
    }

    /// Asks for moves that bring displaced replicas of these workloads back.
    pub(in crate::index) fn propose_returns(&mut self, moves: Vec<(Key, WorkloadMove)>) {
        // Some may have gone while they were planned.
        let known = |(key, _): &(Key, _)| self.workloads.get(key).is_some();
        for (key, object) in moves.into_iter().filter(known) {
            self.moves.proposed.insert(key.clone(), object);
            self.effects.push(Effect::OnHub(HubTask::ReturnHome(key)));
        }
    }

    /// The move that is to bring displaced replicas of a workload back; none if nothing of it may return
    /// any more.
    pub fn proposed_return(&self, key: &Key) -> Option<WorkloadMove> {
        let proposed = self.moves.proposed.get(key);
        proposed.filter(|_| self.may_return(key)).cloned()
    }

    /// Displaced replicas of a workload may return.
    fn may_return(&self, key: &Key) -> bool {
        let Some(tracked) = self.workloads.get(key) else {
            return false;
        };
        tracked.workload().deleted_at.is_none()
            && tracked.assignment().decision.moving.is_none()
            && self.unsettled(tracked).is_none()
            && !hold_back(self.moves.objects_of(key))
    }
}

/// The move that brings displaced replicas of a workload back, from one cluster to another, as the plan
/// has it after this assignment.
pub(in crate::index) fn return_of(
    workload: &Workload,
    before: &Assignment,
    plan: &Plan,
) -> Option<WorkloadMove> {
    let cluster = |one: &PlacementStatus| ClusterName::from(one.cluster.as_str());
    let mut change: BTreeMap<ClusterName, i64> = (before.placements.iter())
        .map(|one| (cluster(one), -i64::from(one.staying())))
        .collect();
    for one in &plan.placements {
        *change.entry(one.cluster.clone()).or_default() += i64::from(one.replicas);
    }
    let is_home = |one: &&Placement| one.location && change[&one.cluster] > 0;
    let home = plan.placements.iter().find(is_home)?;
    let (from, less) = change.iter().find(|(_, replicas)| **replicas < 0)?;
    let replicas = change[&home.cluster].min(-less);
    let key = &workload.key;
    let name = &key.name[..key.name.floor_char_boundary(LONGEST_NAME)];
    let sequence = before.decision.sequence;
    let mut object = WorkloadMove::new(
        &format!("{name}-home-{sequence}"),
        WorkloadMoveSpec {
            workload: MovedWorkload {
                kind: MovedKind::MultiClusterDeployment,
                name: key.name.clone(),
            },
            from: from.to_string(),
            to: home.cluster.to_string(),
            replicas: u32::try_from(replicas).ok(),
            strategy: Some(STRATEGY_RETURN_HOME.to_owned()),
            reason: Some("their location has room again".to_owned()),
            progress_deadline_seconds: WorkloadMoveSpec::DEFAULT_DEADLINE,
            ttl_seconds_after_finished: Some(OWN_TTL),
        },
    );
    let resource = key.kind.resource();
    object.metadata.namespace = Some(key.namespace.clone());
    object.metadata.owner_references = Some(vec![OwnerReference {
        api_version: resource.api_version,
        kind: resource.kind,
        name: key.name.clone(),
        uid: workload.uid.clone(),
        ..OwnerReference::default()
    }]);
    Some(object)
}
