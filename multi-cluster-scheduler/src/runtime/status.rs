//! The one writer of the status of objects that are served.

use federation::api::{CONDITION_PLACED, WorkloadStatus};
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;
use tracing::{debug, instrument, warn};

use super::{HubError, Scheduler};
use crate::conditions;
use crate::index::{Event, Index, Recordable, Tracked};
use crate::report;
use crate::workload::{Key, Workload, version_of};

/// What is to be done about an object's status.
enum Report {
    /// It is as it should be, or the reconcile writes it.
    Nothing,
    /// The hub rejects it: an Event says so.
    Rejected(Box<Recordable>, String),
    /// It is written.
    Write(Box<Recordable>),
}

impl Scheduler {
    /// Writes the object's status if it has changed.
    #[instrument(skip_all, fields(%key))]
    pub(super) async fn report(&self, key: &Key) -> Result<(), HubError> {
        let recordable = match self.to_report(key) {
            Report::Nothing => return Ok(()),
            Report::Rejected(recordable, message) => {
                self.announce_rejection(&recordable.workload, &message);
                return Ok(());
            }
            Report::Write(recordable) => *recordable,
        };
        let workload = recordable.workload.clone();
        let Err(error) = self.write_status(recordable).await else {
            return Ok(());
        };
        if matches!(error, HubError::Gone(_)) {
            return Ok(());
        }
        if error.is_stale() {
            self.refresh(key).await;
        }
        if let Some(message) = error.rejection() {
            self.metrics.failed("rejected");
            self.announce_rejection(&workload, message);
        }
        debug!(%key, %error, "status not written");
        Err(error)
    }

    fn to_report(&self, key: &Key) -> Report {
        let index = self.index();
        let Some(tracked) = index.workloads().get(key) else {
            return Report::Nothing;
        };
        // What has ended stays as it ended.
        let has_ended = tracked.has_ended() && tracked.workload().deleted_at.is_none();
        let status = if has_ended {
            tracked.reported().clone()
        } else {
            self.status_of(&index, tracked)
        };
        let recordable = Box::new(tracked.recordable(status));
        // No status is written before the assignment's, by the reconcile.
        if !tracked.is_recorded() {
            return match tracked.rejected() {
                Some(message) => Report::Rejected(recordable, message.to_owned()),
                None => Report::Nothing,
            };
        }
        if recordable.status == recordable.before && !tracked.must_rewrite(Instant::now()) {
            return Report::Nothing;
        }
        Report::Write(recordable)
    }

    /// Writes a status, if the object has not been written since it was seen here, and announces what
    /// has changed. The object's resource version afterwards.
    pub(super) async fn write_status(&self, recordable: Recordable) -> Result<String, HubError> {
        let (workload, status) = (&recordable.workload, &recordable.status);
        let version = self
            .hub
            .write_status(workload, &recordable.version, status)
            .await?;
        self.announce(workload, &recordable.before, status);
        let written = version_of(&version);
        self.handle(Event::StatusWritten(Box::new(recordable), written));
        Ok(version)
    }

    /// The status of an object now.
    pub(super) fn status_of(&self, index: &Index, tracked: &Tracked) -> WorkloadStatus {
        report::status_of(index, tracked, self.seconds())
    }

    /// The time in whole seconds, as statuses have it.
    pub(super) fn seconds(&self) -> Timestamp {
        Timestamp::from_second(self.clock.now().as_second()).unwrap_or_default()
    }

    /// An Event in place of the condition that the hub does not take.
    fn announce_rejection(&self, workload: &Workload, message: &str) {
        let message = conditions::refused(message);
        warn!(key = %workload.key, reason = "Rejected", "{message}");
        self.recorder.record(workload, true, "Rejected", &message);
    }

    /// One Event for each condition that changed its status or reason.
    fn announce(&self, workload: &Workload, before: &WorkloadStatus, now: &WorkloadStatus) {
        for condition in &now.conditions {
            let old = before
                .conditions
                .iter()
                .find(|one| one.type_ == condition.type_);
            let same = old.is_some_and(|old| {
                old.status == condition.status && old.reason == condition.reason
            });
            // What goes without saying, or what the status says well enough.
            let is_said = condition.reason == "InvalidSpec" && condition.type_ != CONDITION_PLACED;
            let quiet = is_said
                || matches!(condition.reason.as_str(), "NoConflict") && old.is_none()
                || matches!(
                    condition.reason.as_str(),
                    "RollingOut" | "Complete" | "SomeUnavailable" | "NotFailed" | "NotComplete"
                );
            if !same && !quiet {
                let warning = matches!(
                    condition.reason.as_str(),
                    "InvalidSpec"
                        | "NoEligibleCluster"
                        | "UnknownCluster"
                        | "InsufficientCapacity"
                        | "NoCluster"
                        | "Rejected"
                        | "TooLarge"
                        | "QuotaExceeded"
                        | "AdmissionDenied"
                        | "WebhookFailed"
                        | "Unauthorized"
                        | "Forbidden"
                        | "ReplicaFailure"
                        | "ProgressDeadlineExceeded"
                        | "Contested"
                        | "ForeignObject"
                        | "MemberUnreachable"
                        | "WaitingForMember"
                        | "DeploymentNotFound"
                        | "JobFailed"
                );
                if warning {
                    warn!(key = %workload.key, reason = condition.reason, "{}", condition.message);
                }
                self.recorder
                    .record(workload, warning, &condition.reason, &condition.message);
            }
        }
    }
}
