//! Operators between two values.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::METRIC_NAME;
use promql_parser::parser::{
    BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality, VectorMatchFillValues,
};

use super::{Labels, QueryError, Value, nameless, unsupported};

/// What an operator does with two numbers.
enum Operator {
    Arithmetic(fn(f64, f64) -> f64),
    Comparison(fn(f64, f64) -> bool),
}

/// The operator between the operands' values.
pub(super) fn apply(
    operation: &BinaryExpr,
    left: Value,
    right: Value,
) -> Result<Value, QueryError> {
    let operator = Operator::of(operation)?;
    let modifier = operation.modifier.as_ref();
    let as_number = modifier.is_some_and(|modifier| modifier.return_bool);
    let number = |one: f64, other: f64| operator.number(one, other);
    match (left, right) {
        (Value::Scalar(one), Value::Scalar(other)) => Ok(Value::Scalar(number(one, other))),
        (Value::Vector(samples), Value::Scalar(other)) => Ok(Value::Vector(
            (samples.into_iter())
                .filter_map(|(labels, one)| operator.sample(labels, (one, other), one, as_number))
                .collect(),
        )),
        (Value::Scalar(one), Value::Vector(samples)) => Ok(Value::Vector(
            (samples.into_iter())
                .filter_map(|(labels, other)| {
                    operator.sample(labels, (one, other), other, as_number)
                })
                .collect(),
        )),
        (Value::Vector(left), Value::Vector(right)) => {
            matched(&operator, modifier, left, right, as_number).map(Value::Vector)
        }
    }
}

impl Operator {
    fn of(operation: &BinaryExpr) -> Result<Self, QueryError> {
        let name = operation.op.to_string();
        Ok(match name.as_str() {
            "+" => Self::Arithmetic(|one, other| one + other),
            "-" => Self::Arithmetic(|one, other| one - other),
            "*" => Self::Arithmetic(|one, other| one * other),
            "/" => Self::Arithmetic(|one, other| one / other),
            "%" => Self::Arithmetic(|one, other| one % other),
            "^" => Self::Arithmetic(f64::powf),
            // As IEEE 754 has it, and Prometheus.
            #[expect(clippy::float_cmp)]
            "==" => Self::Comparison(|one, other| one == other),
            #[expect(clippy::float_cmp)]
            "!=" => Self::Comparison(|one, other| one != other),
            ">" => Self::Comparison(|one, other| one > other),
            "<" => Self::Comparison(|one, other| one < other),
            ">=" => Self::Comparison(|one, other| one >= other),
            "<=" => Self::Comparison(|one, other| one <= other),
            _ => return Err(unsupported(&format!("the operator {name} is"))),
        })
    }

    /// The result, where true is 1.
    fn number(&self, one: f64, other: f64) -> f64 {
        match self {
            Self::Arithmetic(calculate) => calculate(one, other),
            Self::Comparison(holds) => f64::from(u8::from(holds(one, other))),
        }
    }

    /// What becomes of a sample: a comparison keeps it as it is where it holds, or makes a number
    /// of it.
    fn sample(
        &self,
        labels: Labels,
        (one, other): (f64, f64),
        kept: f64,
        as_number: bool,
    ) -> Option<(Labels, f64)> {
        match self {
            Self::Comparison(holds) if !as_number => holds(one, other).then_some((labels, kept)),
            _ => Some((nameless(labels), self.number(one, other))),
        }
    }
}

/// The operator between the samples that have the same labels, one to one.
fn matched(
    operator: &Operator,
    modifier: Option<&BinModifier>,
    left: Vec<(Labels, f64)>,
    right: Vec<(Labels, f64)>,
    as_number: bool,
) -> Result<Vec<(Labels, f64)>, QueryError> {
    let matching = match modifier {
        Some(modifier) if modifier.card != VectorMatchCardinality::OneToOne => {
            return Err(unsupported("group_left and group_right are"));
        }
        Some(modifier) if modifier.fill_values != VectorMatchFillValues::default() => {
            return Err(unsupported("fill is"));
        }
        Some(modifier) => modifier.matching.as_ref(),
        None => None,
    };
    let mut others = BTreeMap::new();
    for (labels, number) in right {
        let signature = signature(labels, matching);
        if others.contains_key(&signature) {
            return Err(ambiguous(&signature, "right"));
        }
        others.insert(signature, number);
    }
    let (mut seen, mut results) = (BTreeSet::new(), Vec::new());
    for (labels, one) in left {
        let signature = signature(labels.clone(), matching);
        let Some(other) = others.get(&signature) else {
            continue;
        };
        if !seen.insert(signature.clone()) {
            return Err(ambiguous(&signature, "left"));
        }
        // The labels that were compared remain, and the name where a comparison selects.
        let mut remaining = signature;
        if let (Some(name), None | Some(LabelModifier::Exclude(_))) =
            (labels.get(METRIC_NAME), matching)
        {
            remaining.insert(METRIC_NAME.to_owned(), name.clone());
        }
        results.extend(operator.sample(remaining, (one, *other), one, as_number));
    }
    Ok(results)
}

/// The labels by which samples belong together.
fn signature(labels: Labels, matching: Option<&LabelModifier>) -> Labels {
    let mut labels = nameless(labels);
    match matching {
        Some(LabelModifier::Include(on)) => labels.retain(|label, _| on.labels.contains(label)),
        Some(LabelModifier::Exclude(ignored)) => {
            labels.retain(|label, _| !ignored.labels.contains(label));
        }
        None => {}
    }
    labels
}

fn ambiguous(labels: &Labels, side: &str) -> QueryError {
    QueryError::Execution(format!(
        "several samples of the {side} side have the labels {labels:?}: aggregate that side by them"
    ))
}
