//! From what is known of an object to the status that people read.

use federation::api::{
    CONDITION_AVAILABLE, CONDITION_CONFLICT, CONDITION_PLACED, CONDITION_PROGRESSING,
    PlacementStatus, WorkloadStatus,
};
use federation::members::{Failure, FailureKind, Observed};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use placement::ClusterName;
use tracing::{debug, warn};

use crate::hub::HubError;
use crate::scheduler::Scheduler;
use crate::state::{State, Tracked};
use crate::validate::selector_text;
use crate::workload::{Key, Kind, Workload};

/// One line of a condition.
struct Verdict {
    kind: &'static str,
    status: bool,
    reason: &'static str,
    message: String,
}

impl Scheduler {
    /// Writes the object's status if it has changed.
    pub(crate) async fn report(&self, key: &Key) -> Result<(), HubError> {
        let (workload, seen, status, before) = {
            let state = self.state();
            let Some(tracked) = state.workloads.get(key) else {
                return Ok(());
            };
            let ended = tracked.has_ended() && tracked.workload.deleted_at.is_none();
            if ended || tracked.assignment.decision.sequence != tracked.recorded {
                // What has ended stays as it ended; an assignment is written by the reconcile.
                return Ok(());
            }
            (
                tracked.workload.clone(),
                tracked.reported_sequence(),
                self.status_of(&state, tracked),
                tracked.reported.clone(),
            )
        };
        if status == before {
            return Ok(());
        }
        match self.write_status(&workload, seen, &status).await {
            Ok(()) => {
                self.announce(&workload, &before, &status);
                if let Some(tracked) = self.state().workloads.get_mut(key)
                    && tracked.reported_sequence() == seen
                {
                    tracked.reported = status;
                }
                Ok(())
            }
            Err(HubError::Gone(_)) => Ok(()),
            Err(error) => {
                if error.is_stale() {
                    self.refresh(key).await;
                }
                debug!(%key, %error, "status not written");
                Err(error)
            }
        }
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
            placed(state, tracked),
            progressing(state, tracked, &status),
            conflict(tracked),
        ];
        match workload.key.kind {
            Kind::Deployment => verdicts.push(available(state, &status)),
            Kind::Job => verdicts.extend(finished(state, tracked, &mut status)),
            Kind::Service => {}
        }
        status.conditions = verdicts
            .into_iter()
            .map(|verdict| self.condition(tracked, verdict))
            .collect();
        status.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
        status
    }

    /// A condition keeps its transition time while its status stays.
    fn condition(&self, tracked: &Tracked, verdict: Verdict) -> Condition {
        let status = if verdict.status { "True" } else { "False" };
        let before = tracked
            .reported
            .conditions
            .iter()
            .find(|one| one.type_ == verdict.kind && one.status == status);
        Condition {
            type_: verdict.kind.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_owned(),
            message: verdict.message,
            observed_generation: Some(tracked.workload.generation),
            last_transition_time: before.map_or_else(
                || {
                    Time(
                        k8s_openapi::jiff::Timestamp::from_second(self.clock.now().as_second())
                            .unwrap_or_default(),
                    )
                },
                |one| one.last_transition_time.clone(),
            ),
        }
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
            let registered = state.members.get(&name);
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
                Some(registered) if !registered.is_open() => Some(
                    registered
                        .problem
                        .clone()
                        .unwrap_or_else(|| "does not answer yet".to_owned()),
                ),
                Some(_) => tracked
                    .failures
                    .get(&name)
                    .map(|failure| failure.message.clone()),
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

fn placed(state: &State, tracked: &Tracked) -> Verdict {
    let assignment = &tracked.assignment;
    let verdict = |status, reason, message| Verdict {
        kind: CONDITION_PLACED,
        status,
        reason,
        message,
    };
    if let Some(problem) = &tracked.invalid {
        let reason = if tracked.workload.key.kind == Kind::Service && tracked.workload.spec.is_ok()
        {
            "DeploymentNotFound"
        } else {
            "InvalidSpec"
        };
        return verdict(false, reason, problem.clone());
    }
    let fallback = assignment
        .fallback
        .as_ref()
        .map(|fallback| format!(" ({fallback})"))
        .unwrap_or_default();
    if assignment.unplaced > 0 {
        if !state
            .members
            .values()
            .any(crate::state::Registered::is_open)
        {
            return verdict(
                false,
                "NoCluster",
                "no member cluster is ready: see kubectl get memberclusters".to_owned(),
            );
        }
        if let Some(obstacle) = &assignment.obstacle {
            return verdict(false, "NoEligibleCluster", obstacle.clone());
        }
        let wanted = assignment.placed() + assignment.unplaced;
        return verdict(
            false,
            "InsufficientCapacity",
            format!(
                "{} of {wanted} replicas fit nowhere; they are placed when there is room{fallback}",
                assignment.unplaced
            ),
        );
    }
    if assignment.fallback.is_some() {
        return verdict(
            true,
            "PlacedByFallback",
            format!("every replica has a cluster{fallback}"),
        );
    }
    let unknown: Vec<_> = (assignment.placements.iter())
        .map(|one| one.cluster.as_str())
        .filter(|name| !state.members.contains_key(*name))
        .collect();
    if !unknown.is_empty() {
        return verdict(
            false,
            "UnknownCluster",
            format!(
                "there is no member cluster {}: correct the name, or see kubectl get memberclusters",
                unknown.join(", ")
            ),
        );
    }
    if tracked.workload.key.kind == Kind::Service && assignment.placements.is_empty() {
        return verdict(
            false,
            "DeploymentNotPlaced",
            "the deployment of its name runs nowhere yet".to_owned(),
        );
    }
    verdict(true, "AllPlaced", "every replica has a cluster".to_owned())
}

fn progressing(state: &State, tracked: &Tracked, status: &WorkloadStatus) -> Verdict {
    let verdict = |status, reason, message| Verdict {
        kind: CONDITION_PROGRESSING,
        status,
        reason,
        message,
    };
    if tracked.workload.deleted_at.is_some() {
        let away: Vec<_> = status
            .placements
            .iter()
            .filter(|one| one.problem.is_some())
            .map(|one| one.cluster.as_str())
            .collect();
        if away.is_empty() {
            return verdict(
                true,
                "Deleting",
                "its copies on the members are being removed".to_owned(),
            );
        }
        return verdict(
            true,
            "WaitingForMember",
            format!(
                "{} cannot be cleaned now; after the grace the object goes, and what is left there is collected when the member is back",
                away.join(", ")
            ),
        );
    }
    let first = |wanted: &[FailureKind]| {
        tracked
            .failures
            .iter()
            .find(|(_, failure)| wanted.contains(&failure.kind))
            .map(|(cluster, failure)| format!("{cluster}: {failure}"))
    };
    if let Some(message) = first(&[FailureKind::Rejected]) {
        return verdict(false, "Rejected", message);
    }
    if let Some(message) = first(&[
        FailureKind::Unavailable,
        FailureKind::Unreachable,
        FailureKind::NotLeader,
    ]) {
        return verdict(true, "Retrying", message);
    }
    if let Some(fetched) = tracked
        .dependencies
        .as_ref()
        .filter(|fetched| !fetched.missing.is_empty())
    {
        let names: Vec<_> = fetched.missing.iter().map(ToString::to_string).collect();
        return verdict(
            true,
            "DependencyMissing",
            format!(
                "the template names what the hub does not have: {}",
                names.join(", ")
            ),
        );
    }
    if tracked.assignment.is_moving() {
        return verdict(
            true,
            "Moving",
            "old replicas stay until the new ones are available".to_owned(),
        );
    }
    let kind = tracked.workload.key.kind;
    let (owner, on_members) = (tracked.workload.owner_bits(), kind.on_members());
    let settled = tracked.assignment.placements.iter().all(|one| {
        let member = state
            .members
            .get(&ClusterName::from(one.cluster.as_str()))
            .and_then(|r| r.member.as_ref());
        match member.and_then(|member| member.observed(owner, on_members)) {
            Some(Observed::Replicas(replicas)) => {
                replicas.current
                    && replicas.updated == one.replicas
                    && replicas.available == one.replicas
            }
            Some(Observed::Job(job)) => job.complete || job.given_up,
            Some(Observed::Present) => true,
            None => false,
        }
    });
    if settled {
        verdict(
            false,
            "Complete",
            "every cluster runs what it shall".to_owned(),
        )
    } else {
        verdict(
            true,
            "RollingOut",
            format!(
                "{} of {} replicas are ready",
                status.ready_replicas, status.replicas
            ),
        )
    }
}

fn conflict(tracked: &Tracked) -> Verdict {
    let foreign: Vec<_> = tracked
        .failures
        .iter()
        .filter(|(_, failure)| failure.kind == FailureKind::Conflict)
        .map(|(cluster, failure): (_, &Failure)| format!("{cluster}: {failure}"))
        .collect();
    if foreign.is_empty() {
        Verdict {
            kind: CONDITION_CONFLICT,
            status: false,
            reason: "NoConflict",
            message: "no object of this name on a member is somebody else's".to_owned(),
        }
    } else {
        Verdict {
            kind: CONDITION_CONFLICT,
            status: true,
            reason: "ForeignObject",
            message: foreign.join("; "),
        }
    }
}

fn available(state: &State, status: &WorkloadStatus) -> Verdict {
    let available: u32 = status
        .placements
        .iter()
        .map(|one| one.available.min(one.replicas))
        .sum();
    let wanted = status.replicas + status.unplaced_replicas;
    let verdict = |status, reason, message| Verdict {
        kind: CONDITION_AVAILABLE,
        status,
        reason,
        message,
    };
    let silent: Vec<_> = status
        .placements
        .iter()
        .filter(|one| {
            !state
                .members
                .get(&ClusterName::from(one.cluster.as_str()))
                .is_some_and(crate::state::Registered::is_open)
        })
        .map(|one| one.cluster.as_str())
        .collect();
    if !silent.is_empty() {
        return verdict(
            false,
            "MemberUnreachable",
            format!(
                "{} does not answer; what it runs is not known",
                silent.join(", ")
            ),
        );
    }
    if available >= wanted {
        verdict(
            true,
            "AllAvailable",
            format!("{wanted} of {wanted} replicas are available"),
        )
    } else {
        verdict(
            false,
            "SomeUnavailable",
            format!("{available} of {wanted} replicas are available"),
        )
    }
}

/// `Complete` when the Job of every cluster is, `Failed` when one has failed for good.
fn finished(state: &State, tracked: &Tracked, status: &mut WorkloadStatus) -> [Verdict; 2] {
    let (owner, kind) = (
        tracked.workload.owner_bits(),
        tracked.workload.key.kind.on_members(),
    );
    let (mut complete, mut failed_on, mut succeeded, mut failed) = (0, Vec::new(), 0, 0);
    for one in &tracked.assignment.placements {
        let member = state
            .members
            .get(&ClusterName::from(one.cluster.as_str()))
            .and_then(|r| r.member.as_ref());
        if let Some(Observed::Job(job)) = member.and_then(|member| member.observed(owner, kind)) {
            succeeded += job.succeeded;
            failed += job.failed;
            complete += usize::from(job.complete);
            if job.given_up {
                failed_on.push(one.cluster.as_str());
            }
        }
    }
    (status.succeeded, status.failed) = (Some(succeeded), Some(failed));
    let clusters = tracked.assignment.placements.len();
    let all = clusters > 0 && complete == clusters && status.unplaced_replicas == 0;
    [
        Verdict {
            kind: "Complete",
            status: all,
            reason: if all { "JobComplete" } else { "NotComplete" },
            message: format!(
                "complete on {complete} of {clusters} clusters, {succeeded} pods succeeded"
            ),
        },
        Verdict {
            kind: "Failed",
            status: !failed_on.is_empty(),
            reason: if failed_on.is_empty() {
                "NotFailed"
            } else {
                "JobFailed"
            },
            message: if failed_on.is_empty() {
                format!("{failed} pods failed")
            } else {
                format!("failed for good on {}", failed_on.join(", "))
            },
        },
    ]
}
