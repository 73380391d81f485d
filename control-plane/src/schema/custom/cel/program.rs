//! Rules that are compiled.

use kube_cel::cel::Program;

use super::super::props::{Props, Rule};
use super::field_path;

/// Brackets within brackets. The real compiler stops there, and a parser that goes on by recursion
/// would run out of stack.
const MAX_DEPTH: usize = 250;
const MAX_LENGTH: usize = 100_000;

/// A rule, ready to be run.
#[derive(Debug)]
pub(super) struct Compiled {
    pub rule: Rule,
    /// None if the rule is empty; an error if it does not compile.
    pub program: Option<Result<Program, String>>,
    pub message: Option<Program>,
    pub uses_old_self: bool,
    /// The field that errors name, below the value.
    pub field_path: String,
}

impl Compiled {
    pub(super) fn new(rule: &Rule, props: &Props) -> Self {
        let program = (!rule.expression.trim().is_empty()).then(|| compile(&rule.expression));
        let uses_old_self = match &program {
            Some(Ok(program)) => program.references().has_variable("oldSelf"),
            _ => false,
        };
        let message =
            (!rule.message_expression.is_empty()).then(|| compile(&rule.message_expression));
        Self {
            program,
            message: message.and_then(Result::ok),
            uses_old_self,
            field_path: field_path::resolve(&rule.field_path, props, true)
                .map(|found| found.path)
                .unwrap_or_default(),
            rule: rule.clone(),
        }
    }

    /// What errors call the rule.
    pub(super) fn name(&self) -> &str {
        let message = self.rule.message.trim();
        if message.is_empty() {
            self.rule.expression.trim()
        } else {
            message
        }
    }

    /// What is said when the rule fails.
    pub(super) fn failure(&self) -> String {
        if self.rule.message.is_empty() {
            format!("failed rule: {}", self.name())
        } else {
            self.rule.message.trim().to_string()
        }
    }
}

/// Compiles an expression. The error is what the compiler says.
pub(super) fn compile(expression: &str) -> Result<Program, String> {
    if expression.chars().count() > MAX_LENGTH {
        let length = expression.chars().count();
        return Err(format!(
            "ERROR: <input>:-1:0: expression code point size exceeds limit: size: {length}, limit \
             {MAX_LENGTH}"
        ));
    }
    if depth(expression) > MAX_DEPTH {
        return Err(format!(
            "ERROR: <input>:-1:0: expression recursion limit exceeded: {MAX_DEPTH}"
        ));
    }
    Program::compile(expression).map_err(|errors| errors.to_string().replace("\n|", "\n |"))
}

/// How deep the brackets are, with runs of operators that nest as well.
fn depth(expression: &str) -> usize {
    let mut open: usize = 0;
    let mut run: usize = 0;
    let mut deepest = 0;
    for c in expression.chars() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '!' | '-' | '?' => run += 1,
            c if c.is_whitespace() => {}
            _ => {
                run = if matches!(c, '0'..='9' | 'a'..='z') {
                    run.min(deepest)
                } else {
                    0
                }
            }
        }
        deepest = deepest.max(open + run);
    }
    deepest
}
