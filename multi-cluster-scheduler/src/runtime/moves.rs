//! Writes about moves: their statuses, the scheduler's own moves, and the end of those that are over.

use std::time::Duration;

use federation::api::{MovePhase, WorkloadMove, WorkloadMoveStatus};
use federation::operator::status::WriteError;
use kube::ResourceExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Scheduler;
use crate::index::{Event, MoveKey, MoveReport};
use crate::workload::Key;

/// How often it is looked whether displaced replicas may return.
const RETURNS: Duration = Duration::from_secs(1);
/// So many objects are decided as of one moment; then others may run.
const SLICE: usize = 64;

impl Scheduler {
    /// Has displaced replicas brought back where there has been room for long enough, until cancelled.
    /// What is decided for that is decided outside of the index.
    pub(super) async fn return_displaced(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            cancel
                .run_until_cancelled(tokio::time::sleep(RETURNS))
                .await;
            let due = self.index().returns_due();
            for slice in due.chunks(SLICE) {
                let trials = self.index().trials(slice);
                let tried = trials.would_return();
                self.index().returns_tried(tried, Instant::now());
                tokio::task::yield_now().await;
            }
            let trials = {
                let mut index = self.index();
                let ready = index.returns_ready(Instant::now());
                index.trials(&ready)
            };
            self.handle(Event::ReturnsPlanned(trials.returns()));
        }
    }

    /// Writes the status of a move, or deletes one that ended long enough ago.
    pub(super) async fn report_move(&self, key: &MoveKey) -> Result<(), WriteError> {
        let report = self.index().move_report(key, self.seconds());
        match report {
            None => Ok(()),
            Some(MoveReport::Delete(object)) => self.hub.delete_move(&object).await,
            Some(MoveReport::Write(object, status)) => {
                self.hub.write_move_status(&object, &status).await?;
                self.announce_move(&object, &status);
                Ok(())
            }
        }
    }

    /// Asks for the displaced replicas of a workload to be moved back.
    pub(super) async fn create_return(&self, key: &Key) -> Result<(), WriteError> {
        let object = self.index().proposed_return(key);
        match object {
            Some(object) => self.hub.create_move(&object).await,
            None => Ok(()),
        }
    }

    /// Says on the move and on its workload that it began, and how it ended.
    fn announce_move(&self, object: &WorkloadMove, status: &WorkloadMoveStatus) {
        let before = object.status.as_ref().map(|before| before.phase);
        let (warning, reason) = match status.phase {
            MovePhase::Starting if before != Some(MovePhase::Starting) => (false, "MoveStarted"),
            MovePhase::Succeeded => (false, "MoveSucceeded"),
            MovePhase::Refused => (true, "MoveRefused"),
            MovePhase::RolledBack => (true, "MoveRolledBack"),
            _ => return,
        };
        let condition = status.conditions.first();
        let message = condition.map_or("", |condition| condition.message.as_str());
        let key = MoveKey::of(object);
        info!(%key, reason, "{message}");
        self.recorder.moved(object, warning, reason, message);
        let index = self.index();
        if let Some(workload) = index.workload_of_move(&key) {
            let message = format!("{}: {message}", object.name_any());
            self.recorder.record(workload, warning, reason, &message);
        }
    }
}
