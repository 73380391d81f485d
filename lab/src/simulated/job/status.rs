//! A Job's status and conditions.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus, UncountedTerminatedPods};
use serde_json::{Value, json};

use super::plan::{End, Seen};
use crate::simulated::context::whole;

/// Whether a Job is over for good.
pub(super) fn is_finished(status: Option<&JobStatus>) -> bool {
    holds(status, "Complete") || holds(status, "Failed")
}

fn holds(status: Option<&JobStatus>, kind: &str) -> bool {
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    conditions.any(|one| one.type_ == kind && one.status == "True")
}

/// The end that a Job has come to, while the last of its pods go.
pub(super) fn decided_end(status: Option<&JobStatus>) -> Option<End> {
    if holds(status, "SuccessCriteriaMet") {
        return Some(End::Complete);
    }
    let conditions = status?.conditions.as_deref()?;
    let target = conditions.iter().find(|one| one.type_ == "FailureTarget")?;
    Some(match target.reason.as_deref() {
        Some("DeadlineExceeded") => End::DeadlineExceeded,
        _ => End::BackoffLimitExceeded,
    })
}

/// The status that a Job should have.
pub(super) fn next_status(
    known: Option<&JobStatus>,
    seen: &Seen,
    ready: i32,
    end: Option<End>,
    suspended: bool,
    now: Timestamp,
) -> JobStatus {
    let known = known.cloned().unwrap_or_default();
    let mut conditions = known.conditions.unwrap_or_default();
    note_suspension(&mut conditions, suspended && end.is_none(), now);
    let mut completed = known.completion_time;
    if let Some(end) = end {
        let (decided, last) = match end {
            End::Complete => ("SuccessCriteriaMet", "Complete"),
            _ => ("FailureTarget", "Failed"),
        };
        note_end(&mut conditions, decided, end, now);
        if seen.active == 0 && seen.terminating == 0 {
            note_end(&mut conditions, last, end, now);
            if end == End::Complete {
                completed = Some(whole(now));
            }
        }
    }
    let some = |count: i32| (count > 0).then_some(count);
    JobStatus {
        active: some(seen.active),
        ready: Some(ready),
        terminating: Some(seen.terminating),
        succeeded: some(seen.succeeded),
        failed: some(seen.failed),
        start_time: seen.started.map(whole),
        completion_time: completed,
        uncounted_terminated_pods: Some(UncountedTerminatedPods::default()),
        conditions: (!conditions.is_empty()).then_some(conditions),
        ..JobStatus::default()
    }
}

fn note_end(conditions: &mut Vec<JobCondition>, kind: &str, end: End, now: Timestamp) {
    if conditions.iter().any(|one| one.type_ == kind) {
        return;
    }
    let (reason, message) = end.words();
    conditions.push(condition(kind, "True", reason, message, now));
}

fn note_suspension(conditions: &mut Vec<JobCondition>, suspended: bool, now: Timestamp) {
    let known = conditions.iter().position(|one| one.type_ == "Suspended");
    let (status, reason, message) = if suspended {
        ("True", "JobSuspended", "Job suspended")
    } else {
        ("False", "JobResumed", "Job resumed")
    };
    match known.and_then(|index| conditions.get_mut(index)) {
        Some(known) if known.status == status => {}
        Some(known) => *known = condition("Suspended", status, reason, message, now),
        None if suspended => conditions.push(condition("Suspended", status, reason, message, now)),
        None => {}
    }
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> JobCondition {
    JobCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(whole(now)),
        last_transition_time: Some(whole(now)),
    }
}

/// The status as a merge patch: what it lacks is taken away.
pub(super) fn as_patch(status: &JobStatus) -> Value {
    json!({
        "active": status.active,
        "ready": status.ready,
        "terminating": status.terminating,
        "succeeded": status.succeeded,
        "failed": status.failed,
        "startTime": status.start_time,
        "completionTime": status.completion_time,
        "uncountedTerminatedPods": status.uncounted_terminated_pods,
        "conditions": status.conditions,
    })
}
