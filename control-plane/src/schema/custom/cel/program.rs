//! Rules that are compiled.

use kube_cel::cel::Program;

use super::super::props::{Props, Rule};
use super::depth::depth;
use super::field_path;
use super::meter::Metered;
use super::stack;

/// How deep an expression may nest, as the real compiler has it.
const MAX_DEPTH: usize = 250;
const MAX_LENGTH: usize = 100_000;

/// A rule, ready to be run.
#[derive(Debug)]
pub(in super::super) struct Compiled {
    pub rule: Rule,
    /// None if the rule is empty; an error if it does not compile.
    pub program: Option<Result<Metered, String>>,
    pub message: Option<Metered>,
    pub uses_old_self: bool,
    /// The field that errors name, below the value.
    pub field_path: String,
}

impl Compiled {
    pub(super) fn new(rule: &Rule, props: &Props) -> Self {
        let program = (!rule.expression.trim().is_empty()).then(|| compile(&rule.expression));
        let uses_old_self = matches!(&program, Some(Ok(program)) if refers_to_old(program));
        let message =
            (!rule.message_expression.is_empty()).then(|| compile(&rule.message_expression));
        Self {
            program: program.map(|program| program.map(|program| Metered::new(&program))),
            message: message.and_then(|program| Some(Metered::new(&program.ok()?))),
            uses_old_self,
            field_path: field_path::resolve(&rule.field_path, props, true)
                .map(|found| found.path)
                .unwrap_or_default(),
            rule: rule.clone(),
        }
    }

    /// What errors call the rule.
    pub(in super::super) fn name(&self) -> &str {
        let message = self.rule.message.trim();
        if message.is_empty() {
            self.rule.expression.trim()
        } else {
            message
        }
    }

    /// What is said when the rule fails.
    pub(in super::super) fn failure(&self) -> String {
        if self.rule.message.is_empty() {
            format!("failed rule: {}", self.name())
        } else {
            self.rule.message.trim().to_string()
        }
    }
}

/// Whether an expression asks for the value before.
pub(super) fn refers_to_old(program: &Program) -> bool {
    stack::deep(|| program.references().has_variable("oldSelf"))
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
    let compiled = stack::guarded(|| stack::deep(|| Program::compile(expression)));
    let compiled = compiled.map_err(|panic| format!("ERROR: <input>:-1:0: {panic}"))?;
    compiled.map_err(|errors| errors.to_string().replace("\n|", "\n |"))
}
