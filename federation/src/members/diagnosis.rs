//! What a member itself says is wrong with an object, from its status or from its pods.

use super::bundle::ManagedKind;
use super::text::plain;

/// What a member says is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What it is about.
    pub kind: DiagnosisKind,
    /// The member's words, bounded and on one line.
    pub message: String,
}

/// The reason of a Deployment that makes no progress.
const LATE: &str = "ProgressDeadlineExceeded";

impl Diagnosis {
    /// It says more than that a rollout is late.
    pub(super) fn names_a_cause(&self) -> bool {
        !self.message.starts_with(LATE)
    }
}

/// What a diagnosis is about, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiagnosisKind {
    /// The member's Deployment has given the rollout up for now.
    DeadlineExceeded,
    /// The member's Job has failed for good.
    JobFailed,
    /// Pods cannot be made.
    ReplicaFailure,
    /// Pods are there and do not run.
    PodsNotRunning,
}

impl DiagnosisKind {
    /// The reason of the condition that tells of it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => LATE,
            Self::JobFailed => "JobFailed",
            Self::ReplicaFailure => "ReplicaFailure",
            Self::PodsNotRunning => "PodsNotRunning",
        }
    }
}

/// A condition of an object on a member.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct StatusCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    reason: String,
    message: String,
}

/// What the conditions of an owner's main object say is wrong.
pub(super) fn of_conditions(
    kind: ManagedKind,
    conditions: &[StatusCondition],
) -> Option<Diagnosis> {
    let find = |wanted: &str, status: &str| {
        (conditions.iter()).find(|one| one.kind == wanted && one.status == status)
    };
    let said = |kind, one: &StatusCondition| Diagnosis {
        kind,
        message: plain(&format!("{}: {}", one.reason, one.message)),
    };
    match kind {
        ManagedKind::Deployment => {
            let late = find("Progressing", "False").filter(|one| one.reason == LATE);
            // Why it is late is worth more than that it is.
            match (late, find("ReplicaFailure", "True")) {
                (Some(_), Some(cause)) => Some(said(DiagnosisKind::DeadlineExceeded, cause)),
                (Some(late), None) => Some(said(DiagnosisKind::DeadlineExceeded, late)),
                (None, Some(cause)) => Some(said(DiagnosisKind::ReplicaFailure, cause)),
                (None, None) => None,
            }
        }
        ManagedKind::Job => find("Failed", "True").map(|one| said(DiagnosisKind::JobFailed, one)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> StatusCondition {
        StatusCondition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_cause_is_told_before_the_delay() {
        let late = condition(
            "Progressing",
            "False",
            "ProgressDeadlineExceeded",
            "ReplicaSet \"web-1\" has timed out progressing.",
        );
        let cause = condition(
            "ReplicaFailure",
            "True",
            "FailedCreate",
            "pods \"web-1-\" is forbidden: no PriorityClass with name gold was found",
        );
        let fine = condition("Progressing", "True", "NewReplicaSetAvailable", "");
        let of = |conditions: &[_]| {
            of_conditions(ManagedKind::Deployment, conditions).map(|one| (one.kind, one.message))
        };
        assert_eq!(of(std::slice::from_ref(&fine)), None);
        let (kind, message) = of(&[fine, cause.clone()]).unwrap();
        assert_eq!(kind, DiagnosisKind::ReplicaFailure);
        assert_eq!(
            message,
            "FailedCreate: pods \"web-1-\" is forbidden: no PriorityClass with name gold was found"
        );
        let (kind, message) = of(&[late.clone(), cause]).unwrap();
        assert_eq!(kind, DiagnosisKind::DeadlineExceeded);
        assert!(message.contains("PriorityClass"), "{message}");
        let alone = of_conditions(ManagedKind::Deployment, &[late]).unwrap();
        assert!(
            alone.message.contains("timed out progressing") && !alone.names_a_cause(),
            "{alone:?}"
        );
    }

    #[test]
    fn a_job_says_why_it_has_failed() {
        let failed = condition(
            "Failed",
            "True",
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        );
        let said = of_conditions(ManagedKind::Job, &[failed]).unwrap();
        assert_eq!(
            said.message,
            "BackoffLimitExceeded: Job has reached the specified backoff limit"
        );
    }
}
