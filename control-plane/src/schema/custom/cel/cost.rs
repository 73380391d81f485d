//! What rules cost at most, told from them and from the schema, before they are ever run.
//!
//! After cel-go's estimate with the costs of Kubernetes. Where types can't be followed, it counts
//! less: a rule that Kubernetes takes is not refused, and the budget at run time holds for all.

use kube_cel::cel::Program;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue,
};

use super::super::cardinality::most;
use super::super::props::Props;
use super::names::escaped;
use super::stack;
use crate::schema::{FieldError, Path};

/// Of one expression, for all values of an object.
const EXPRESSION: u64 = 10_000_000;

/// Of all expressions of a schema.
const SCHEMA: u64 = 100_000_000;

/// A list that is made, and a map.
const MAKE_LIST: u64 = 10;
const MAKE_MAP: u64 = 30;

/// The costs of all rules of a schema.
#[derive(Default)]
pub(in super::super) struct Costs {
    /// How many values the rules are run for that come now.
    cardinality: u64,
    total: u64,
}

impl Costs {
    /// The rules that come now are run for so many values of an object.
    pub(in super::super) fn enter(&mut self, cardinality: u64) {
        self.cardinality = cardinality;
    }

    /// Adds an expression, which is refused if it costs too much.
    pub(super) fn add(
        &mut self,
        program: &Program,
        (props, is_resource): (&Props, bool),
        is_message: bool,
        path: &Path<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        let this = if is_resource {
            Shape::Resource(props)
        } else {
            Shape::Of(props)
        };
        let cost = stack::deep(|| {
            let mut estimate = Estimate {
                scope: vec![("self", this), ("oldSelf", this)],
            };
            estimate.visit(program.expression()).0
        });
        let cost = cost.saturating_mul(self.cardinality);
        self.total = self.total.saturating_add(cost);
        if cost > EXPRESSION {
            let what = if is_message {
                "estimated messageExpression cost"
            } else {
                "estimated rule cost"
            };
            errors.push(FieldError::forbidden(path, exceeds(what, cost, EXPRESSION)));
        }
    }

    /// Refuses a schema whose rules cost too much together.
    pub(in super::super) fn check_total(&self, path: &Path<'_>, errors: &mut Vec<FieldError>) {
        if self.total > SCHEMA {
            let what = "x-kubernetes-validations estimated rule & messageExpression cost total \
                        for entire OpenAPIv3 schema";
            errors.push(FieldError::forbidden(
                path,
                exceeds(what, self.total, SCHEMA),
            ));
        }
    }
}

fn exceeds(what: &str, cost: u64, limit: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding \
         maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

/// What is known of a value.
#[derive(Clone, Copy)]
enum Shape<'a> {
    /// It has a schema.
    Of(&'a Props),
    /// An object of its own, with its type and metadata.
    Resource(&'a Props),
    /// It has so many items or bytes.
    Sized(u64),
    Unknown,
}

impl<'a> Shape<'a> {
    fn size(self) -> u64 {
        match self {
            Self::Of(props) => most(props),
            Self::Sized(size) => size,
            Self::Resource(_) | Self::Unknown => 1,
        }
    }

    fn field(self, name: &str) -> Self {
        let (Self::Of(props) | Self::Resource(props)) = self else {
            return Self::Unknown;
        };
        let mut properties = props.properties.iter();
        let found = properties.find(|(known, _)| escaped(known).as_deref() == Some(name));
        let found = found.map(|(_, found)| found).or(props.additional());
        found.map_or(Self::Unknown, Self::Of)
    }

    /// What a loop goes over: the items of a list, the keys of a map.
    fn item(self) -> Self {
        match self {
            Self::Of(props) => props.item().map_or(Self::Unknown, Self::Of),
            _ => Self::Unknown,
        }
    }

    fn indexed(self) -> Self {
        match self {
            Self::Of(props) => {
                let item: Option<&'a Props> = props.item().or(props.additional());
                item.map_or(Self::Unknown, Self::Of)
            }
            _ => Self::Unknown,
        }
    }
}

/// Goes over a text or list byte by byte or item by item, for a tenth of a step each.
fn traverse(size: u64) -> u64 {
    size.div_ceil(10)
}

struct Estimate<'a> {
    /// Variables, the nearest last.
    scope: Vec<(&'a str, Shape<'a>)>,
}

impl<'a> Estimate<'a> {
    /// The cost of an expression, and what it comes to.
    fn visit(&mut self, expression: &'a IdedExpr) -> (u64, Shape<'a>) {
        match &expression.expr {
            Expr::Ident(name) => {
                let known = self.scope.iter().rev().find(|(known, _)| known == name);
                (1, known.map_or(Shape::Unknown, |(_, shape)| *shape))
            }
            Expr::Select(select) => {
                let (cost, operand) = self.visit(&select.operand);
                (cost.saturating_add(1), operand.field(&select.field))
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(all) => self.comprehension(all),
            Expr::List(list) => {
                let cost = list.elements.iter().fold(MAKE_LIST, |sum, item| {
                    sum.saturating_add(self.visit(item).0)
                });
                (cost, Shape::Sized(list.elements.len() as u64))
            }
            Expr::Map(map) => {
                let cost = map.entries.iter().fold(MAKE_MAP, |sum, entry| {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return sum;
                    };
                    sum.saturating_add(self.visit(&entry.key).0)
                        .saturating_add(self.visit(&entry.value).0)
                });
                (cost, Shape::Sized(map.entries.len() as u64))
            }
            Expr::Literal(LiteralValue::String(text)) => {
                (0, Shape::Sized(text.inner().len() as u64))
            }
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => (0, Shape::Unknown),
        }
    }

    fn call(&mut self, call: &'a CallExpr) -> (u64, Shape<'a>) {
        let parts = call.target.as_deref().into_iter().chain(&call.args);
        let parts: Vec<(u64, Shape<'a>)> = parts.map(|part| self.visit(part)).collect();
        let sum = parts
            .iter()
            .fold(0, |sum: u64, (cost, _)| sum.saturating_add(*cost));
        match (call.func_name.as_str(), parts.as_slice()) {
            ("_&&_" | "_||_", _) => (sum, Shape::Unknown),
            ("_?_:_", [(condition, _), (then, shape), (otherwise, other)]) => {
                let shape = match shape {
                    Shape::Unknown => *other,
                    shape => *shape,
                };
                (condition.saturating_add(*then.max(otherwise)), shape)
            }
            ("_==_" | "_!=_", [(_, left), (_, right)]) => {
                let least = left.size().min(right.size());
                (sum.saturating_add(traverse(least).max(1)), Shape::Unknown)
            }
            ("@in", [_, (_, container)]) => {
                let is_list = matches!(container, Shape::Of(props) if props.type_name == "array");
                let size = if is_list { container.size() } else { 1 };
                (sum.saturating_add(size), Shape::Unknown)
            }
            ("_[_]" | "_[?_]", [(_, operand), _]) => (sum.saturating_add(1), operand.indexed()),
            (
                "matches" | "contains" | "find" | "findAll" | "indexOf" | "lastIndexOf" | "split"
                | "replace" | "lowerAscii" | "upperAscii" | "trim",
                [(_, text), ..],
            ) => {
                let cost = sum.saturating_add(traverse(text.size()).max(1));
                (cost, Shape::Unknown)
            }
            _ => (sum.saturating_add(1), Shape::Unknown),
        }
    }

    fn comprehension(&mut self, all: &'a ComprehensionExpr) -> (u64, Shape<'a>) {
        let (range_cost, range) = self.visit(&all.iter_range);
        let (init_cost, _) = self.visit(&all.accu_init);
        let depth = self.scope.len();
        self.scope.push((&all.accu_var, Shape::Unknown));
        self.scope.push((&all.iter_var, range.item()));
        if let Some(second) = &all.iter_var2 {
            self.scope.push((second, range.indexed()));
        }
        let (condition, _) = self.visit(&all.loop_cond);
        let (step, _) = self.visit(&all.loop_step);
        self.scope.truncate(depth);
        let passes = range.size().saturating_mul(condition.saturating_add(step));
        let cost = range_cost.saturating_add(init_cost).saturating_add(passes);
        // What `map` and `filter` make has at most as many items.
        let made = match &all.accu_init.expr {
            Expr::List(_) => Shape::Sized(range.size()),
            _ => Shape::Unknown,
        };
        (cost, made)
    }
}
