//! Finds fields that a rule names and the schema does not know, and names that mean nothing.
//!
//! The interpreter has no type checker. This follows the types of fields as far as they can be
//! followed without knowing every function; where they can't, anything is let through.

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue};

use super::super::props::Props;
use super::names::escaped;

/// What is known of a value.
#[derive(Clone, Copy)]
enum Type<'a> {
    /// A value with a schema.
    Of(&'a Props),
    /// An object of its own, with its type and metadata.
    Resource(&'a Props),
    /// The metadata of an object.
    Metadata,
    /// True or false.
    Bool,
    /// Something else, which is not true or false.
    NotBool,
    /// It can't be told.
    Unknown,
}

/// Names that stand for types.
const TYPES: [&str; 11] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
    "optional_type",
];

/// Says what is wrong with a rule for a value; none if nothing is found. `is_bool` says that the
/// rule must come to true or false.
pub(super) fn check(
    source: &str,
    expression: &IdedExpr,
    props: &Props,
    is_resource: bool,
    is_bool: bool,
) -> Option<String> {
    let this = if is_resource {
        Type::Resource(props)
    } else {
        Type::Of(props)
    };
    let mut checker = Checker {
        source,
        scope: vec![("self", this), ("oldSelf", this)],
        problems: Vec::new(),
    };
    let result = checker.visit(expression);
    if !checker.problems.is_empty() {
        let prefix = if is_bool { "" } else { "messageExpression " };
        return Some(format!(
            "{prefix}compilation failed: {}",
            checker.problems.join("\n")
        ));
    }
    match result.is_bool() {
        Some(false) if is_bool => Some("cel expression must evaluate to a bool".to_string()),
        _ if !is_bool && result.is_no_text() => {
            Some("messageExpression must evaluate to a string".to_string())
        }
        _ => None,
    }
}

impl Type<'_> {
    fn is_bool(self) -> Option<bool> {
        match self {
            Self::Bool => Some(true),
            Self::Of(props) if props.type_name == "boolean" => Some(true),
            Self::Of(props) if props.type_name.is_empty() => None,
            Self::Unknown => None,
            _ => Some(false),
        }
    }

    /// Whether it is surely no text.
    fn is_no_text(self) -> bool {
        match self {
            Self::Bool | Self::Metadata | Self::Resource(_) => true,
            Self::Of(props) => !matches!(props.type_name.as_str(), "string" | ""),
            Self::NotBool | Self::Unknown => false,
        }
    }

    /// A field; none if there is no such field.
    fn field(self, name: &str) -> Option<Self> {
        match self {
            Self::Metadata => matches!(name, "name" | "generateName").then_some(Self::NotBool),
            Self::Resource(props) => match name {
                "apiVersion" | "kind" => Some(Self::NotBool),
                "metadata" => Some(Self::Metadata),
                name => Self::Of(props).field(name),
            },
            Self::Of(props) if props.embedded_resource && is_meta(name) => {
                Self::Resource(props).field(name)
            }
            Self::Of(props) if !props.properties.is_empty() => {
                let mut properties = props.properties.iter();
                let found = properties.find(|(known, _)| escaped(known).as_deref() == Some(name));
                match found {
                    Some((_, found)) => Some(Self::Of(found)),
                    None if props.preserves_unknown() => Some(Self::Unknown),
                    None => None,
                }
            }
            Self::Of(props) => Some(props.additional().map_or(Self::Unknown, Self::Of)),
            _ => Some(Self::Unknown),
        }
    }

    /// An item of a list, or what a comprehension goes over.
    fn item(self) -> Self {
        match self {
            Self::Of(props) => props.item().map_or(Self::Unknown, Self::Of),
            _ => Self::Unknown,
        }
    }

    /// What an index leads to.
    fn indexed(self) -> Self {
        match self {
            Self::Of(props) if props.properties.is_empty() => props
                .item()
                .or(props.additional())
                .map_or(Self::Unknown, Self::Of),
            _ => Self::Unknown,
        }
    }
}

fn is_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

struct Checker<'a> {
    source: &'a str,
    /// The names that are known, the nearest last.
    scope: Vec<(&'a str, Type<'a>)>,
    problems: Vec<String>,
}

impl<'a> Checker<'a> {
    fn visit(&mut self, expression: &'a IdedExpr) -> Type<'a> {
        match &expression.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                let operand = self.visit(&select.operand);
                let field = operand.field(&select.field);
                if field.is_none() {
                    let what = format!("undefined field '{}'", select.field);
                    self.complain(&what, &format!(".{}", select.field));
                }
                if select.test {
                    Type::Bool
                } else {
                    field.unwrap_or(Type::Unknown)
                }
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                list.elements.iter().for_each(|element| {
                    self.visit(element);
                });
                Type::NotBool
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.visit(&entry.key);
                        self.visit(&entry.value);
                    }
                }
                Type::NotBool
            }
            Expr::Literal(LiteralValue::Boolean(_)) => Type::Bool,
            Expr::Literal(_) => Type::NotBool,
            Expr::Struct(_) | Expr::Unspecified => Type::Unknown,
        }
    }

    fn name(&mut self, name: &'a str) -> Type<'a> {
        let known = self.scope.iter().rev().find(|(known, _)| *known == name);
        match known {
            Some((_, known)) => *known,
            None if name.starts_with('@') || TYPES.contains(&name) => Type::Unknown,
            None => {
                let what = format!("undeclared reference to '{name}' (in container '')");
                self.complain(&what, name);
                Type::Unknown
            }
        }
    }

    /// What stands before a function may be a namespace of functions, such as `math`.
    fn call(&mut self, call: &'a CallExpr) -> Type<'a> {
        if let Some(target) = &call.target {
            let is_namespace = match &target.expr {
                Expr::Ident(name) => !self.scope.iter().any(|(known, _)| known == name),
                _ => false,
            };
            if !is_namespace {
                self.visit(target);
            }
        }
        let arguments: Vec<_> = call
            .args
            .iter()
            .map(|argument| self.visit(argument))
            .collect();
        match (call.func_name.as_str(), arguments.as_slice()) {
            (
                "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "_&&_" | "_||_" | "!_" | "@in"
                | "_in_",
                _,
            ) => Type::Bool,
            ("_+_" | "_-_" | "_*_" | "_/_" | "_%_" | "-_" | "size", _) => Type::NotBool,
            ("_?_:_", [_, then, otherwise]) => match then {
                Type::Unknown => *otherwise,
                then => *then,
            },
            ("_[_]", [operand, _]) => operand.indexed(),
            _ => Type::Unknown,
        }
    }

    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> Type<'a> {
        let range = self.visit(&comprehension.iter_range);
        let result = self.visit(&comprehension.accu_init);
        let depth = self.scope.len();
        self.scope.push((&comprehension.accu_var, Type::Unknown));
        self.scope.push((&comprehension.iter_var, range.item()));
        if let Some(second) = &comprehension.iter_var2 {
            self.scope.push((second, Type::Unknown));
        }
        self.visit(&comprehension.loop_cond);
        self.visit(&comprehension.loop_step);
        self.scope.truncate(depth + 1);
        self.visit(&comprehension.result);
        self.scope.truncate(depth);
        match result {
            Type::Bool => Type::Bool,
            _ => Type::Unknown,
        }
    }

    /// Adds a problem, and shows where it is: where the text stands first.
    fn complain(&mut self, what: &str, text: &str) {
        let at = self.position(text).unwrap_or_default();
        let before = self.source.get(..at).unwrap_or_default();
        let line = before.matches('\n').count();
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count();
        let shown = self.source.lines().nth(line).unwrap_or_default();
        let dots = ".".repeat(column);
        let (line, column) = (line + 1, column + 1);
        let problem = format!("ERROR: <input>:{line}:{column}: {what}\n | {shown}\n | {dots}^");
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Where a text stands as a word of its own.
    fn position(&self, text: &str) -> Option<usize> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut found = self.source.match_indices(text).map(|(at, _)| at);
        found.find(|at| {
            let before = self.source.get(..*at).unwrap_or_default();
            let after = self.source.get(at + text.len()..).unwrap_or_default();
            let starts = text.starts_with('.') || !before.ends_with(is_word);
            starts && !after.starts_with(is_word)
        })
    }
}
