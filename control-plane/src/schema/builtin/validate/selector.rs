//! Label selectors.

use serde_json::Value;

use super::check::{Errors, complain, fields, is_set, items, text, texts};
use crate::schema::{FieldError, Path, metadata, names};

/// Checks a label selector.
pub(super) fn check(selector: &Value, path: &Path<'_>, errors: &mut Errors) {
    metadata::labels(&selector["matchLabels"], &path.field("matchLabels"), errors);
    let path = path.field("matchExpressions");
    for (index, expression) in items(&selector["matchExpressions"]) {
        check_expression(expression, &path.index(index), errors);
    }
}

fn check_expression(expression: &Value, path: &Path<'_>, errors: &mut Errors) {
    let has_values = is_set(&expression["values"]);
    let values = path.field("values");
    match text(expression, "operator") {
        "In" | "NotIn" if !has_values => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(&values, detail));
        }
        "Exists" | "DoesNotExist" if has_values => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(&values, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => {
            let detail = "not a valid selector operator";
            errors.push(FieldError::invalid(
                &path.field("operator"),
                operator,
                detail,
            ));
        }
    }
    let key = text(expression, "key");
    complain(names::qualified(key), key, &path.field("key"), errors);
    for (index, value) in texts(&expression["values"]).into_iter().enumerate() {
        complain(
            names::label_value(value),
            value,
            &values.index(index),
            errors,
        );
    }
}

/// Whether a selector has no condition.
pub(super) fn is_empty(selector: &Value) -> bool {
    !is_set(&selector["matchLabels"]) && !is_set(&selector["matchExpressions"])
}

/// Whether a selector can be used at all.
pub(super) fn is_usable(selector: &Value) -> bool {
    let mut errors = Vec::new();
    check(selector, &Path::ROOT, &mut errors);
    errors.is_empty()
}

/// Whether a selector matches labels. One that is not there matches nothing.
pub(super) fn matches(selector: &Value, labels: &Value) -> bool {
    let by_label =
        fields(&selector["matchLabels"]).all(|(key, value)| labels.get(key) == Some(value));
    let by_expression = items(&selector["matchExpressions"]).all(|(_, expression)| {
        let label = labels.get(text(expression, "key")).and_then(Value::as_str);
        let values = texts(&expression["values"]);
        match text(expression, "operator") {
            "In" => label.is_some_and(|label| values.contains(&label)),
            "NotIn" => label.is_none_or(|label| !values.contains(&label)),
            "Exists" => label.is_some(),
            "DoesNotExist" => label.is_none(),
            _ => false,
        }
    });
    selector.is_object() && by_label && by_expression
}
