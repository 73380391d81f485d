//! Rules in CEL (`x-kubernetes-validations`): compiled with the CRD, run at every write.

pub(super) mod field_path;
mod program;
mod typing;
mod value;
mod words;

use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt;
use kube_cel::cel::objects::OptionalValue;
use kube_cel::cel::{Context, ExecutionError, Program, Value as Cel};
use serde_json::Value;

use super::correlate::{Correlation, old_item};
use super::node::Node;
use super::props::{Props, Rule};
use crate::schema::{ErrorKind, FieldError, ListKind, Path};
use program::Compiled;

/// Bytes of a message that an expression makes.
const MAX_MESSAGE: usize = 5 * 1024;

/// All functions that Kubernetes gives to rules.
fn base() -> &'static Context<'static> {
    static BASE: LazyLock<Context<'static>> = LazyLock::new(|| {
        let mut base = Context::default().with_all();
        // It only matters to a type checker, which lets the value be compared with anything.
        base.add_function("dyn", |value: Cel| Ok::<Cel, ExecutionError>(value));
        base
    });
    &BASE
}

/// The rules for a value.
#[derive(Debug, Default)]
pub(super) struct Rules {
    compiled: Vec<Compiled>,
    /// What errors show instead of the value.
    type_name: String,
    /// The value is an object of its own, whose type and names rules see.
    is_resource: bool,
}

impl Rules {
    pub(super) fn compile(props: &Props, is_resource: bool) -> Self {
        let compiled = props
            .validations
            .iter()
            .map(|rule| Compiled::new(rule, props));
        Self {
            compiled: compiled.collect(),
            type_name: props.type_name.clone(),
            is_resource,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.compiled.is_empty()
    }
}

/// Checks a rule of a CRD: it compiles, and asks for old values only where they can be found.
/// `uncorrelatable` is where they can't.
pub(super) fn check_rule(
    rule: &Rule,
    (props, is_resource): (&Props, bool),
    uncorrelatable: Option<&str>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    let shown = words::rule(rule);
    let types = |source: &str, program: &Program, is_bool| {
        typing::check(source, program.expression(), props, is_resource, is_bool)
    };
    let source = &rule.expression;
    let compiled = program::compile(source)
        .map_err(|error| format!("compilation failed: {error}"))
        .and_then(|program| types(source, &program, true).map_or(Ok(program), Err));
    let program = match compiled {
        Ok(program) => program,
        Err(error) => {
            errors.push(FieldError::worded(
                ErrorKind::Invalid,
                &path.field("rule"),
                format!("{shown}: {error}"),
            ));
            return;
        }
    };
    let source = &rule.message_expression;
    if !source.is_empty() {
        let compiled = program::compile(source)
            .map_err(|error| format!("messageExpression compilation failed: {error}"))
            .and_then(|program| types(source, &program, false).map_or(Ok(()), Err));
        if let Err(error) = compiled {
            let path = path.field("messageExpression");
            errors.push(FieldError::worded(
                ErrorKind::Invalid,
                &path,
                format!("{shown}: {error}"),
            ));
        }
    }
    let uses_old_self = program.references().has_variable("oldSelf");
    match (uses_old_self, uncorrelatable, rule.optional_old_self) {
        (true, Some(place), _) => {
            let detail = format!(
                "oldSelf cannot be used on the uncorrelatable portion of the schema within {place}"
            );
            let path = path.field("rule");
            errors.push(FieldError::invalid(&path, rule.expression.as_str(), detail));
        }
        (false, _, Some(is_optional)) => {
            let detail = "may not be set if oldSelf is not used in rule";
            let path = path.field("optionalOldSelf");
            errors.push(FieldError::invalid(&path, is_optional, detail));
        }
        _ => {}
    }
}

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

/// Runs the rules for a value and for everything in it.
pub(super) fn check(
    node: &Node,
    value: &Value,
    place: Place<'_>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    if !node.has_rules || value.is_null() {
        return;
    }
    run(node, value, place, path, errors);
    match value {
        Value::Array(items) => {
            let Some(item_node) = &node.items else { return };
            for (index, item) in items.iter().enumerate() {
                let place = place.item(node, index, item);
                check(item_node, item, place, &path.index(index), errors);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(node) = node.properties.get(name) {
                    check(node, value, place.field(name), &path.field(name), errors);
                } else if let Some(node) = &node.additional {
                    check(node, value, place.field(name), &path.key(name), errors);
                }
            }
        }
        _ => {}
    }
}

/// Runs the rules for a value.
fn run(
    node: &Node,
    value: &Value,
    place: Place<'_>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    let rules = &node.rules;
    if rules.is_empty() {
        return;
    }
    let old = place.old.filter(|old| !old.is_null());
    let seen = |value| value::of(value, node, rules.is_resource);
    let this = seen(value);
    let needs_old = rules.compiled.iter().any(|rule| rule.uses_old_self);
    let old = old.filter(|_| needs_old).map(seen);
    for rule in &rules.compiled {
        let is_optional = rule.rule.optional_old_self == Some(true);
        if rule.uses_old_self && old.is_none() && !is_optional {
            continue;
        }
        let mut scope = base().new_inner_scope();
        scope.add_variable_from_value("self", this.clone());
        match &old {
            _ if is_optional => scope.add_variable_from_value("oldSelf", optional(old.clone())),
            Some(old) => scope.add_variable_from_value("oldSelf", old.clone()),
            None => {}
        }
        let type_name = rules.type_name.as_str();
        let error = match &rule.program {
            None => continue,
            Some(Err(error)) => {
                let detail = format!("rule compile error: compilation failed: {error}");
                errors.push(FieldError::invalid(path, type_name, detail));
                continue;
            }
            Some(Ok(program)) => match program.execute(&scope) {
                Ok(Cel::Bool(true)) => continue,
                Ok(_) => failure(rule, type_name, path, &scope),
                Err(error) => {
                    let detail = words::runtime_error(&error, rule.name());
                    errors.push(FieldError::invalid(path, type_name, detail));
                    continue;
                }
            },
        };
        if rule.uses_old_self || !place.is_unchanged() {
            errors.push(error);
        }
    }
}

fn optional(value: Option<Cel>) -> Cel {
    Cel::Opaque(Arc::new(match value {
        Some(value) => OptionalValue::of(value),
        None => OptionalValue::none(),
    }))
}

/// The error of a rule that failed.
fn failure(rule: &Compiled, type_name: &str, path: &Path<'_>, scope: &Context<'_>) -> FieldError {
    let made = rule
        .message
        .as_ref()
        .and_then(|program| message(program, scope));
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
fn message(program: &Program, scope: &Context<'_>) -> Option<String> {
    let Ok(Cel::String(text)) = program.execute(scope) else {
        return None;
    };
    let text = text.trim();
    let is_useful = !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
    is_useful.then(|| text.to_string())
}
