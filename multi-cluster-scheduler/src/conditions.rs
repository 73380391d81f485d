//! The conditions of an object, each from what is known of it. Pure.

use federation::api::{
    CONDITION_AVAILABLE, CONDITION_CONFLICT, CONDITION_PLACED, CONDITION_PROGRESSING,
    PlacementStatus, WorkloadStatus,
};
use federation::capacity::upcoming;
use federation::members::{Diagnosis, DiagnosisKind, FailureKind, Observed, ObservedJob};
use k8s_openapi::jiff::Timestamp;
use placement::ClusterName;

use crate::decide::{Obstacle, is_over};
use crate::index::{Index, MemberRecord, Tracked};
use crate::seen::{contest, diagnoses, diagnosis, observed, wanted};
use crate::workload::{Kind, Workload};

/// What a condition says.
pub(crate) struct Verdict {
    pub(crate) kind: &'static str,
    pub(crate) status: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

pub(crate) fn placed(index: &Index, tracked: &Tracked, now: Timestamp) -> Verdict {
    let assignment = tracked.assignment();
    let verdict = |status, reason, message| Verdict {
        kind: CONDITION_PLACED,
        status,
        reason,
        message,
    };
    if let Some(problem) = tracked.invalid() {
        let reason =
            if tracked.workload().key.kind == Kind::Service && tracked.workload().spec.is_ok() {
                "DeploymentNotFound"
            } else {
                "InvalidSpec"
            };
        return verdict(false, reason, problem.to_owned());
    }
    let fallback = assignment
        .fallback
        .as_ref()
        .map(|fallback| format!(" ({fallback})"))
        .unwrap_or_default();
    if assignment.unplaced > 0 {
        if !index.members().all().any(|(_, one)| one.is_open()) {
            return verdict(
                false,
                "NoCluster",
                "no member cluster is ready: see kubectl get memberclusters".to_owned(),
            );
        }
        match &assignment.obstacle {
            Some(Obstacle::UnknownCluster(message)) => {
                return verdict(false, "UnknownCluster", message.clone());
            }
            Some(Obstacle::NoEligibleCluster(message)) => {
                return verdict(false, "NoEligibleCluster", message.clone());
            }
            None => {}
        }
        let wanted = assignment.placed() + assignment.unplaced;
        return verdict(
            false,
            "InsufficientCapacity",
            format!(
                "{} of {wanted} replicas fit nowhere; they are placed when there is room{fallback}{}",
                assignment.unplaced,
                announced(index, now)
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
        .filter(|name| index.members().member(name).is_none())
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
    if tracked.workload().key.kind == Kind::Service && assignment.placements.is_empty() {
        return verdict(
            false,
            "DeploymentNotPlaced",
            "the deployment of its name runs nowhere yet".to_owned(),
        );
    }
    verdict(true, "AllPlaced", "every replica has a cluster".to_owned())
}

/// The nodes that members announce, and that have not joined yet.
fn announced(index: &Index, now: Timestamp) -> String {
    let nodes = index.members().members().filter_map(|(name, one)| {
        let nodes = upcoming(one.object(), now).into_iter();
        let nodes: u32 = nodes.map(|(_, nodes)| nodes).sum();
        (nodes > 0).then(|| format!("{nodes} of {name}"))
    });
    let nodes: Vec<_> = nodes.collect();
    if nodes.is_empty() {
        return String::new();
    }
    format!(
        "; nodes that are announced and have not joined yet: {}",
        nodes.join(", ")
    )
}

/// Why the spec cannot be served: what runs is of an older one, if anything runs.
fn unserved(tracked: &Tracked) -> Option<String> {
    let problem = tracked.invalid()?;
    let is_service = tracked.workload().key.kind == Kind::Service;
    (!is_service).then(|| problem.to_owned())
}

/// What is said of a write that the hub refuses.
pub(crate) fn refused(words: &str) -> String {
    format!("the hub refuses what the scheduler writes to this object: {words}")
}

pub(crate) fn progressing(index: &Index, tracked: &Tracked, status: &WorkloadStatus) -> Verdict {
    let verdict = |status, reason, message| Verdict {
        kind: CONDITION_PROGRESSING,
        status,
        reason,
        message,
    };
    if let Some(words) = tracked.rejected() {
        return verdict(false, "Rejected", refused(words));
    }
    if tracked.workload().deleted_at.is_some() {
        return deleting(index, tracked, status);
    }
    if let Some(problem) = unserved(tracked) {
        return verdict(false, "InvalidSpec", problem);
    }
    let first = |wanted: &[FailureKind]| {
        tracked
            .failures()
            .iter()
            .find(|(_, failure)| wanted.contains(&failure.kind))
            .map(|(cluster, failure)| format!("{cluster}: {failure}"))
    };
    // What a person has to see to comes first.
    let kinds = (FailureKind::ALL.into_iter()).filter(|kind| *kind != FailureKind::Conflict);
    for kind in kinds {
        if let Some(message) = first(&[kind]) {
            return verdict(!kind.is_permanent(), kind.reason(), message);
        }
    }
    if !tracked.missing().is_empty() {
        let names: Vec<_> = tracked.missing().iter().map(ToString::to_string).collect();
        return verdict(
            true,
            "DependencyMissing",
            format!(
                "the template names what the hub does not have: {}",
                names.join(", ")
            ),
        );
    }
    let diagnoses = diagnoses(index, tracked);
    let said = |(cluster, one): &(&str, Diagnosis)| format!("{cluster}: {}", one.message);
    let is_late = |(_, one): &&(&str, Diagnosis)| one.kind == DiagnosisKind::DeadlineExceeded;
    if let Some(late) = diagnoses.iter().find(is_late) {
        return verdict(false, DiagnosisKind::DeadlineExceeded.reason(), said(late));
    }
    let worst = diagnoses.iter().min_by_key(|(_, one)| one.kind);
    let why = worst
        .map(|one| format!("; {}", said(one)))
        .unwrap_or_default();
    if tracked.assignment().is_moving() {
        return verdict(
            true,
            "Moving",
            format!("old replicas stay until the new ones are available{why}"),
        );
    }
    let settled = tracked.assignment().placements.iter().all(|one| {
        // A cluster whose share of a Job is no pods has no Job.
        if tracked.workload().key.kind == Kind::Job && one.replicas == 0 {
            return true;
        }
        // What is seen there may be the state of the spec before.
        if !is_over(one) && !tracked.is_delivered(&one.cluster) {
            return false;
        }
        match observed(index, tracked, &one.cluster) {
            Some(Observed::Replicas(replicas)) => {
                let wanted = wanted(tracked, one, Some(Observed::Replicas(replicas)));
                replicas.current && replicas.updated == wanted && replicas.available == wanted
            }
            Some(Observed::Job(job)) => has_done(tracked.workload(), one, &job) || job.given_up,
            Some(Observed::Present) => true,
            None => false,
        }
    });
    if let Some((_, one)) = worst
        && one.kind == DiagnosisKind::ReplicaFailure
        && !settled
    {
        return verdict(
            true,
            one.kind.reason(),
            why.trim_start_matches("; ").to_owned(),
        );
    }
    if settled {
        verdict(
            false,
            "Complete",
            "all clusters match the desired state".to_owned(),
        )
    } else {
        verdict(
            true,
            "RollingOut",
            format!(
                "{} of {} replicas are ready{why}",
                status.ready_replicas, status.replicas
            ),
        )
    }
}

/// What a deletion waits for. The grace period is for members that do not answer: one that answers
/// and refuses is waited for.
fn deleting(index: &Index, tracked: &Tracked, status: &WorkloadStatus) -> Verdict {
    let verdict = |reason, message| Verdict {
        kind: CONDITION_PROGRESSING,
        status: true,
        reason,
        message,
    };
    let with_problem = || (status.placements.iter()).filter(|one| one.problem.is_some());
    let answers = |one: &&PlacementStatus| {
        let name = ClusterName::from(one.cluster.as_str());
        let failure = tracked.failures().get(&name);
        let member = index.members().get(&name);
        member.is_some_and(MemberRecord::is_open)
            && failure.is_none_or(|failure| failure.kind != FailureKind::Unreachable)
    };
    let refusals: Vec<_> = (with_problem().filter(answers))
        .filter_map(|one| Some(format!("{}: {}", one.cluster, one.problem.as_ref()?)))
        .collect();
    let silent: Vec<_> = (with_problem().filter(|one| !answers(one)))
        .map(|one| one.cluster.as_str())
        .collect();
    if !refusals.is_empty() {
        return verdict(
            "WaitingForMember",
            format!(
                "the object stays until its copies can be removed: {}",
                refusals.join("; ")
            ),
        );
    }
    if !silent.is_empty() {
        return verdict(
            "WaitingForMember",
            format!(
                "{} does not answer; after the deletion grace period (--deletion-grace) the finalizer is removed, and what is left there is removed when it answers again",
                silent.join(", ")
            ),
        );
    }
    let message = if tracked.workload().is_orphaned() {
        "the copies stay on the members; their labels of mck8s are being removed"
    } else {
        "the copies on the members are being removed"
    };
    verdict("Deleting", message.to_owned())
}

pub(crate) fn conflict(index: &Index, tracked: &Tracked) -> Verdict {
    let verdict = |status, reason, message| Verdict {
        kind: CONDITION_CONFLICT,
        status,
        reason,
        message,
    };
    let foreign: Vec<_> = tracked
        .failures()
        .iter()
        .filter(|(_, failure)| failure.kind == FailureKind::Conflict)
        .map(|(cluster, failure)| format!("{cluster}: {failure}"))
        .collect();
    if !foreign.is_empty() {
        return verdict(true, "ForeignObject", foreign.join("; "));
    }
    let contested: Vec<_> = (index.members().all())
        .filter_map(|(cluster, _)| {
            Some(format!("{cluster}: {}", contest(index, tracked, cluster)?))
        })
        .collect();
    if !contested.is_empty() {
        return verdict(true, "Contested", contested.join("; "));
    }
    verdict(
        false,
        "NoConflict",
        "no name conflicts on members".to_owned(),
    )
}

pub(crate) fn available(index: &Index, tracked: &Tracked, status: &WorkloadStatus) -> Verdict {
    let (mut available, mut wanted) = (0, status.unplaced_replicas);
    for one in &status.placements {
        let observed = observed(index, tracked, &one.cluster);
        let share = crate::seen::wanted(tracked, one, observed);
        available += one.available.min(share);
        wanted += share.saturating_sub(one.leaving);
    }
    let verdict = |status, reason, message| Verdict {
        kind: CONDITION_AVAILABLE,
        status,
        reason,
        message,
    };
    if let Some(problem) = unserved(tracked) {
        return verdict(false, "InvalidSpec", problem);
    }
    let silent: Vec<_> = status
        .placements
        .iter()
        .filter(|one| {
            !index
                .members()
                .member(&one.cluster)
                .is_some_and(MemberRecord::is_open)
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

/// A Job has done what its cluster has of it. One that a member left with, and came back, may have
/// been made for less.
fn has_done(workload: &Workload, share: &PlacementStatus, job: &ObservedJob) -> bool {
    job.complete && job.succeeded >= workload.completions(share.replicas)
}

/// `Complete` when the Job of every cluster is; `Failed` when all have ended and one has failed.
pub(crate) fn finished(
    index: &Index,
    tracked: &Tracked,
    status: &mut WorkloadStatus,
) -> [Verdict; 2] {
    let (mut complete, mut succeeded, mut failed) = (0, 0, 0);
    let mut failed_on: Vec<String> = Vec::new();
    let running = || (tracked.assignment().placements.iter()).filter(|one| one.replicas > 0);
    for one in running() {
        if let Some(Observed::Job(job)) = observed(index, tracked, &one.cluster) {
            succeeded += job.succeeded;
            failed += job.failed;
            complete += usize::from(has_done(tracked.workload(), one, &job));
            if job.given_up {
                let why = diagnosis(index, tracked, &ClusterName::from(one.cluster.as_str()));
                let why = why.map(|one| format!(" ({})", one.message));
                failed_on.push(format!("{}{}", one.cluster, why.unwrap_or_default()));
            }
        }
    }
    (status.succeeded, status.failed) = (Some(succeeded), Some(failed));
    let clusters = running().count();
    // Fewer pods at a time than wanted do all the work of a queue, too.
    let all_begun = (tracked.assignment().placements.iter()).all(|one| one.replicas > 0);
    let placed = clusters > 0
        && (status.unplaced_replicas == 0 || all_begun && tracked.workload().is_work_queue());
    // As with a Job, no completions at all are complete at once.
    let nothing_to_do =
        tracked.assignment().decision.sequence > 0 && tracked.workload().has_no_completions();
    let all = nothing_to_do || placed && complete == clusters;
    let ended = placed && complete + failed_on.len() == clusters;
    let (failed_status, reason, message) = match (failed_on.is_empty(), ended) {
        (true, _) => (false, "NotFailed", format!("{failed} pods failed")),
        (false, ended) => (
            ended,
            if ended { "JobFailed" } else { "SomeFailed" },
            format!("failed for good on {}", failed_on.join(", ")),
        ),
    };
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
            status: failed_status,
            reason,
            message,
        },
    ]
}
