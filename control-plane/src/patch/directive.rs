//! What strategic merge patches say beside values, and what is wrong with it.

use serde_json::{Map, Value};

use super::{PatchError, print};

/// Says what is done with the object that it is in: `replace`, `delete`, `merge`.
pub(super) const DIRECTIVE: &str = "$patch";

pub(super) fn unknown_directive(directive: &Value, object: &Map<String, Value>) -> PatchError {
    let directive = print::plain(directive);
    let object = print::plain(&Value::Object(object.clone()));
    PatchError::Internal(format!("unknown patch type: {directive} in map: {object}"))
}

pub(super) fn bad_type(expected: &Value, found: &Value) -> PatchError {
    let expected = print::type_name(expected);
    let found = match found {
        Value::Null => "%!s(<nil>)",
        found => print::type_name(found),
    };
    PatchError::Internal(format!("expected a {expected}, but received a {found}"))
}

pub(super) fn bad_format(what: &str) -> PatchError {
    PatchError::BadRequest(format!("invalid patch format of {what}"))
}
