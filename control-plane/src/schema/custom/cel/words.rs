//! Errors of rules in the words of the API server.

use kube_cel::cel::ExecutionError;

use super::super::props::Rule;
use crate::schema::render;

/// All rules for an object have cost too much.
pub(in super::super) const BUDGET_SPENT: &str = "validation failed due to running out of cost budget, no \
                                       further validation rules will be run";

/// One rule has cost too much.
pub(in super::super) fn too_costly(rule: &str) -> String {
    format!(
        "'operation cancelled: actual cost limit exceeded': no further validation rules will be \
         run due to call cost exceeds limit for rule: {rule}"
    )
}

/// What went wrong while a rule ran.
pub(in super::super) fn runtime_error(error: &ExecutionError, rule: &str) -> String {
    let what = match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_string(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_string(),
        ExecutionError::Overflow(..) => "integer overflow".to_string(),
        ExecutionError::IndexOutOfBounds(index) => {
            format!("index out of bounds: {}", index_text(index))
        }
        ExecutionError::UndeclaredReference(name) => format!("no such attribute(s): {name}"),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        ExecutionError::NoSuchOverload
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::UnsupportedUnaryOperator(..)
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::UnsupportedMapIndex(_)
        | ExecutionError::UnsupportedListIndex(_)
        | ExecutionError::UnsupportedIndex(..)
        | ExecutionError::NotSupportedAsMethod { .. } => {
            return format!(
                "'no such overload': call arguments did not match a supported operator, function \
                 or macro signature for rule: {rule}"
            );
        }
        error => error.to_string(),
    };
    format!("{what} evaluating rule: {rule}")
}

fn index_text(index: &kube_cel::cel::Value) -> String {
    match index {
        kube_cel::cel::Value::Int(index) => index.to_string(),
        kube_cel::cel::Value::UInt(index) => index.to_string(),
        index => format!("{index:?}"),
    }
}

/// A rule as errors show it.
pub(super) fn rule(rule: &Rule) -> String {
    let text = |text: &str| render::json(&text.into());
    format!(
        r#"{{"Rule":{},"Message":{},"MessageExpression":{},"Reason":{},"FieldPath":{},"OptionalOldSelf":{}}}"#,
        text(&rule.expression),
        text(&rule.message),
        text(&rule.message_expression),
        rule.reason.as_deref().map_or("null".to_string(), text),
        text(&rule.field_path),
        rule.optional_old_self
            .map_or("null".to_string(), |is_set| is_set.to_string()),
    )
}
