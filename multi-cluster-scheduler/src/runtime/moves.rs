//! Writes about moves: their statuses, the scheduler's own moves, and the end of those that are over.

use std::sync::Arc;

use federation::api::{MovePhase, WorkloadMove, WorkloadMoveStatus};
use federation::operator::status::WriteError;
use kube::ResourceExt as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Scheduler;
use crate::index::{MoveKey, MoveReport, MoveTask};
use crate::workload::Key;

/// Tasks at the same time.
const PARALLEL: usize = 4;

impl Scheduler {
    /// Carries out what is to be done about moves until cancelled.
    pub(super) async fn carry_out_move_tasks(self: &Arc<Self>, cancel: &CancellationToken) {
        let slots = Arc::new(Semaphore::new(PARALLEL));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let Some(Some(job)) = cancel.run_until_cancelled(self.move_tasks.next()).await else {
                return;
            };
            let this = self.clone();
            tokio::spawn(async move {
                let result = match job.key() {
                    MoveTask::Report(key) => this.report_move(key).await,
                    MoveTask::ReturnHome(key) => this.create_return(key).await,
                };
                match result {
                    // Its next event is under way, and with it comes the next report.
                    Ok(()) | Err(WriteError::Gone | WriteError::Stale) => job.succeed(),
                    Err(error) => {
                        let task = format!("{:?}", job.key());
                        warn!(task, %error, "about a move: will be retried");
                        job.fail();
                    }
                }
                drop(slot);
            });
        }
    }

    /// Writes the status of a move, or deletes one that ended long enough ago.
    async fn report_move(&self, key: &MoveKey) -> Result<(), WriteError> {
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
    async fn create_return(&self, key: &Key) -> Result<(), WriteError> {
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
