//! Answers queries in `PromQL` from what is known now.
//!
//! There is no history: a counter's growth over any range is its growth at this moment. What is
//! supported is the part of `PromQL` that autoscalers need, with Prometheus' meaning
//! (`promql/engine.go`): selectors with matchers, `rate`, `irate` and `increase` of counters, `sum`,
//! `avg`, `min`, `max` and `count` with `by` and `without`, arithmetic, comparisons, and one-to-one
//! matching of vectors. Anything else is an error that names it.

mod aggregate;
mod binary;
mod select;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::{self, Call, Expr};

/// The samples of one metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) growth: Growth,
    pub(crate) samples: Vec<Sample>,
}

/// What a metric's values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// A sum that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
}

impl Growth {
    /// Its name in the text format.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A value at this moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: f64,
    /// How much a counter grows a second.
    pub(crate) rate: f64,
}

/// What knows metrics.
pub(crate) trait Series {
    /// The metrics whose names are asked for.
    fn families(&self, is_asked: &dyn Fn(&str) -> bool) -> Vec<Family>;
}

/// What a query gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number.
    Scalar(f64),
    /// Numbers by their labels; the metric's name is the label `__name__`.
    Vector(Vec<(Labels, f64)>),
}

/// Labels and their values, in order.
pub type Labels = BTreeMap<String, String>;

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is no `PromQL`.
    #[error("{0}")]
    Syntax(String),
    /// It asks for what the simulation does not do.
    #[error(
        "{0} not supported by the simulated Prometheus, which knows the present only; write \
         selectors, rate, irate or increase of a counter, sum, avg, min, max or count, arithmetic \
         and comparisons"
    )]
    Unsupported(String),
    /// It cannot be calculated.
    #[error("{0}")]
    Execution(String),
}

/// The longest query, in bytes, and how deep its parts may be in each other.
const LONGEST: usize = 10_000;
const DEEPEST: usize = 100;

/// What a query gives now.
pub(crate) fn evaluate(query: &str, series: &(impl Series + ?Sized)) -> Result<Value, QueryError> {
    if query.len() > LONGEST {
        let what = format!("the query is longer than {LONGEST} bytes: write a shorter one");
        return Err(QueryError::Syntax(what));
    }
    let expression = parser::parse(query).map_err(QueryError::Syntax)?;
    Evaluation { series }.value(&expression, 0)
}

struct Evaluation<'a, S: ?Sized> {
    series: &'a S,
}

impl<S: Series + ?Sized> Evaluation<'_, S> {
    fn value(&self, expression: &Expr, depth: usize) -> Result<Value, QueryError> {
        if depth > DEEPEST {
            let what = format!("parts of the query are more than {DEEPEST} deep in each other");
            return Err(QueryError::Syntax(what));
        }
        let inner = |expression: &Expr| self.value(expression, depth + 1);
        let value = match expression {
            Expr::Paren(paren) => inner(&paren.expr),
            Expr::NumberLiteral(number) => Ok(Value::Scalar(number.val)),
            Expr::Unary(unary) => Ok(negated(inner(&unary.expr)?)),
            Expr::VectorSelector(selector) => {
                select::instant(self.series, selector).map(Value::Vector)
            }
            Expr::Call(call) => self.call(call).map(Value::Vector),
            Expr::Aggregate(aggregation) => {
                let operand = inner(&aggregation.expr)?;
                aggregate::aggregate(aggregation, operand).map(Value::Vector)
            }
            Expr::Binary(operation) => {
                let (left, right) = (inner(&operation.lhs)?, inner(&operation.rhs)?);
                binary::apply(operation, left, right)
            }
            Expr::MatrixSelector(_) => Err(unsupported("a range without a function is")),
            Expr::Subquery(_) => Err(unsupported("subqueries are")),
            Expr::StringLiteral(_) => Err(unsupported("strings are")),
            Expr::Extension(_) => Err(unsupported("extensions are")),
        };
        value.and_then(distinct)
    }

    fn call(&self, call: &Call) -> Result<Vec<(Labels, f64)>, QueryError> {
        let name = call.func.name;
        let argument = call.args.args.first().map(|argument| unwrapped(argument));
        match (name, argument) {
            ("rate" | "irate", Some(Expr::MatrixSelector(range))) => {
                select::growth(self.series, name, range, 1.0)
            }
            ("increase", Some(Expr::MatrixSelector(range))) => {
                select::growth(self.series, name, range, range.range.as_secs_f64())
            }
            ("rate" | "irate" | "increase", _) => Err(unsupported("subqueries are")),
            _ => Err(unsupported(&format!("the function {name} is"))),
        }
    }
}

/// Without parentheses.
fn unwrapped(mut expression: &Expr) -> &Expr {
    while let Expr::Paren(paren) = expression {
        expression = &paren.expr;
    }
    expression
}

fn negated(value: Value) -> Value {
    match value {
        Value::Scalar(number) => Value::Scalar(-number),
        Value::Vector(samples) => Value::Vector(
            (samples.into_iter())
                .map(|(labels, number)| (nameless(labels), -number))
                .collect(),
        ),
    }
}

/// A value whose samples differ in their labels, or an error.
fn distinct(value: Value) -> Result<Value, QueryError> {
    if let Value::Vector(samples) = &value {
        let mut seen = BTreeSet::new();
        if let Some((labels, _)) = samples.iter().find(|(labels, _)| !seen.insert(labels)) {
            let what = format!("several samples have the labels {labels:?}: select one metric");
            return Err(QueryError::Execution(what));
        }
    }
    Ok(value)
}

/// Labels without the metric's name: what was calculated is not that metric any more.
fn nameless(mut labels: Labels) -> Labels {
    labels.remove(promql_parser::label::METRIC_NAME);
    labels
}

fn unsupported(what: &str) -> QueryError {
    QueryError::Unsupported(what.to_owned())
}
