//! What is wrong with a field, in the words of the API.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::path::Path;
use super::render;

/// What kind of error it is: a cause's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// It should be there.
    Required,
    /// It is malformed or out of bounds.
    Invalid,
    /// It is of another type.
    TypeInvalid,
    /// It is none of the values that are known.
    NotSupported,
    /// It is there twice.
    Duplicate,
    /// It is not permitted here.
    Forbidden,
    /// It is too long.
    TooLong,
    /// There are too many.
    TooMany,
    /// What it names is not there.
    NotFound,
    /// The server failed.
    Internal,
}

impl ErrorKind {
    /// The machine-readable reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(
            self,
            Self::Required | Self::Forbidden | Self::TooLong | Self::Internal
        )
    }
}

/// One field that is wrong. Displays as `path: what: value: detail`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldError {
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// The field: `spec.containers[0].name`.
    pub path: String,
    /// Its value, where the kind shows one.
    pub value: Option<Value>,
    /// What should be done about it; may be empty.
    pub detail: String,
}

impl FieldError {
    fn new(kind: ErrorKind, path: &Path<'_>, value: Option<Value>, detail: String) -> Self {
        Self {
            kind,
            path: path.to_string(),
            value,
            detail,
        }
    }

    /// A value that should be there.
    pub fn required(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Required, path, None, detail.into())
    }

    /// A value that is malformed or out of bounds.
    pub fn invalid(path: &Path<'_>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, path, Some(value.into()), detail.into())
    }

    /// A value that the words show already, because it is not shown as it was sent.
    pub(super) fn worded(kind: ErrorKind, path: &Path<'_>, words: String) -> Self {
        Self::new(kind, path, None, words)
    }

    /// A value of the wrong type.
    pub fn type_invalid(path: &Path<'_>, value: impl Into<Value>, detail: String) -> Self {
        Self::new(ErrorKind::TypeInvalid, path, Some(value.into()), detail)
    }

    /// A value that is none of those that are known.
    pub fn not_supported<T: AsRef<str>>(
        path: &Path<'_>,
        value: impl Into<Value>,
        supported: &[T],
    ) -> Self {
        let detail = if supported.is_empty() {
            String::new()
        } else {
            let names: Vec<_> = supported
                .iter()
                .map(|name| render::quoted(name.as_ref()))
                .collect();
            format!("supported values: {}", names.join(", "))
        };
        Self::new(ErrorKind::NotSupported, path, Some(value.into()), detail)
    }

    /// A value that is there twice.
    pub fn duplicate(path: &Path<'_>, value: impl Into<Value>) -> Self {
        Self::new(
            ErrorKind::Duplicate,
            path,
            Some(value.into()),
            String::new(),
        )
    }

    /// A value that is not permitted here.
    pub fn forbidden(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, path, None, detail.into())
    }

    /// A value of more than `max` bytes.
    pub fn too_long(path: &Path<'_>, max: usize) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {max} {unit}");
        Self::new(ErrorKind::TooLong, path, None, detail)
    }

    /// More than `max` items.
    pub fn too_many(path: &Path<'_>, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {unit}");
        Self::new(ErrorKind::TooMany, path, Some(actual.into()), detail)
    }

    /// A value that names something which is not there.
    pub fn not_found(path: &Path<'_>, value: impl Into<Value>) -> Self {
        Self::new(ErrorKind::NotFound, path, Some(value.into()), String::new())
    }

    /// A failure of the server.
    pub fn internal(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, path, None, detail.into())
    }

    /// The same error of a value that lies at `path` of something larger.
    #[must_use]
    pub(super) fn within(mut self, path: &Path<'_>) -> Self {
        self.path = if self.path == Path::ROOT.to_string() {
            path.to_string()
        } else {
            path.field(&self.path).to_string()
        };
        self
    }

    /// The error without its field.
    pub fn message(&self) -> String {
        let mut message = self.kind.words().to_string();
        if let Some(value) = self.value.as_ref().filter(|_| self.kind.shows_value()) {
            message.push_str(": ");
            message.push_str(&match value {
                Value::String(text) => render::quoted(text),
                Value::Number(number) => render::number(number),
                value => render::json(value),
            });
        }
        if !self.detail.is_empty() {
            message.push_str(": ");
            message.push_str(&self.detail);
        }
        message
    }

    /// The error as a cause in a `Status`.
    pub fn cause(&self) -> Cause {
        Cause {
            reason: self.kind.reason(),
            message: self.message(),
            field: self.path.clone(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message())
    }
}

impl std::error::Error for FieldError {}

/// A cause in the details of a `Status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Machine-readable.
    pub reason: &'static str,
    /// For people, without the field.
    pub message: String,
    /// The field.
    pub field: String,
}

/// The errors in one sentence: a single one as it is, several in brackets, each once. A `Status`
/// has it after `is invalid: `.
pub fn summary(errors: &[FieldError]) -> String {
    let mut seen = BTreeSet::new();
    let mut messages: Vec<_> = errors.iter().map(ToString::to_string).collect();
    messages.retain(|message| seen.insert(message.clone()));
    match messages.as_slice() {
        [message] => message.clone(),
        messages => format!("[{}]", messages.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FieldError, Path, summary};

    #[test]
    fn errors_read_as_the_api_words_them() {
        let spec = Path::new("spec");
        let path = spec.field("x");
        for (error, expected) in [
            (FieldError::required(&path, ""), "spec.x: Required value"),
            (
                FieldError::required(&path, "say it"),
                "spec.x: Required value: say it",
            ),
            (
                FieldError::invalid(&path, -1, "too small"),
                "spec.x: Invalid value: -1: too small",
            ),
            (
                FieldError::invalid(&path, json!({"a": ["b"]}), "no"),
                r#"spec.x: Invalid value: {"a":["b"]}: no"#,
            ),
            (
                FieldError::not_supported(&path, "c", &["a", "b"]),
                r#"spec.x: Unsupported value: "c": supported values: "a", "b""#,
            ),
            (
                FieldError::duplicate(&path, "c"),
                r#"spec.x: Duplicate value: "c""#,
            ),
            (FieldError::forbidden(&path, "no"), "spec.x: Forbidden: no"),
            (
                FieldError::too_long(&path, 3),
                "spec.x: Too long: may not be more than 3 bytes",
            ),
            (
                FieldError::too_many(&path, 3, 1),
                "spec.x: Too many: 3: must have at most 1 item",
            ),
            (
                FieldError::not_found(&path, "v"),
                r#"spec.x: Not found: "v""#,
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_summary_has_each_error_once() {
        let path = Path::new("a");
        let error = FieldError::required(&path, "");
        let other = FieldError::forbidden(&path, "no");
        assert_eq!(
            summary(&[error.clone(), error.clone()]),
            "a: Required value"
        );
        assert_eq!(
            summary(&[error.clone(), other, error]),
            "[a: Required value, a: Forbidden: no]"
        );
    }
}
