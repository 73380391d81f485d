//! Whether the rules of a CRD can be taken.

use kube_cel::cel::Program;

use super::super::props::{Props, Rule};
use super::cost::Costs;
use super::{program, stack, typing, words};
use crate::schema::{ErrorKind, FieldError, Path};

/// Checks a rule of a CRD: it compiles, it is cheap enough, and it asks for old values only where
/// they can be found. `uncorrelatable` is where they can't.
pub(in super::super) fn check_rule(
    rule: &Rule,
    (props, is_resource): (&Props, bool),
    uncorrelatable: Option<&str>,
    path: &Path<'_>,
    (errors, costs): (&mut Vec<FieldError>, &mut Costs),
) {
    let shown = words::rule(rule);
    let invalid = |path: &Path<'_>, error: String| {
        FieldError::worded(ErrorKind::Invalid, path, format!("{shown}: {error}"))
    };
    let rule_path = path.field("rule");
    let compiled = program::compile(&rule.expression)
        .map_err(|error| format!("compilation failed: {error}"))
        .and_then(|program| typed(program, &rule.expression, (props, is_resource), true));
    let program = match compiled {
        Ok(program) => program,
        Err(error) => {
            errors.push(invalid(&rule_path, error));
            return;
        }
    };
    costs.add(&program, (props, is_resource), false, &rule_path, errors);
    let source = &rule.message_expression;
    if !source.is_empty() {
        let path = path.field("messageExpression");
        let compiled = program::compile(source)
            .map_err(|error| format!("messageExpression compilation failed: {error}"))
            .and_then(|program| typed(program, source, (props, is_resource), false));
        match compiled {
            Ok(program) => costs.add(&program, (props, is_resource), true, &path, errors),
            Err(error) => errors.push(invalid(&path, error)),
        }
    }
    let uses_old_self = program::refers_to_old(&program);
    match (uses_old_self, uncorrelatable, rule.optional_old_self) {
        (true, Some(place), _) => {
            let detail = format!(
                "oldSelf cannot be used on the uncorrelatable portion of the schema within {place}"
            );
            errors.push(FieldError::invalid(
                &rule_path,
                rule.expression.as_str(),
                detail,
            ));
        }
        (false, _, Some(is_optional)) => {
            let detail = "may not be set if oldSelf is not used in rule";
            let path = path.field("optionalOldSelf");
            errors.push(FieldError::invalid(&path, is_optional, detail));
        }
        _ => {}
    }
}

/// A program whose types fit the schema, and which comes to true or false if it must.
fn typed(
    program: Program,
    source: &str,
    (props, is_resource): (&Props, bool),
    is_bool: bool,
) -> Result<Program, String> {
    let wrong =
        stack::deep(|| typing::check(source, program.expression(), props, is_resource, is_bool));
    wrong.map_or(Ok(program), Err)
}
