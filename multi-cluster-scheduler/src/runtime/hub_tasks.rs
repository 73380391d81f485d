//! Writes to the hub beside statuses: each is tried until it is done.

use std::sync::Arc;

use federation::operator::status::WriteError;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Scheduler;
use crate::index::HubTask;

/// Tasks at the same time.
const PARALLEL: usize = 4;

impl Scheduler {
    /// Writes until cancelled.
    pub(super) async fn carry_out_hub_tasks(self: &Arc<Self>, cancel: &CancellationToken) {
        let slots = Arc::new(Semaphore::new(PARALLEL));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let Some(Some(job)) = cancel.run_until_cancelled(self.hub_tasks.next()).await else {
                return;
            };
            let this = self.clone();
            tokio::spawn(async move {
                let result = match job.key() {
                    HubTask::ReportMove(key) => this.report_move(key).await,
                    HubTask::ReturnHome(key) => this.create_return(key).await,
                    HubTask::KeepLeftovers(member) => this.keep_leftovers_of(member).await,
                    HubTask::DeleteLeftover(name, uid) => this.hub.delete_leftover(name, uid).await,
                };
                match result {
                    // Its next event is under way, and with it comes the next report.
                    Ok(()) | Err(WriteError::Gone | WriteError::Stale) => job.succeed(),
                    Err(error) => {
                        let task = format!("{:?}", job.key());
                        warn!(task, %error, "not written to the hub: will be retried");
                        job.fail();
                    }
                }
                drop(slot);
            });
        }
    }
}
