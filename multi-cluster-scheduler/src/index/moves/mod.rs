//! Moves that were asked for: which may begin, how far each is, and how it ended.
//!
//! A move begins with a decision that changes the shares, and is on record with that assignment
//! (`status.decision.move`) before a member is touched. From then on the assignment has it: what
//! leaves stays until its replacements are available, as with any other change. So here is only
//! followed how far that is; a move that takes too long, or is deleted, is undone by a decision that
//! changes the shares back. Its object says how it ended before the record goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use federation::api::{
    CONDITION_SUCCEEDED, MovePhase, MoveRecord, MovedKind, MovedWorkload, RetainedField,
    STRATEGY_RETURN_HOME, WorkloadMove, WorkloadMoveSpec, WorkloadMoveStatus,
};
use federation::members::Observed;
use federation::operator::conditions::{Conditions, whole_seconds};
use federation::operator::queue::Priority;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use placement::{ClusterName, MoveRefusal, OwnerKey, Placement, Snapshot};
use tokio::time::Instant;

use super::{Effect, Index, Tracked};
use crate::decide::is_over;
use crate::plan::Moving;
use crate::validate::validate;
use crate::workload::{Key, Kind, Workload};

/// How long a move waits for its workload to appear: both may have been applied at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of a workload's name, so much is in the name of a move of our own.
const LONGEST_NAME: usize = 220;
/// How long the replicas of the scheduler's own moves may take to become available, in seconds.
const OWN_DEADLINE: u32 = 600;
/// How long, in seconds, the scheduler's own moves stay to be seen. While one that failed is there, no other is
/// made of the same workload.
const OWN_TTL: u32 = 600;

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

/// What is to be done on the hub about moves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MoveTask {
    /// Write the status of one, or delete one that ended long enough ago.
    Report(MoveKey),
    /// Create the one that was proposed to bring displaced replicas of this workload back.
    ReturnHome(Key),
}

/// What a move's object needs.
pub enum MoveReport {
    /// This status.
    Write(Arc<WorkloadMove>, Box<WorkloadMoveStatus>),
    /// To be deleted.
    Delete(Arc<WorkloadMove>),
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

/// How a move ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    phase: MovePhase,
    reason: &'static str,
    message: String,
}

impl End {
    fn refused(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            phase: MovePhase::Refused,
            reason,
            message: message.into(),
        }
    }
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

    fn is_own(&self) -> bool {
        self.spec().strategy.as_deref() == Some(STRATEGY_RETURN_HOME)
    }
}

fn workload_of(object: &WorkloadMove) -> Key {
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
        let workload = workload_of(&known.object);
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

    /// Nothing of the workload returns by itself: somebody else moved it, or the last return failed.
    pub(super) fn hold_back(&self, workload: &Key) -> bool {
        self.of(workload).any(|known| {
            let phase = known.object.status.as_ref().map(|status| status.phase);
            match phase {
                Some(MovePhase::Succeeded) => !known.is_own(),
                Some(MovePhase::Refused | MovePhase::RolledBack) => known.is_own(),
                // It comes first.
                _ => true,
            }
        })
    }
}

impl Index {
    pub(super) fn move_applied(&mut self, object: WorkloadMove, now: Instant) {
        let key = MoveKey::of(&object);
        let workload = workload_of(&object);
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
        let workload = workload_of(&known.object);
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
        self.effects.push(Effect::Move(MoveTask::Report(name)));
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
        let workload = workload_of(&known.object);
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
        // What was decided is brought to the members first.
        if self.is_settling(tracked) {
            return Ok(None);
        }
        if let Some(cluster) = self.rolling_out(tracked) {
            return Err(End::refused(
                "RolloutUnderWay",
                format!("a rollout of the workload is under way on {cluster}"),
            ));
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
        let (from, to) = if record.undone {
            (&record.to, &record.from)
        } else {
            (&record.from, &record.to)
        };
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

    /// What the object of a move needs now; it is `now`.
    pub fn move_report(&self, key: &MoveKey, now: Timestamp) -> Option<MoveReport> {
        let known = self.moves.objects.get(key)?;
        if known.has_ended() {
            return (known.is_expired).then(|| MoveReport::Delete(known.object.clone()));
        }
        let before = known.object.status.clone().unwrap_or_default();
        let (phase, reason, message) = match (&known.end, &known.begun) {
            (Some(end), _) => (end.phase, end.reason, end.message.clone()),
            (None, Some((_, record, phase))) => (*phase, name_of(*phase), text_of(record, *phase)),
            (None, None) => (
                MovePhase::Pending,
                name_of(MovePhase::Pending),
                "waits for the workload to be placed".to_owned(),
            ),
        };
        let replicas = known.begun.as_ref().map(|(_, record, _)| record.replicas);
        let mut conditions = Conditions::after(&before.conditions);
        conditions.set(
            CONDITION_SUCCEEDED,
            phase == MovePhase::Succeeded,
            reason,
            message,
            known.object.metadata.generation,
            now,
        );
        let now = Time(whole_seconds(now));
        let status = WorkloadMoveStatus {
            phase,
            replicas: replicas.or(before.replicas),
            start_time: before
                .start_time
                .clone()
                .or_else(|| known.has_begun().then(|| now.clone())),
            completion_time: phase.has_ended().then_some(now),
            conditions: conditions.into_vec(),
        };
        let is_same = known.object.status.as_ref() == Some(&status);
        (!is_same).then(|| MoveReport::Write(known.object.clone(), Box::new(status)))
    }

    /// The workload of a move, while both are known.
    pub fn workload_of_move(&self, key: &MoveKey) -> Option<&Workload> {
        let known = self.moves.objects.get(key)?;
        let tracked = self.workloads.get(&workload_of(&known.object))?;
        Some(tracked.workload())
    }

    /// Asks for moves that bring displaced replicas of these workloads back. The first come first: each
    /// leaves the next ones only the room that it would not take.
    pub(super) fn propose_returns(&mut self, due: impl Iterator<Item = Key>) {
        let mut fork = self.snapshot.fork();
        for key in due {
            if let Some(object) = self.return_of(&mut fork, &key) {
                self.moves.proposed.insert(key.clone(), object);
                let task = MoveTask::ReturnHome(key);
                self.effects.push(Effect::Move(task));
            }
        }
    }

    /// The move that is to bring displaced replicas of a workload back; none if nothing of it may return
    /// any more.
    pub fn proposed_return(&self, key: &Key) -> Option<WorkloadMove> {
        let proposed = self.moves.proposed.get(key);
        proposed.filter(|_| self.may_return(key)).cloned()
    }

    /// The move that would bring displaced replicas of a workload back, from one cluster to another; what
    /// it takes in the fork is held there.
    fn return_of(&self, fork: &mut Snapshot, key: &Key) -> Option<WorkloadMove> {
        let tracked = self.workloads.get(key)?;
        let workload = tracked.workload();
        let shape = validate(workload).ok()?.shape;
        let plan = self.trial_in(fork, key, true)?;
        let before = tracked.assignment().placements.iter();
        let mut change: BTreeMap<ClusterName, i64> = before
            .map(|one| {
                let staying = i64::from(one.replicas - one.leaving);
                (ClusterName::from(one.cluster.as_str()), -staying)
            })
            .collect();
        for one in &plan.placements {
            *change.entry(one.cluster.clone()).or_default() += i64::from(one.replicas);
        }
        let is_home = |one: &&Placement| one.location && change[&one.cluster] > 0;
        let home = plan.placements.iter().find(is_home)?;
        let (from, less) = change.iter().find(|(_, replicas)| **replicas < 0)?;
        let replicas = change[&home.cluster].min(-less);
        let owner = OwnerKey(workload.owner_bits());
        for one in &plan.placements {
            fork.reserve(&one.cluster, owner, &shape, one.replicas);
        }
        let resource = key.kind.resource();
        let sequence = tracked.assignment().decision.sequence;
        let name = &key.name[..key.name.floor_char_boundary(LONGEST_NAME)];
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
                progress_deadline_seconds: OWN_DEADLINE,
                ttl_seconds_after_finished: Some(OWN_TTL),
            },
        );
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

    /// Displaced replicas of a workload may return.
    pub(super) fn may_return(&self, key: &Key) -> bool {
        let Some(tracked) = self.workloads.get(key) else {
            return false;
        };
        let assignment = tracked.assignment();
        assignment.decision.moving.is_none()
            && !self.is_settling(tracked)
            && tracked.workload().deleted_at.is_none()
            && self.rolling_out(tracked).is_none()
            && !self.moves.hold_back(key)
    }

    fn report_move(&mut self, key: &MoveKey) {
        let task = MoveTask::Report(key.clone());
        self.effects.push(Effect::Move(task));
    }
}

/// Replicas that a cluster is meant to go on running.
fn staying(tracked: &Tracked, cluster: &str) -> u32 {
    let share = tracked.share(cluster);
    share.map_or(0, |one| one.replicas - one.leaving)
}

fn deadline_of(spec: &WorkloadMoveSpec) -> Duration {
    Duration::from_secs(spec.progress_deadline_seconds.into())
}

fn end_of(record: &MoveRecord, is_deleted: bool) -> End {
    let MoveRecord {
        from, to, replicas, ..
    } = record;
    let (phase, reason, message) = match (record.undone, is_deleted) {
        (false, _) => (
            MovePhase::Succeeded,
            "Moved",
            format!("{replicas} replicas run on {to} in place of {from}"),
        ),
        (true, false) => (
            MovePhase::RolledBack,
            "DeadlineExceeded",
            format!("not available on {to} in time: the {replicas} replicas stayed on {from}"),
        ),
        (true, true) => (
            MovePhase::RolledBack,
            "Deleted",
            format!("undone: the {replicas} replicas stayed on {from}"),
        ),
    };
    End {
        phase,
        reason,
        message,
    }
}

fn name_of(phase: MovePhase) -> &'static str {
    match phase {
        MovePhase::Pending => "Pending",
        MovePhase::Reserved => "Reserved",
        MovePhase::Starting => "Starting",
        MovePhase::Ready => "Ready",
        MovePhase::Draining => "Draining",
        MovePhase::Succeeded => "Succeeded",
        MovePhase::Refused => "Refused",
        MovePhase::RolledBack => "RolledBack",
    }
}

fn text_of(record: &MoveRecord, phase: MovePhase) -> String {
    let MoveRecord {
        from, to, replicas, ..
    } = record;
    if record.undone {
        return format!("undone: the {replicas} replicas stay on {from} and leave {to}");
    }
    match phase {
        MovePhase::Reserved => format!("room for {replicas} replicas is held on {to}"),
        MovePhase::Starting => format!("{replicas} replicas start on {to}"),
        MovePhase::Ready => format!("{replicas} replicas are available on {to}"),
        _ => format!("{replicas} replicas are ending on {from}"),
    }
}

/// A refusal as the reason of a condition.
fn reason_of(refusal: &MoveRefusal) -> &'static str {
    match refusal {
        MoveRefusal::SameCluster => "SameCluster",
        MoveRefusal::NotResizable => "NotResizable",
        MoveRefusal::MoreThanThere { .. } => "MoreThanThere",
        MoveRefusal::Filtered(_) => "NotEligible",
        MoveRefusal::NoRoom { .. } => "NoRoom",
        MoveRefusal::OverflowNotAllowed => "OverflowNotAllowed",
    }
}

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
