//! What the object of a move says: how far it is, how it ended, and why.

use std::sync::Arc;

use federation::api::{
    CONDITION_SUCCEEDED, MovePhase, MoveRecord, WorkloadMove, WorkloadMoveStatus,
};
use federation::operator::conditions::{Conditions, whole_seconds};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use placement::MoveRefusal;

use super::{MoveKey, moved_workload};
use crate::index::Index;
use crate::workload::Workload;

/// What a move's object needs.
pub enum MoveReport {
    /// This status.
    Write(Arc<WorkloadMove>, Box<WorkloadMoveStatus>),
    /// To be deleted.
    Delete(Arc<WorkloadMove>),
}

/// How a move ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) phase: MovePhase,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl End {
    pub(super) fn refused(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            phase: MovePhase::Refused,
            reason,
            message: message.into(),
        }
    }
}

impl Index {
    /// What the object of a move needs now; it is `now`.
    pub fn move_report(&self, key: &MoveKey, now: Timestamp) -> Option<MoveReport> {
        let known = self.moves.objects.get(key)?;
        if known.has_ended() {
            return (known.is_expired).then(|| MoveReport::Delete(known.object.clone()));
        }
        let before = known.object.status.clone().unwrap_or_default();
        let (phase, reason, message) = match (&known.end, &known.begun) {
            (Some(end), _) => (end.phase, end.reason, end.message.clone()),
            (None, Some((_, record, phase))) => (*phase, phase.name(), text_of(record, *phase)),
            (None, None) => (
                MovePhase::Pending,
                MovePhase::Pending.name(),
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
        let tracked = self.workloads.get(&moved_workload(&known.object))?;
        Some(tracked.workload())
    }
}

/// How the move of a record has ended, whose object was deleted or not.
pub(super) fn end_of(record: &MoveRecord, is_deleted: bool) -> End {
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
pub(super) fn reason_of(refusal: &MoveRefusal) -> &'static str {
    match refusal {
        MoveRefusal::SameCluster => "SameCluster",
        MoveRefusal::NotResizable => "NotResizable",
        MoveRefusal::MoreThanThere { .. } => "MoreThanThere",
        MoveRefusal::Filtered(_) => "NotEligible",
        MoveRefusal::NoRoom { .. } => "NoRoom",
        MoveRefusal::OverflowNotAllowed => "OverflowNotAllowed",
    }
}
