//! How large values are, and what functions cost by the sizes of their arguments. The unit is
//! a number that is copied.

use kube_cel::cel::objects::OptionalValue;
use kube_cel::cel::{ExecutionError, Value as Cel};

/// What a step of the interpreter costs.
pub(super) const STEP: u64 = 4;

/// Bytes of a text that are copied in the time of a number.
const TEXT: usize = 64;

/// What a map costs without its values, and a key: they are hashed again.
const MAP: u64 = 8;
const KEY: u64 = 4;

/// What copying a value costs.
pub(super) fn size(value: &Cel) -> u64 {
    match value {
        Cel::String(text) => text_size(text.len()),
        Cel::Bytes(bytes) => text_size(bytes.len()),
        Cel::List(items) => items.iter().fold(1, |sum, item| sum + size(item)),
        Cel::Map(map) => map
            .map
            .values()
            .fold(MAP, |sum, value| sum + KEY + size(value)),
        Cel::Opaque(opaque) => {
            let value = opaque.downcast_ref::<OptionalValue>();
            1 + value.and_then(OptionalValue::value).map_or(0, size)
        }
        _ => 1,
    }
}

/// What `size` gives: items, fields, characters or bytes.
pub(super) fn length(value: &Cel) -> Result<Cel, ExecutionError> {
    let length = match value {
        Cel::List(items) => items.len(),
        Cel::Map(map) => map.map.len(),
        Cel::String(text) => text.chars().count(),
        Cel::Bytes(bytes) => bytes.len(),
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    Ok(Cel::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn text_size(bytes: usize) -> u64 {
    1 + (bytes / TEXT) as u64
}

/// An argument of a function.
#[derive(Clone, Copy)]
pub(super) struct Measured {
    /// What copying it costs.
    size: u64,
    /// Bytes of a text, items of a list.
    length: u64,
    /// The number that it is, if it is one above 0; of a format, the digits that it asks for.
    number: u64,
}

pub(super) fn content(value: &Cel) -> Measured {
    let (length, number) = match value {
        Cel::String(text) => (text.len(), digits(text)),
        Cel::List(items) => (items.len(), 0),
        Cel::Int(number) => (1, u64::try_from(*number).unwrap_or(0)),
        Cel::UInt(number) => (1, *number),
        _ => (1, 0),
    };
    Measured {
        size: size(value),
        length: length as u64,
        number,
    }
}

/// The digits that a format asks for, as `%.20f` does 20.
fn digits(format: &str) -> u64 {
    let precisions = format.match_indices("%.").map(|(at, _)| {
        let digits = format.get(at + 2..).unwrap_or_default();
        let end = digits.find(|c: char| !c.is_ascii_digit());
        let digits = digits.get(..end.unwrap_or(digits.len()));
        let digits = digits.filter(|digits| !digits.is_empty());
        digits.map_or(0, |digits| digits.parse().unwrap_or(u64::MAX))
    });
    precisions.fold(0, u64::saturating_add)
}

/// Functions that can make much of little, or take more time than their arguments are long.
pub(super) fn multiplies(function: &str) -> bool {
    matches!(
        function,
        "replace"
            | "join"
            | "format"
            | "range"
            | "lists.range"
            | "distinct"
            | "contains"
            | "intersects"
            | "equivalent"
            | "indexOf"
            | "lastIndexOf"
            | "matches"
            | "find"
            | "findAll"
    )
}

/// What such a function costs.
pub(super) fn price(function: &str, arguments: &[Measured]) -> u64 {
    let sizes = arguments.iter().map(|argument| argument.size);
    let all = sizes.fold(0, u64::saturating_add);
    let extra = match (function, arguments) {
        ("replace", [text, from, to, ..]) => {
            let times = text.length / from.length.max(1) + 1;
            times.saturating_mul(to.length) / TEXT as u64
        }
        ("join", [list, between]) => list.length.saturating_mul(between.size),
        ("format", [format, ..]) => format.number,
        ("range" | "lists.range", [count, ..]) => count.number,
        ("distinct", [list, ..]) => list.length.saturating_mul(list.size),
        (_, [left, right, ..]) => left.size.saturating_mul(right.size),
        _ => 0,
    };
    all.saturating_add(extra)
}
