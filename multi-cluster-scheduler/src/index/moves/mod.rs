//! Moves that were asked for: which may begin, how far each is, and how it ended.
//!
//! A move begins with a decision that changes the shares, and is on record with that assignment
//! (`status.decision.move`) before a member is touched. From then on the assignment has it: what
//! leaves stays until its replacements are available, as with any other change. So here is only
//! followed how far that is; a move that takes too long, or is deleted, is undone by a decision that
//! changes the shares back. Its object says how it ended before the record goes.

mod report;
mod returns;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use federation::api::{
    MovePhase, MoveRecord, MovedKind, PlacementStatus, RetainedField, STRATEGY_RETURN_HOME,
    WorkloadMove, WorkloadMoveSpec,
};
use federation::members::Observed;
use federation::operator::queue::Priority;
use kube::ResourceExt as _;
use placement::MoveRefusal;
use tokio::time::Instant;

use super::{Effect, HubTask, Index, Tracked};
use crate::decide::is_over;
use crate::plan::Moving;
use crate::workload::{Key, Kind};
use report::{End, end_of, reason_of};

pub use report::MoveReport;
pub(super) use returns::return_of;
pub use returns::returns_with_spec;

/// How long a move waits for its workload to appear: both may have been applied at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoveKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl MoveKey {
    /// Of an object.
    pub fn of(object: &WorkloadMove) -> Self {
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }
}

impl fmt::Display for MoveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkloadMove {}/{}", self.namespace, self.name)
    }
}

/// All of them.
#[derive(Default)]
pub struct Moves {
    objects: BTreeMap<MoveKey, Known>,
    of_workload: BTreeMap<Key, BTreeSet<MoveKey>>,
    /// Those of our own that are to be created, by workload.
    proposed: BTreeMap<Key, WorkloadMove>,
}

struct Known {
    object: Arc<WorkloadMove>,
    seen: Instant,
    /// When this process first saw it under way, and how far it is.
    begun: Option<(Instant, MoveRecord, MovePhase)>,
    /// Its deadline has passed.
    is_late: bool,
    /// How it ended, until the hub has it.
    end: Option<End>,
    /// When this process first saw that the hub has it as ended.
    ended: Option<Instant>,
    /// It ended long enough ago.
    is_expired: bool,
}

impl Known {
    fn new(object: WorkloadMove, now: Instant) -> Self {
        Self {
            object: Arc::new(object),
            seen: now,
            begun: None,
            is_late: false,
            end: None,
            ended: None,
            is_expired: false,
        }
    }

    fn spec(&self) -> &WorkloadMoveSpec {
        &self.object.spec
    }

    /// The hub has it as ended.
    fn has_ended(&self) -> bool {
        let status = self.object.status.as_ref();
        status.is_some_and(|status| status.phase.has_ended())
    }

    fn is(&self, record: &MoveRecord) -> bool {
        self.object.metadata.uid.as_ref() == Some(&record.uid)
    }

    /// Its record was with the workload's assignment on the hub.
    fn has_begun(&self) -> bool {
        let seen = self.begun.as_ref().map(|(_, _, phase)| *phase);
        let status = self.object.status.as_ref().map(|status| status.phase);
        seen.max(status) >= Some(MovePhase::Starting)
    }

    /// Somebody has asked for it to go.
    fn is_deleted(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }
}

/// What a move of a workload waits for.
enum Unsettled<'a> {
    /// What was decided is brought to the members first.
    Delivery,
    /// Pods are being replaced by those of a newer template on this cluster.
    Rollout(&'a str),
}

/// The scheduler has made it.
fn is_own(object: &WorkloadMove) -> bool {
    object.spec.strategy.as_deref() == Some(STRATEGY_RETURN_HOME)
}

/// Whose replicas it moves.
pub fn moved_workload(object: &WorkloadMove) -> Key {
    Key {
        kind: match object.spec.workload.kind {
            MovedKind::MultiClusterDeployment => Kind::Deployment,
            MovedKind::MultiClusterJob => Kind::Job,
        },
        namespace: object.namespace().unwrap_or_default(),
        name: object.spec.workload.name.clone(),
    }
}

impl Moves {
    /// The moves of a workload, by name.
    fn of(&self, key: &Key) -> impl Iterator<Item = &Known> {
        let keys = self.of_workload.get(key).into_iter().flatten();
        keys.filter_map(|key| self.objects.get(key))
    }

    /// Their objects.
    pub(super) fn objects_of(&self, key: &Key) -> impl Iterator<Item = &WorkloadMove> {
        self.of(key).map(|known| known.object.as_ref())
    }

    /// The object of a move that is on record with its workload.
    fn of_record(&self, workload: &Key, record: &MoveRecord) -> Option<&Known> {
        let key = MoveKey {
            namespace: workload.namespace.clone(),
            name: record.name.clone(),
        };
        self.objects.get(&key).filter(|known| known.is(record))
    }

    fn remove(&mut self, key: &MoveKey) -> Option<Known> {
        let known = self.objects.remove(key)?;
        let workload = moved_workload(&known.object);
        if let Some(moves) = self.of_workload.get_mut(&workload) {
            moves.remove(key);
            if moves.is_empty() {
                self.of_workload.remove(&workload);
            }
        }
        Some(known)
    }

    /// The workload is gone.
    pub(super) fn forget_proposal(&mut self, workload: &Key) {
        self.proposed.remove(workload);
    }
}

impl Index {
    pub(super) fn move_applied(&mut self, object: WorkloadMove, now: Instant) {
        let key = MoveKey::of(&object);
        let workload = moved_workload(&object);
        let uid = object.uid();
        let known = self.moves.objects.get_mut(&key);
        if let Some(known) = known.filter(|known| known.object.uid() == uid) {
            known.object = Arc::new(object);
        } else {
            self.moves.remove(&key);
            let moves = self.moves.of_workload.entry(workload.clone()).or_default();
            moves.insert(key.clone());
            let known = Known::new(object, now);
            self.moves.objects.insert(key.clone(), known);
        }
        self.moves.proposed.remove(&workload);
        self.follow_move(&key, now);
        let is_on_record = |tracked: &Tracked| tracked.assignment().decision.moving.is_some();
        let has_ended = self.moves.objects[&key].has_ended();
        if !has_ended {
            // Its last report may have been refused, because the object was not known as it is.
            self.report_move(&key);
        }
        if has_ended && self.workloads.get(&workload).is_some_and(is_on_record) {
            // Its record goes.
            self.reconcile(workload, Priority::High);
        }
    }

    pub(super) fn move_deleted(&mut self, key: &MoveKey) {
        let Some(known) = self.moves.remove(key) else {
            return;
        };
        let workload = moved_workload(&known.object);
        self.displaced.check_again(&workload);
        let tracked = self.workloads.get(&workload);
        let record = tracked.and_then(|tracked| tracked.assignment().decision.moving.as_ref());
        if record.is_some_and(|record| known.is(record)) {
            self.reconcile(workload, Priority::High);
        }
    }

    pub(super) fn moves_listed(&mut self, keys: &BTreeSet<MoveKey>) {
        let known = self.moves.objects.keys();
        let gone: Vec<_> = known.filter(|key| !keys.contains(key)).cloned().collect();
        for key in gone {
            self.move_deleted(&key);
        }
    }

    /// What the next decision of a workload does about moves.
    pub(super) fn moving(&self, key: &Key, tracked: &Tracked) -> Moving {
        let Some(record) = &tracked.assignment().decision.moving else {
            let mut pending = self.moves.of(key);
            let next = pending.find_map(|known| self.may_begin(known, tracked).ok().flatten());
            return next.map_or(Moving::None, Moving::Begins);
        };
        let known = self.moves.of_record(key, record);
        let phase = self.phase(tracked, record);
        // Of one that was deleted, only what can still be undone is followed.
        let is_over = known.map_or(phase >= MovePhase::Draining, Known::has_ended);
        let there = staying(tracked, &record.to);
        if is_over || there == 0 && !record.undone {
            return Moving::None;
        }
        let is_in_vain = known.is_none_or(|known| known.is_late || known.is_deleted());
        if is_in_vain && !record.undone && phase < MovePhase::Ready {
            return Moving::Begins(MoveRecord {
                undone: true,
                replicas: record.replicas.min(there),
                ..record.clone()
            });
        }
        Moving::GoesOn(record.clone())
    }

    /// What was decided about the move that was to begin.
    pub(super) fn moving_decided(
        &mut self,
        key: &Key,
        record: &MoveRecord,
        refused: Option<&MoveRefusal>,
    ) {
        let name = MoveKey {
            namespace: key.namespace.clone(),
            name: record.name.clone(),
        };
        if let Some(known) = self.moves.objects.get_mut(&name)
            && known.is(record)
            && let Some(refusal) = refused
        {
            let reason = reason_of(refusal);
            known.end = Some(if record.undone {
                End {
                    phase: MovePhase::RolledBack,
                    reason,
                    message: format!("given up, and it cannot be undone: {refusal}"),
                }
            } else {
                End::refused(reason, refusal.to_string())
            });
        }
        self.effects.push(Effect::OnHub(HubTask::ReportMove(name)));
    }

    /// Follows all moves: deadlines pass, and objects that ended long enough ago go.
    pub(super) fn follow_moves(&mut self, now: Instant) {
        let keys: Vec<_> = self.moves.objects.keys().cloned().collect();
        for key in keys {
            self.follow_move(&key, now);
        }
        // Those whose object was deleted.
        let on_record = self.workloads.iter().filter_map(|(key, tracked)| {
            let record = tracked.assignment().decision.moving.as_ref()?;
            let is_over = self.moves.of_record(key, record).is_none()
                && self.phase(tracked, record) >= MovePhase::Draining;
            is_over.then(|| key.clone())
        });
        for key in on_record.collect::<Vec<_>>() {
            self.reconcile(key, Priority::Low);
        }
    }

    /// Looks how far a move is.
    fn follow_move(&mut self, key: &MoveKey, now: Instant) {
        let Some(known) = self.moves.objects.get(key).filter(|_| self.is_settled) else {
            return;
        };
        let spec = known.spec();
        if known.has_ended() {
            let ttl = spec.ttl_seconds_after_finished;
            let ended = known.ended.unwrap_or(now);
            let is_expired = ttl.is_some_and(|ttl| now - ended >= Duration::from_secs(ttl.into()));
            if let Some(known) = self.moves.objects.get_mut(key) {
                known.ended = Some(ended);
                known.end = None;
                known.is_expired = is_expired;
            }
            if is_expired {
                self.report_move(key);
            }
            return;
        }
        if known.end.is_some() {
            return;
        }
        let workload = moved_workload(&known.object);
        let tracked = self.workloads.get(&workload);
        let record = tracked.and_then(|one| one.assignment().decision.moving.as_ref());
        let record = record.filter(|record| known.is(record)).cloned();
        let Some((tracked, record)) = tracked.zip(record) else {
            return self.follow_pending(key, &workload, now);
        };
        let phase = self.phase(tracked, &record);
        let (begun, before) = match &known.begun {
            Some((begun, _, phase)) => (*begun, Some(*phase)),
            None => (now, None),
        };
        let is_late = !record.undone
            && phase < MovePhase::Ready
            && (known.is_deleted() || now - begun >= deadline_of(spec));
        let end = phase
            .has_ended()
            .then(|| end_of(&record, known.is_deleted()));
        let changed = end.is_some() || before != Some(phase);
        if let Some(known) = self.moves.objects.get_mut(key) {
            known.begun = Some((begun, record, phase));
            known.is_late |= is_late;
            known.end = end;
        }
        if is_late {
            self.reconcile(workload, Priority::High);
        }
        if changed {
            self.report_move(key);
        }
    }

    /// A move that is not under way: begins, waits, or ends.
    fn follow_pending(&mut self, key: &MoveKey, workload: &Key, now: Instant) {
        let Some(known) = self.moves.objects.get(key) else {
            return;
        };
        let verdict = match self.workloads.get(workload) {
            _ if known.has_begun() => Err(End {
                phase: MovePhase::RolledBack,
                reason: "Superseded",
                message: "where the workload runs was decided anew before the move was over"
                    .to_owned(),
            }),
            Some(tracked) => match self.may_begin(known, tracked) {
                Ok(_) if now - known.seen >= deadline_of(known.spec()) => Err(End::refused(
                    "DeadlineExceeded",
                    "the workload was not settled in time for the move to begin",
                )),
                verdict => verdict,
            },
            None if now - known.seen < PATIENCE => Ok(None),
            None => Err(End::refused("NotFound", format!("there is no {workload}"))),
        };
        let is_new = known.object.status.is_none();
        match verdict {
            Ok(Some(_)) => self.reconcile(workload.clone(), Priority::High),
            Ok(None) => {}
            Err(end) => {
                if let Some(known) = self.moves.objects.get_mut(key) {
                    known.end = Some(end);
                }
                return self.report_move(key);
            }
        }
        if is_new {
            self.report_move(key);
        }
    }

    /// What a move is on record as when it begins now; none while it has to wait.
    fn may_begin(&self, known: &Known, tracked: &Tracked) -> Result<Option<MoveRecord>, End> {
        if known.has_ended() || known.end.is_some() || known.has_begun() {
            return Ok(None);
        }
        let (spec, assignment) = (known.spec(), tracked.assignment());
        if known.is_deleted() {
            return Ok(None);
        }
        if tracked.workload().deleted_at.is_some() {
            return Err(End::refused("NotFound", "the workload is being deleted"));
        }
        if tracked.workload().key.kind == Kind::Job {
            let refusal = MoveRefusal::NotResizable;
            return Err(End::refused(reason_of(&refusal), refusal.to_string()));
        }
        if assignment.decision.sequence == 0 || tracked.invalid().is_some() {
            return Ok(None);
        }
        if let Some(other) = &assignment.decision.moving {
            let known = self.moves.of_record(&tracked.workload().key, other);
            if known.is_some_and(|known| known.has_ended() || known.end.is_some()) {
                // Its record is about to go.
                return Ok(None);
            }
            return Err(End::refused(
                "MoveUnderWay",
                format!("another move of the workload is under way: {}", other.name),
            ));
        }
        match self.unsettled(tracked) {
            Some(Unsettled::Delivery) => return Ok(None),
            Some(Unsettled::Rollout(cluster)) => {
                return Err(End::refused(
                    "RolloutUnderWay",
                    format!("a rollout of the workload is under way on {cluster}"),
                ));
            }
            None => {}
        }
        let there = staying(tracked, &spec.from);
        let replicas = spec.replicas.unwrap_or(there);
        if replicas == 0 {
            return Err(End::refused("NothingThere", "nothing of it runs there"));
        }
        Ok(Some(MoveRecord {
            name: known.object.name_any(),
            uid: known.object.uid().unwrap_or_default(),
            from: spec.from.clone(),
            to: spec.to.clone(),
            replicas,
            undone: false,
        }))
    }

    /// What a move of a workload waits for.
    fn unsettled<'a>(&self, tracked: &'a Tracked) -> Option<Unsettled<'a>> {
        if self.is_settling(tracked) {
            return Some(Unsettled::Delivery);
        }
        self.rolling_out(tracked).map(Unsettled::Rollout)
    }

    /// A cluster that answers does not have its share yet, or has replicas that are leaving.
    fn is_settling(&self, tracked: &Tracked) -> bool {
        let placements = tracked.assignment().placements.iter();
        let mut open = placements.filter(|one| self.is_open(&one.cluster));
        open.any(|one| one.leaving > 0 || !is_over(one) && !tracked.is_delivered(&one.cluster))
    }

    fn is_open(&self, cluster: &str) -> bool {
        let record = self.members.member(cluster);
        record.is_some_and(super::MemberRecord::is_open)
    }

    /// A cluster where pods are being replaced by those of a newer template.
    fn rolling_out<'a>(&self, tracked: &'a Tracked) -> Option<&'a str> {
        let placements = tracked.assignment().placements.iter();
        let mut shares = placements.filter(|one| tracked.is_delivered(&one.cluster));
        let found = shares.find(|one| match self.replicas(tracked, &one.cluster) {
            Some(Observed::Replicas(replicas)) => {
                replicas.current && replicas.updated < replicas.wanted.min(one.replicas)
            }
            _ => false,
        });
        found.map(|one| one.cluster.as_str())
    }

    fn replicas(&self, tracked: &Tracked, cluster: &str) -> Option<Observed> {
        let workload = tracked.workload();
        let record = self.members.member(cluster)?;
        record.observed(workload.owner_bits(), workload.key.kind.on_members())
    }

    /// How far a move is that is on record.
    fn phase(&self, tracked: &Tracked, record: &MoveRecord) -> MovePhase {
        let on_hub = tracked.reported().decision.as_ref();
        if on_hub.and_then(|decision| decision.moving.as_ref()) != Some(record) {
            return MovePhase::Reserved;
        }
        let (from, to) = record.direction();
        let source = tracked.share(from).cloned().unwrap_or_default();
        let retained = tracked.workload().retained();
        let is_members = retained.contains(&RetainedField::Replicas);
        let meant = staying(tracked, to);
        if source.leaving > 0 || meant == 0 {
            let is_available = match self.replicas(tracked, to) {
                Some(Observed::Replicas(replicas)) if is_members => {
                    replicas.available >= meant.min(replicas.wanted)
                }
                Some(Observed::Replicas(replicas)) => replicas.available >= meant,
                _ => false,
            };
            let is_available = is_available && meant > 0 && self.is_open(to);
            return if is_available {
                MovePhase::Ready
            } else {
                MovePhase::Starting
            };
        }
        let is_drained = match self.replicas(tracked, from) {
            // How many run there is the member's to say.
            Some(Observed::Replicas(_)) if is_members => true,
            Some(Observed::Replicas(replicas)) => {
                replicas.wanted.max(replicas.updated) <= source.replicas
            }
            _ => self.members.member(from).is_none() || self.is_open(from),
        };
        match (is_drained, record.undone) {
            (false, _) => MovePhase::Draining,
            (true, false) => MovePhase::Succeeded,
            (true, true) => MovePhase::RolledBack,
        }
    }

    fn report_move(&mut self, key: &MoveKey) {
        let task = HubTask::ReportMove(key.clone());
        self.effects.push(Effect::OnHub(task));
    }
}

/// Replicas that a cluster is meant to go on running.
fn staying(tracked: &Tracked, cluster: &str) -> u32 {
    let share = tracked.share(cluster);
    share.map_or(0, PlacementStatus::staying)
}

fn deadline_of(spec: &WorkloadMoveSpec) -> Duration {
    Duration::from_secs(spec.progress_deadline_seconds.into())
}

#[cfg(test)]
mod tests;
