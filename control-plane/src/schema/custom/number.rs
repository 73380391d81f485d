//! Numbers as `kube-openapi` compares them: whole ones as whole ones, with the bound cut to one.

use serde_json::Number;

use super::node::Bound;
use crate::schema::render;

/// Whether a number is whole, or so close to it that it counts.
pub(super) fn is_whole(number: f64) -> bool {
    const MAX: f64 = 9_007_199_254_740_991.0;
    if !number.is_finite() || number.abs() > MAX {
        return false;
    }
    let whole = number.trunc();
    let difference = (number - whole).abs();
    difference == 0.0 || difference / (number.abs() + whole.abs()) < 1e-9
}

/// Whether a number keeps to a bound.
pub(super) fn is_within(number: &Number, bound: Bound, is_maximum: bool) -> bool {
    let ordering = match number.as_i64() {
        Some(number) => number.partial_cmp(&(bound.value as i64)),
        None => number
            .as_f64()
            .and_then(|number| number.partial_cmp(&bound.value)),
    };
    ordering.is_none_or(|ordering| {
        let is_beyond = if is_maximum {
            ordering.is_gt()
        } else {
            ordering.is_lt()
        };
        !(is_beyond || (bound.is_exclusive && ordering.is_eq()))
    })
}

/// Whether a number is a multiple of a factor; none if the factor is not positive.
pub(super) fn is_multiple(number: &Number, factor: f64) -> Option<bool> {
    if let Some(number) = number.as_i64() {
        let factor = factor as i64;
        return (factor > 0).then(|| number % factor == 0);
    }
    let number = number.as_f64().unwrap_or_default();
    (factor > 0.0).then(|| {
        is_whole(if factor < 1.0 {
            1.0 / factor * number
        } else {
            number / factor
        })
    })
}

/// A bound or factor as it is written beside a number.
pub(super) fn factor(number: &Number, factor: f64) -> String {
    if number.is_f64() {
        render::float(factor)
    } else {
        (factor as i64).to_string()
    }
}

/// Whether a number is one of an enumeration, after it is converted to the type of that one.
pub(super) fn is_same(number: &Number, known: &Number) -> bool {
    match known.as_i64() {
        Some(known) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|number| number as i64))
            .is_some_and(|number| number == known),
        None => number.as_f64() == known.as_f64(),
    }
}
