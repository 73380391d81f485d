//! What is answered when something goes wrong: `Status` objects with the words of kube-apiserver.

use serde_json::{Map, Value, json};

use crate::kinds::{Resource, qualified};
pub(crate) use crate::objects::Cause;
use crate::objects::{Error, Taken};
use crate::store::{Expired, ReadError};
use crate::work::Undone;

/// A request that failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// `details` of the status, where it has them.
    pub(crate) details: Option<Map<String, Value>>,
    /// Where a list that expired can go on.
    pub(crate) continues: Option<String>,
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthorized => Self::unauthorized(),
            Error::NotFound {
                group,
                plural,
                name,
            } => Self::not_found_in(&group, &plural, &name),
            Error::AlreadyExists {
                group,
                plural,
                name,
                taken,
            } => Self::already_exists((&group, &plural), &name, taken),
            Error::Conflict {
                group,
                kind,
                name,
                why,
            } => Self::conflict_in(&group, &kind, &name, &why),
            Error::Managed { message, causes } => {
                Self::new(409, "Conflict", message).with_causes(&causes)
            }
            Error::Invalid {
                group,
                kind,
                name,
                causes,
            } => Self::invalid_in(&group, &kind, &name, &causes),
            Error::Forbidden {
                group,
                plural,
                name,
                why,
                causes,
            } => Self::forbidden_in(&group, &plural, &name, &why).with_causes(&causes),
            Error::BadRequest(why) => Self::bad_request(why),
            Error::Rejected => Self::rejected(),
            Error::TooLarge(why) => Self::new(413, "RequestEntityTooLarge", why),
            Error::Timeout => Self::timeout(),
            Error::TooManyRequests => Self::too_many_requests(),
            Error::Internal(why) => Self::internal(&why),
            Error::Unforeseen(why) => Self::unforeseen(why),
        }
    }
}

impl From<Undone> for ApiError {
    fn from(undone: Undone) -> Self {
        Error::from(undone).into()
    }
}

impl ApiError {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            continues: None,
        }
    }

    /// With a token that goes on with a list that expired.
    pub(crate) fn continued(mut self, token: String) -> Self {
        self.continues = Some(token);
        self
    }

    /// With `details`, which leave out what is empty.
    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let details = self.details.get_or_insert_default();
        for (field, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(field.to_owned(), value.into());
            }
        }
        self
    }

    /// With `details`, be they empty.
    pub(crate) fn with_details(mut self) -> Self {
        self.details.get_or_insert_default();
        self
    }

    pub(crate) fn with_causes(mut self, causes: &[Cause]) -> Self {
        let causes: Vec<Value> = causes.iter().map(cause).collect();
        if !causes.is_empty() {
            let details = self.details.get_or_insert_default();
            details.insert("causes".to_owned(), causes.into());
        }
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        let details = self.details.get_or_insert_default();
        if seconds > 0 {
            details.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        self
    }

    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        let details = self.details.as_ref()?;
        details.get("retryAfterSeconds")?.as_u64()
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        Self::not_found_in(&resource.group, &resource.plural, name)
    }

    pub(crate) fn not_found_in(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(plural, group));
        Self::new(404, "NotFound", message).about(group, plural, name)
    }

    /// A path that nothing serves, in a group that is served.
    pub(crate) fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(404, "NotFound", message).about("", "", "")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).about("", "", "")
    }

    fn already_exists((group, plural): (&str, &str), name: &str, taken: Taken) -> Self {
        let exists = format!("{} {name:?} already exists", qualified(plural, group));
        let message = match taken {
            Taken::There => exists,
            Taken::Deleting => format!("object is being deleted: {exists}"),
            Taken::Generated => format!(
                "{exists}, the server was not able to generate a unique name for the object"
            ),
        };
        let error = Self::new(409, "AlreadyExists", message).about(group, plural, name);
        match taken {
            Taken::Generated => error.retry_after(1),
            _ => error,
        }
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        Self::conflict_in(&resource.group, &resource.plural, name, why)
    }

    pub(crate) fn conflict_in(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let resource = qualified(plural, group);
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Self::new(409, "Conflict", message).about(group, plural, name)
    }

    pub(crate) fn forbidden_in(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let message = match (plural, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", qualified(plural, group)),
            _ => format!("{} {name:?} is forbidden: {why}", qualified(plural, group)),
        };
        Self::new(403, "Forbidden", message).about(group, plural, name)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn invalid_in(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for text in causes.iter().map(Cause::text) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let kind_name = qualified(kind, group);
        let message = match texts.as_slice() {
            [] => format!("{kind_name} {name:?} is invalid"),
            [text] => format!("{kind_name} {name:?} is invalid: {text}"),
            texts => format!("{kind_name} {name:?} is invalid: [{}]", texts.join(", ")),
        };
        let error = Self::new(422, "Invalid", message).about(group, kind, name);
        error.with_causes(causes)
    }

    pub(crate) fn internal(why: &str) -> Self {
        let error = Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {why}"),
        );
        let mut details = Map::new();
        details.insert("causes".to_owned(), json!([{ "message": why }]));
        Self {
            details: Some(details),
            ..error
        }
    }

    /// An error that the real server did not foresee, and reports as it is.
    pub(crate) fn unforeseen(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// A patch that can't be applied.
    pub(crate) fn rejected() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", message).with_details()
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// There are too many requests under way.
    pub(crate) fn too_many_requests() -> Self {
        let message = "Too many requests, please try again later.";
        Self::new(429, "TooManyRequests", message).retry_after(1)
    }

    /// A request that was not answered in time.
    pub(crate) fn overdue() -> Self {
        let message = "Timeout: request did not complete within the allotted timeout";
        Self::new(504, "Timeout", message).with_details()
    }

    /// Work that took too long.
    pub(crate) fn timeout() -> Self {
        let message = "Timeout: request did not complete within requested timeout - context deadline exceeded";
        Self::new(504, "Timeout", message).with_details()
    }

    /// The history that was asked for is gone.
    pub(crate) fn expired(asked: u64, expired: Expired) -> Self {
        let oldest = expired.oldest;
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::new(410, "Expired", message)
    }

    /// A resource version that is still to come.
    pub(crate) fn too_new(asked: u64, latest: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {latest}");
        let error = Self::new(504, "Timeout", message).retry_after(1);
        let cause = json!([{
            "reason": "ResourceVersionTooLarge",
            "message": "Too large resource version",
        }]);
        let mut details = error.details.clone().unwrap_or_default();
        details.insert("causes".to_owned(), cause);
        Self {
            details: Some(details),
            ..error
        }
    }

    /// Why a list could not be read at a revision.
    pub(crate) fn read(asked: u64, error: ReadError) -> Self {
        match error {
            ReadError::Expired(expired) => Self::expired(asked, expired),
            ReadError::TooNew { asked, latest } => Self::too_new(asked, latest),
        }
    }

    /// The `Status` object.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let (true, Some(fields)) = (self.reason.is_empty(), status.as_object_mut()) {
            fields.remove("reason");
        }
        if let Some(token) = &self.continues {
            status["metadata"] = json!({ "continue": token });
        }
        if let (Some(details), Some(fields)) = (&self.details, status.as_object_mut()) {
            fields.insert("details".to_owned(), details.clone().into());
        }
        status
    }
}

fn cause(cause: &Cause) -> Value {
    let mut fields = Map::new();
    for (name, text) in [
        ("reason", &cause.reason),
        ("message", &cause.message),
        ("field", &cause.field),
    ] {
        if !text.is_empty() {
            fields.insert(name.to_owned(), text.clone().into());
        }
    }
    fields.into()
}
