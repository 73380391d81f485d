//! From what is known of an object to the status that people read.

use federation::api::{PlacementStatus, WorkloadStatus};
use federation::members::Observed;
use federation::operator::conditions::Conditions;
use placement::ClusterName;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::conditions;
use crate::hub::HubError;
use crate::scheduler::Scheduler;
use crate::seen;
use crate::state::{State, Tracked};
use crate::unschedulable::Limit;
use crate::validate::selector_text;
use crate::workload::{Key, Kind, Workload, version_of};

impl Scheduler {
    /// Writes the object's status if it has changed.
    pub(crate) async fn report(&self, key: &Key) -> Result<(), HubError> {
        let (workload, seen, status, before, replaced) = {
            let state = self.state();
            let Some(tracked) = state.workloads.get(key) else {
                return Ok(());
            };
            if let Some(refused) = &tracked.refused
                && tracked.assignment.decision.sequence != tracked.recorded
            {
                // No status is written before the assignment's.
                self.announce_rejection(&tracked.workload, refused);
                return Ok(());
            }
            if tracked.assignment.decision.sequence != tracked.recorded {
                // An assignment is written by the reconcile.
                return Ok(());
            }
            // What has ended stays as it ended.
            let ended = tracked.has_ended() && tracked.workload.deleted_at.is_none();
            let status = if ended {
                tracked.reported.clone()
            } else {
                self.status_of(&state, tracked)
            };
            (
                tracked.workload.clone(),
                tracked.reported_sequence(),
                status,
                tracked.reported.clone(),
                tracked.guard.must_write(Instant::now()),
            )
        };
        if status == before && !replaced {
            return Ok(());
        }
        match self.write_status(&workload, seen, &status).await {
            Ok(version) => {
                self.announce(&workload, &before, &status);
                if let Some(tracked) = self.state().workloads.get_mut(key)
                    && tracked.reported == before
                {
                    tracked.reported = status;
                    tracked.guard.wrote(version_of(&version));
                }
                Ok(())
            }
            Err(HubError::Gone(_)) => Ok(()),
            Err(error) => {
                if error.is_stale() {
                    self.refresh(key).await;
                }
                if let Some(refused) = error.rejection() {
                    self.metrics.failed("rejected");
                    self.announce_rejection(&workload, refused);
                }
                debug!(%key, %error, "status not written");
                Err(error)
            }
        }
    }

    /// An Event stands for the condition that the hub does not take.
    fn announce_rejection(&self, workload: &Workload, refused: &str) {
        let message = conditions::refused(refused);
        warn!(key = %workload.key, reason = "Rejected", "{message}");
        self.recorder.record(workload, true, "Rejected", &message);
    }

    /// The status of an object now.
    pub(crate) fn status_of(&self, state: &State, tracked: &Tracked) -> WorkloadStatus {
        let workload = &tracked.workload;
        let assignment = &tracked.assignment;
        let mut status = WorkloadStatus {
            observed_generation: Some(workload.generation),
            policy: assignment.policy.clone(),
            placements: placements(state, tracked),
            replicas: assignment.placed(),
            unplaced_replicas: assignment.unplaced,
            selector: selector_text(workload),
            decision: Some(assignment.decision.clone()),
            ..WorkloadStatus::default()
        };
        let running = status
            .placements
            .iter()
            .filter(|one| workload.key.kind == Kind::Service || one.replicas > 0);
        status.clusters = Some(
            running
                .map(|one| one.cluster.as_str())
                .collect::<Vec<_>>()
                .join(","),
        )
        .filter(|text| !text.is_empty());
        status.ready_replicas = status.placements.iter().map(|one| one.ready).sum();
        let mut verdicts = vec![
            conditions::placed(state, tracked),
            conditions::progressing(state, tracked, &status),
            conditions::conflict(state, tracked),
        ];
        match workload.key.kind {
            Kind::Deployment => verdicts.push(conditions::available(state, tracked, &status)),
            Kind::Job => verdicts.extend(conditions::finished(state, tracked, &mut status)),
            Kind::Service => {}
        }
        let mut current = Conditions::after(&tracked.reported.conditions);
        for one in verdicts {
            let generation = Some(workload.generation);
            let now = self.clock.now();
            current.set(
                one.kind,
                one.status,
                one.reason,
                one.message,
                generation,
                now,
            );
        }
        status.conditions = current.into_vec();
        status
    }

    /// One Event for each condition that changed its status or reason.
    pub(crate) fn announce(
        &self,
        workload: &Workload,
        before: &WorkloadStatus,
        now: &WorkloadStatus,
    ) {
        for condition in &now.conditions {
            let old = before
                .conditions
                .iter()
                .find(|one| one.type_ == condition.type_);
            let same = old.is_some_and(|old| {
                old.status == condition.status && old.reason == condition.reason
            });
            // What goes without saying, or what the status says well enough.
            let quiet = matches!(condition.reason.as_str(), "NoConflict") && old.is_none()
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

/// The assignment with what is seen of it on the members.
fn placements(state: &State, tracked: &Tracked) -> Vec<PlacementStatus> {
    let (owner, kind) = (
        tracked.workload.owner_bits(),
        tracked.workload.key.kind.on_members(),
    );
    tracked
        .assignment
        .placements
        .iter()
        .map(|one| {
            let name = ClusterName::from(one.cluster.as_str());
            let registered = state.member(&one.cluster);
            let observed = registered
                .and_then(|r| r.member.as_ref())
                .and_then(|member| member.observed(owner, kind));
            let (ready, available) = match observed {
                Some(Observed::Replicas(replicas)) => (replicas.ready, replicas.available),
                Some(Observed::Job(job)) => (job.ready, job.ready),
                _ => (0, 0),
            };
            let problem = match registered {
                None => Some("is not a member".to_owned()),
                Some(registered) if !registered.is_open() => {
                    Some(registered.problem.as_ref().map_or_else(
                        || "does not answer yet".to_owned(),
                        |problem| problem.message.clone(),
                    ))
                }
                Some(_) => problem(state, tracked, &name),
            };
            PlacementStatus {
                ready,
                available,
                problem,
                ..one.clone()
            }
        })
        .collect()
}

/// What keeps a member that answers from doing what it should: the gravest that is known.
fn problem(state: &State, tracked: &Tracked, cluster: &ClusterName) -> Option<String> {
    let failure = tracked.failures.get(cluster);
    let failure = failure.map(|failure| failure.message.clone());
    if tracked.workload.deleted_at.is_some() {
        // How its pods do does not matter any more.
        return failure;
    }
    failure
        .or_else(|| seen::contest(state, tracked, cluster))
        .or_else(|| {
            let diagnosis = seen::diagnosis(state, tracked, cluster)?;
            Some(format!(
                "{}: {}",
                diagnosis.kind.reason(),
                diagnosis.message
            ))
        })
        .or_else(|| tracked.limits.get(cluster).map(Limit::problem))
}
