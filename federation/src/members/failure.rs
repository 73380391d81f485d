//! Why a member does not take an object, named by what its answer is.

use kube::core::Status;

use super::text::plain;
use crate::operator::redacted::redacted_message;

/// What came of a delivery.
pub type Outcome = Result<(), Failure>;

/// Why a delivery did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind of failure: decides whether and when to try again.
    pub kind: FailureKind,
    /// What happened, for a person.
    pub message: String,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// An object of that name is there and is not ours.
    Conflict,
    /// The member refuses the object.
    Rejected,
    /// The object is larger than the member takes.
    TooLarge,
    /// A quota of the member's namespace is used up.
    QuotaExceeded,
    /// An admission webhook or policy of the member refuses the object.
    AdmissionDenied,
    /// An admission webhook of the member does not answer.
    WebhookFailed,
    /// The member does not accept our credentials.
    Unauthorized,
    /// Our credentials may not do this on the member.
    Forbidden,
    /// The member has too much to do, or an error of its own.
    Unavailable,
    /// The member does not answer.
    Unreachable,
    /// This process may no longer write.
    NotLeader,
}

impl FailureKind {
    /// All of them, those first that a person has to see to.
    pub const ALL: [Self; 11] = [
        Self::Conflict,
        Self::Rejected,
        Self::TooLarge,
        Self::AdmissionDenied,
        Self::QuotaExceeded,
        Self::Unauthorized,
        Self::Forbidden,
        Self::WebhookFailed,
        Self::Unavailable,
        Self::Unreachable,
        Self::NotLeader,
    ];

    /// The same object will be refused again: only a change of it, or of the member's rules, helps.
    pub fn is_permanent(self) -> bool {
        matches!(
            self,
            Self::Rejected | Self::TooLarge | Self::AdmissionDenied | Self::QuotaExceeded
        )
    }

    /// The reason of the condition that tells of it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Conflict => "ForeignObject",
            Self::Rejected => "Rejected",
            Self::TooLarge => "TooLarge",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::AdmissionDenied => "AdmissionDenied",
            Self::WebhookFailed => "WebhookFailed",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::Unavailable | Self::Unreachable | Self::NotLeader => "Retrying",
        }
    }

    /// Its label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
            Self::TooLarge => "too_large",
            Self::QuotaExceeded => "quota_exceeded",
            Self::AdmissionDenied => "admission_denied",
            Self::WebhookFailed => "webhook_failed",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
            Self::NotLeader => "not_leader",
        }
    }
}

/// What the error of a call to a member is; `what` is what the call was about.
pub(super) fn named_failure(what: &str, error: &kube::Error) -> Failure {
    let (kind, reason) = match error {
        kube::Error::Api(status) => (kind_of(status), plain(&status.message)),
        kube::Error::Service(error) if crate::operator::fence::is_not_leader(error.as_ref()) => (
            FailureKind::NotLeader,
            "this copy of the scheduler is not the leader".to_owned(),
        ),
        error => (FailureKind::Unreachable, redacted_message(error)),
    };
    Failure {
        kind,
        message: format!("{what}: {reason}"),
    }
}

/// Codes first. What admission says has no code of its own: a plugin that refuses answers 403, a
/// webhook with the code that it likes, and only the text tells it from a lack of rights.
fn kind_of(status: &Status) -> FailureKind {
    let text = status.message.as_str();
    let denied = text.contains("denied the request") || text.contains("denied request");
    match status.code {
        401 => FailureKind::Unauthorized,
        408 | 504 => FailureKind::Unreachable,
        409 if is_outdated(status) => FailureKind::Unavailable,
        409 => FailureKind::Conflict,
        413 => FailureKind::TooLarge,
        400.. if denied => FailureKind::AdmissionDenied,
        403 if text.contains("exceeded quota") => FailureKind::QuotaExceeded,
        // It is being deleted there, and made again once it is gone.
        403 if text.contains("is being terminated") => FailureKind::Unavailable,
        403 if text.contains("cannot ") && text.contains(" resource ") => FailureKind::Forbidden,
        // Pod security, limits and other plugins refuse by 403, too.
        403 if text.contains("is forbidden: ") => FailureKind::AdmissionDenied,
        403 => FailureKind::Forbidden,
        // It was deleted between two calls.
        404 if names_a_namespace(status) => FailureKind::Unavailable,
        500.. if text.contains("calling webhook") => FailureKind::WebhookFailed,
        500.. if text.contains("etcdserver: request is too large") => FailureKind::TooLarge,
        429 | 500.. => FailureKind::Unavailable,
        _ => FailureKind::Rejected,
    }
}

/// It was changed or replaced between two calls; a conflict over the name or a field is another one.
fn is_outdated(status: &Status) -> bool {
    status.message.contains("the object has been modified")
        || status.message.contains("Precondition failed")
        || status.message.contains("object is being deleted")
}

fn names_a_namespace(status: &Status) -> bool {
    let details = status.details.as_ref();
    details.is_some_and(|details| details.kind == "namespaces")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, message: &str) -> FailureKind {
        let status = Status::failure(message, "").with_code(code);
        named_failure("Deployment shop/web", &kube::Error::Api(Box::new(status))).kind
    }

    #[test]
    fn answers_are_named_by_what_they_are() {
        let answers = [
            (401, "Unauthorized", FailureKind::Unauthorized),
            (
                403,
                "deployments.apps \"web\" is forbidden: User \"system:serviceaccount:mck8s:hub\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"shop\"",
                FailureKind::Forbidden,
            ),
            (403, "access denied by the proxy", FailureKind::Forbidden),
            (
                403,
                "services \"web\" is forbidden: exceeded quota: small, requested: services=1, used: services=2, limited: services=2",
                FailureKind::QuotaExceeded,
            ),
            (
                403,
                "deployments.apps \"web\" is forbidden: unable to create new content in namespace shop because it is being terminated",
                FailureKind::Unavailable,
            ),
            (
                403,
                "persistentvolumeclaims \"data\" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but limit is 2Gi",
                FailureKind::AdmissionDenied,
            ),
            (
                403,
                "admission webhook \"policy.example.org\" denied the request: images must come from registry.example.org",
                FailureKind::AdmissionDenied,
            ),
            (
                400,
                "admission webhook \"validate.kyverno.svc-fail\" denied the request: no latest tags",
                FailureKind::AdmissionDenied,
            ),
            (
                422,
                "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'small' with binding 'small' denied request: failed expression: object.spec.replicas <= 5",
                FailureKind::AdmissionDenied,
            ),
            (
                500,
                "Internal error occurred: failed calling webhook \"policy.example.org\": failed to call webhook: Post \"https://policy.policy.svc:443/validate?timeout=10s\": context deadline exceeded",
                FailureKind::WebhookFailed,
            ),
            (
                500,
                "Internal error occurred: conversion webhook failed",
                FailureKind::Unavailable,
            ),
            (
                413,
                "Request entity too large: limit is 3145728",
                FailureKind::TooLarge,
            ),
            (
                500,
                "etcdserver: request is too large",
                FailureKind::TooLarge,
            ),
            (
                422,
                "Deployment.apps \"web\" is invalid: spec.template.spec.containers[0].image: Required value",
                FailureKind::Rejected,
            ),
            (
                409,
                "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas",
                FailureKind::Conflict,
            ),
            (
                409,
                "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please apply your changes to the latest version and try again",
                FailureKind::Unavailable,
            ),
            (
                429,
                "Too many requests, please try again later.",
                FailureKind::Unavailable,
            ),
            (
                504,
                "Timeout: request did not complete within the allotted time",
                FailureKind::Unreachable,
            ),
            (
                503,
                "the server is currently unable to handle the request",
                FailureKind::Unavailable,
            ),
        ];
        for (code, message, kind) in answers {
            assert_eq!(answer(code, message), kind, "{code} {message}");
        }
    }

    #[test]
    fn what_stays_refused_is_told_from_what_passes() {
        let passing = FailureKind::ALL
            .into_iter()
            .filter(|kind| !kind.is_permanent());
        let passing: Vec<_> = passing.map(FailureKind::label).collect();
        assert_eq!(
            passing,
            [
                "conflict",
                "unauthorized",
                "forbidden",
                "webhook_failed",
                "unavailable",
                "unreachable",
                "not_leader"
            ]
        );
    }

    #[test]
    fn a_long_answer_is_cut() {
        let status = Status::failure(&"x".repeat(100_000), "").with_code(422);
        let failure = named_failure("Secret a/b", &kube::Error::Api(Box::new(status)));
        assert!(failure.message.len() < 2_000, "{}", failure.message.len());
    }
}
