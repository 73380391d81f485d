//! Runs the rules of a schema, for a value and all that is in it.

use std::sync::Arc;

use kube_cel::cel::Value as Cel;
use kube_cel::cel::objects::OptionalValue;
use serde_json::Value;

use super::cel::functions::base;
use super::cel::meter::{Budget, Failed, Metered};
use super::cel::program::Compiled;
use super::cel::words;
use super::correlate::{Correlation, old_item};
use super::node::Node;
use super::rule_values;
use crate::schema::{FieldError, ListKind, Path};
use crate::work::is_late;

/// Bytes of a message that an expression makes.
const MAX_MESSAGE: usize = 5 * 1024;

/// Where a value is, and what was there before.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The value before, where it can be told which one it was.
    pub old: Option<&'a Value>,
    /// With the value before, where unchanged values are let through.
    pub correlation: Option<Correlation<'a>>,
    /// The nearest value around it for which this is known.
    pub around: Option<Correlation<'a>>,
}

impl Place<'_> {
    /// A field of this value. What type the object is can't be compared.
    fn field(self, name: &str) -> Self {
        let old = self.old.and_then(|old| old.get(name));
        let Some(this) = self.correlation else {
            return Self { old, ..self };
        };
        let is_type = self.around.is_none() && matches!(name, "apiVersion" | "kind");
        Self {
            old,
            correlation: this.field(name).filter(|_| !is_type),
            around: (!is_type).then_some(this),
        }
    }

    fn item(self, node: &Node, index: usize, item: &Value) -> Self {
        let is_map = matches!(node.list_kind, ListKind::Map(_));
        let old = self.old.filter(|_| is_map);
        let old = old.and_then(|old| old_item(node, item, old));
        let Some(this) = self.correlation else {
            return Self { old, ..self };
        };
        Self {
            old,
            correlation: this.item(index),
            around: Some(this),
        }
    }

    /// Whether nothing has changed here: a rule that failed before may go on failing.
    fn is_unchanged(self) -> bool {
        let nearest = self.correlation.or(self.around);
        nearest.is_some_and(Correlation::is_unchanged)
    }
}

/// Runs the rules for a value and for everything in it, until they have cost too much.
pub(super) fn check(
    node: &Node,
    value: &Value,
    place: Place<'_>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    let mut run = Run {
        budget: Budget::new(),
        errors,
    };
    // What is too costly has said so.
    let _ = run.check(node, value, place, path);
}

/// No further rules are run.
struct Stopped;

/// The rules for one object while they are run.
struct Run<'e> {
    budget: Budget,
    errors: &'e mut Vec<FieldError>,
}

impl Run<'_> {
    fn check(
        &mut self,
        node: &Node,
        value: &Value,
        place: Place<'_>,
        path: &Path<'_>,
    ) -> Result<(), Stopped> {
        if !node.has_rules || value.is_null() {
            return Ok(());
        }
        if is_late(value) {
            return Err(Stopped);
        }
        self.rules_of(node, value, place, path)?;
        match value {
            Value::Array(items) => {
                let Some(item_node) = &node.items else {
                    return Ok(());
                };
                for (index, item) in items.iter().enumerate() {
                    let place = place.item(node, index, item);
                    self.check(item_node, item, place, &path.index(index))?;
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    if let Some(node) = node.properties.get(name) {
                        self.check(node, value, place.field(name), &path.field(name))?;
                    } else if let Some(node) = &node.additional {
                        self.check(node, value, place.field(name), &path.key(name))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Runs the rules for a value.
    fn rules_of(
        &mut self,
        node: &Node,
        value: &Value,
        place: Place<'_>,
        path: &Path<'_>,
    ) -> Result<(), Stopped> {
        let rules = &node.rules;
        if rules.is_empty() {
            return Ok(());
        }
        let old = place.old.filter(|old| !old.is_null());
        let seen = |value| rule_values::of(value, node, rules.is_resource);
        let this = seen(value);
        let needs_old = rules.compiled.iter().any(|rule| rule.uses_old_self);
        let old = old.filter(|_| needs_old).map(seen);
        for rule in &rules.compiled {
            let is_optional = rule.rule.optional_old_self == Some(true);
            if rule.uses_old_self && old.is_none() && !is_optional {
                continue;
            }
            let optional = is_optional.then(|| optional(old.clone()));
            let values = Values {
                this: &this,
                old: optional.as_ref().or(old.as_ref()),
            };
            if let Some(error) = self.rule(rule, &rules.type_name, &values, path)?
                && (rule.uses_old_self || !place.is_unchanged() || error.always)
            {
                self.errors.push(error.error);
            }
        }
        Ok(())
    }

    /// Runs a rule. Gives what is wrong with the value.
    fn rule(
        &mut self,
        rule: &Compiled,
        type_name: &str,
        values: &Values<'_>,
        path: &Path<'_>,
    ) -> Result<Option<Wrong>, Stopped> {
        let invalid = |detail: String| FieldError::invalid(path, type_name, detail);
        let ran = match &rule.program {
            None => return Ok(None),
            Some(Err(error)) => {
                let detail = format!("rule compile error: compilation failed: {error}");
                return Ok(Some(Wrong::always(invalid(detail))));
            }
            Some(Ok(program)) => values.run(program, &mut self.budget),
        };
        let name = rule.name();
        let detail = match ran {
            Ok(Cel::Bool(true)) => return Ok(None),
            Ok(_) => {
                let error = self.failure(rule, type_name, values, path);
                return Ok(Some(Wrong {
                    error,
                    always: false,
                }));
            }
            Err(Failed::Error(error)) => words::runtime_error(&error, name),
            Err(Failed::Broken(what)) => format!("{what} evaluating rule: {name}"),
            Err(Failed::TooCostly) => {
                self.errors.push(invalid(words::too_costly(name)));
                return Err(Stopped);
            }
            Err(Failed::BudgetSpent) => {
                self.errors.push(invalid(words::BUDGET_SPENT.to_owned()));
                return Err(Stopped);
            }
        };
        Ok(Some(Wrong::always(invalid(detail))))
    }

    /// The error of a rule that failed.
    fn failure(
        &mut self,
        rule: &Compiled,
        type_name: &str,
        values: &Values<'_>,
        path: &Path<'_>,
    ) -> FieldError {
        let made = rule.message.as_ref();
        let made = made.and_then(|program| self.message(program, values));
        let detail = made.unwrap_or_else(|| rule.failure());
        let below = path.field(&rule.field_path);
        let path = if rule.field_path.is_empty() {
            path
        } else {
            &below
        };
        match rule.rule.reason.as_deref() {
            Some("FieldValueForbidden") => FieldError::forbidden(path, detail),
            Some("FieldValueRequired") => FieldError::required(path, detail),
            Some("FieldValueDuplicate") => FieldError::duplicate(path, type_name),
            _ => FieldError::invalid(path, type_name, detail),
        }
    }

    /// The message that an expression makes; none if it is of no use.
    fn message(&mut self, program: &Metered, values: &Values<'_>) -> Option<String> {
        let Ok(Cel::String(text)) = values.run(program, &mut self.budget) else {
            return None;
        };
        let text = text.trim();
        let is_useful = !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
        is_useful.then(|| text.to_string())
    }
}

/// What rules see.
struct Values<'a> {
    this: &'a Cel,
    old: Option<&'a Cel>,
}

impl Values<'_> {
    fn run(&self, program: &Metered, budget: &mut Budget) -> Result<Cel, Failed> {
        program.run(base(), (self.this, self.old), budget)
    }
}

/// What a rule says against a value.
struct Wrong {
    error: FieldError,
    /// Also if the value is as it was before.
    always: bool,
}

impl Wrong {
    fn always(error: FieldError) -> Self {
        Self {
            error,
            always: true,
        }
    }
}

fn optional(value: Option<Cel>) -> Cel {
    Cel::Opaque(Arc::new(match value {
        Some(value) => OptionalValue::of(value),
        None => OptionalValue::none(),
    }))
}
