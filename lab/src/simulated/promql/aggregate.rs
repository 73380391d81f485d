//! Aggregations.

use std::collections::BTreeMap;

use promql_parser::label::METRIC_NAME;
use promql_parser::parser::{AggregateExpr, LabelModifier};

use super::{Labels, QueryError, Value, unsupported};

/// Numbers of a group become one.
type Fold = fn(&[f64]) -> f64;

/// One number for each group of samples.
pub(super) fn aggregate(
    aggregation: &AggregateExpr,
    operand: Value,
) -> Result<Vec<(Labels, f64)>, QueryError> {
    let name = aggregation.op.to_string();
    let fold: Fold = match name.as_str() {
        "sum" => |numbers| numbers.iter().sum(),
        "avg" => |numbers| numbers.iter().sum::<f64>() / numbers.len() as f64,
        "count" => |numbers| numbers.len() as f64,
        // Rust's prefer what is a number, as Prometheus' do.
        "min" => |numbers| numbers.iter().copied().fold(f64::NAN, f64::min),
        "max" => |numbers| numbers.iter().copied().fold(f64::NAN, f64::max),
        _ => return Err(unsupported(&format!("the aggregation {name} is"))),
    };
    let Value::Vector(samples) = operand else {
        let what = format!("{name} is of a vector, and this is a number");
        return Err(QueryError::Execution(what));
    };
    let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for (labels, number) in samples {
        let group = group(labels, aggregation.modifier.as_ref());
        groups.entry(group).or_default().push(number);
    }
    let groups = groups.into_iter();
    Ok(groups
        .map(|(labels, numbers)| (labels, fold(&numbers)))
        .collect())
}

/// The labels that remain: with `by` those that are named, else all but those and the name.
fn group(mut labels: Labels, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        Some(LabelModifier::Include(kept)) => {
            labels.retain(|label, _| kept.labels.contains(label));
        }
        Some(LabelModifier::Exclude(dropped)) => {
            labels.retain(|label, _| label != METRIC_NAME && !dropped.labels.contains(label));
        }
        None => labels.clear(),
    }
    labels
}
