//! Why a request for objects is refused, by the reasons that Kubernetes' `Status` knows.

use thiserror::Error;

use crate::kinds::Resource;
use crate::patch::PatchError;
use crate::store::WriteError;
use crate::work::Undone;

/// What an object that was written since it was read is refused with.
pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Why a request for objects is refused. `api` has the code and the words of each.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Error {
    /// The credentials of a request stand for nobody.
    #[error("Unauthorized")]
    Unauthorized,
    /// There is no such object.
    #[error("{plural} {name:?} not found")]
    NotFound {
        group: String,
        plural: String,
        name: String,
    },
    /// The name is taken.
    #[error("{plural} {name:?} already exists")]
    AlreadyExists {
        group: String,
        plural: String,
        name: String,
        taken: Taken,
    },
    /// The object is not as the writer expects it.
    #[error("{kind} {name:?}: {why}")]
    Conflict {
        group: String,
        /// The plural or the kind, as the real server names it.
        kind: String,
        name: String,
        why: String,
    },
    /// Fields that are applied have other managers.
    #[error("{message}")]
    Managed { message: String, causes: Vec<Cause> },
    /// The object is not valid.
    #[error("{kind} {name:?} is invalid")]
    Invalid {
        group: String,
        kind: String,
        name: String,
        causes: Vec<Cause>,
    },
    /// It may not be done.
    #[error("{plural} {name:?} is forbidden: {why}")]
    Forbidden {
        group: String,
        plural: String,
        name: String,
        why: String,
        causes: Vec<Cause>,
    },
    /// The request can't be understood.
    #[error("{0}")]
    BadRequest(String),
    /// A patch can't be applied.
    #[error("the patch can't be applied")]
    Rejected,
    /// A patch asks for too much.
    #[error("{0}")]
    TooLarge(String),
    /// It took too long.
    #[error("the request took too long")]
    Timeout,
    /// There is too much to do for others.
    #[error("there are too many requests")]
    TooManyRequests,
    /// It did not work.
    #[error("{0}")]
    Internal(String),
    /// An error that the real server did not foresee, and reports as it is.
    #[error("{0}")]
    Unforeseen(String),
}

/// How a name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// By an object that is there.
    There,
    /// By an object that is being deleted.
    Deleting,
    /// And so were all others that were generated.
    Generated,
}

/// Something wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) field: String,
}

impl Cause {
    pub(crate) fn new(reason: &str, field: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
            field: field.to_owned(),
        }
    }

    pub(crate) fn required(field: &str, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self::new("FieldValueRequired", field, message)
    }

    /// With the value as Go's `%#v`-like form shows it: texts in quotes.
    pub(crate) fn invalid(field: &str, value: &str, detail: &str) -> Self {
        let message = format!("Invalid value: {value}: {detail}");
        Self::new("FieldValueInvalid", field, message)
    }

    pub(crate) fn forbidden(field: &str, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {detail}"))
    }

    pub(crate) fn not_supported(field: &str, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<_> = supported.iter().map(|text| format!("{text:?}")).collect();
        let supported = supported.join(", ");
        let message = format!("Unsupported value: {value}: supported values: {supported}");
        Self::new("FieldValueNotSupported", field, message)
    }

    /// With its field.
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

impl Error {
    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        Self::not_found_in(&resource.group, &resource.plural, name)
    }

    pub(crate) fn not_found_in(group: &str, plural: &str, name: &str) -> Self {
        Self::NotFound {
            group: group.to_owned(),
            plural: plural.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str, taken: Taken) -> Self {
        Self::AlreadyExists {
            group: resource.group.clone(),
            plural: resource.plural.clone(),
            name: name.to_owned(),
            taken,
        }
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        Self::conflict_in(&resource.group, &resource.plural, name, why)
    }

    pub(crate) fn conflict_in(group: &str, kind: &str, name: &str, why: &str) -> Self {
        Self::Conflict {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            why: why.to_owned(),
        }
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        Self::forbidden_in(&resource.group, &resource.plural, name, why)
    }

    pub(crate) fn forbidden_in(group: &str, plural: &str, name: &str, why: &str) -> Self {
        Self::Forbidden {
            group: group.to_owned(),
            plural: plural.to_owned(),
            name: name.to_owned(),
            why: why.to_owned(),
            causes: Vec::new(),
        }
    }

    /// A refusal with its causes.
    pub(crate) fn with_causes(mut self, given: Vec<Cause>) -> Self {
        if let Self::Forbidden { causes, .. } = &mut self {
            *causes = given;
        }
        self
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_in(&resource.group, &resource.kind, name, causes)
    }

    pub(crate) fn invalid_in(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        Self::Invalid {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            causes: causes.to_vec(),
        }
    }

    /// Why the store refused to write an object.
    pub(crate) fn write(resource: &Resource, name: &str, error: &WriteError) -> Self {
        match error {
            WriteError::NotFound => Self::not_found(resource, name),
            WriteError::Exists => Self::already_exists(resource, name, Taken::There),
            WriteError::Conflict { .. } => Self::conflict(resource, name, MODIFIED),
            WriteError::Refused(why) => match why.downcast_ref::<Self>() {
                Some(error) => error.clone(),
                None => Self::Internal(why.to_string()),
            },
            WriteError::Invalid(why) => Self::BadRequest((*why).to_owned()),
            WriteError::TooLarge => Self::Unforeseen(error.to_string()),
            WriteError::Storage(_) | WriteError::Closed => Self::Internal(error.to_string()),
        }
    }
}

impl From<Undone> for Error {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Busy => Self::TooManyRequests,
            Undone::Expired => Self::Timeout,
        }
    }
}

impl From<PatchError> for Error {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::BadRequest(why) => Self::BadRequest(why),
            PatchError::TooLarge(_) => Self::TooLarge(error.to_string()),
            PatchError::Unprocessable(_) => Self::Rejected,
            PatchError::Timeout => Self::Timeout,
            PatchError::Internal(why) => Self::Unforeseen(why),
        }
    }
}
