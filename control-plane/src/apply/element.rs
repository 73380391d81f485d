//! One step of a path: which field of an object, or which item of a list.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Number, Value};

use crate::patch::print;

/// One step of a path.
///
/// Two steps are equal if the same item is meant: `1` and `1.0` are the same value.
#[derive(Clone, Debug)]
pub(super) enum PathElement {
    /// A field of an object, or an entry of a map.
    Field(String),
    /// The item of a list that has these values under its keys; sorted by key.
    Key(Vec<(String, Value)>),
    /// The item of a list that is this value.
    Value(Value),
    /// The item at this place of a list.
    Index(i64),
}

/// A text that is no path element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAnElement;

impl PathElement {
    /// Reads the form that managed fields have: `f:name`, `k:{"key":"value"}`, `v:"value"`, `i:0`.
    /// None if it is of a sort that a later version may know.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, NotAnElement> {
        if text.as_bytes().get(1) != Some(&b':') {
            return Err(NotAnElement);
        }
        let Some((sort, rest)) = text.split_once(':') else {
            return Err(NotAnElement);
        };
        let element = match sort {
            "f" => Self::Field(rest.to_owned()),
            "k" => {
                let fields = serde_json::from_str::<Map<String, Value>>(rest);
                Self::key(fields.map_err(|_| NotAnElement)?.into_iter().collect())
            }
            "v" => Self::Value(serde_json::from_str(rest).map_err(|_| NotAnElement)?),
            "i" => Self::Index(rest.parse().map_err(|_| NotAnElement)?),
            _ => return Ok(None),
        };
        Ok(Some(element))
    }

    /// The item with these values under its keys.
    pub(super) fn key(mut fields: Vec<(String, Value)>) -> Self {
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self::Key(fields)
    }

    /// The form that managed fields have.
    pub(super) fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let mut text = String::from("k:{");
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    text.push_str(&json(&Value::String(name.clone())));
                    text.push(':');
                    text.push_str(&json(value));
                }
                text.push('}');
                text
            }
            Self::Value(value) => format!("v:{}", json(value)),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

/// JSON as Go writes it, which keeps it harmless inside HTML.
pub(super) fn json(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// As conflicts name it: `.name`, `[name="a"]`, `[="a"]`, `[0]`.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", readable(value))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", readable(value)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

fn readable(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => print::number(number),
        Value::String(text) => print::quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(readable).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| [name, "=", &readable(value)].concat());
            fields.collect::<Vec<_>>().concat()
        }
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => compare_fields(
                a.iter().map(|(name, value)| (name, value)),
                b.iter().map(|(name, value)| (name, value)),
            ),
            (Self::Value(a), Self::Value(b)) => compare(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for PathElement {}

/// An order of all values: numbers by size, whatever their form, then texts, then the rest.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let unequal = a.iter().zip(b).map(|(a, b)| compare(a, b));
            let unequal = unequal.into_iter().find(|order| order.is_ne());
            unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => compare_fields(a.iter(), b.iter()),
        _ => value_rank(a).cmp(&value_rank(b)),
    }
}

fn value_rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

fn compare_fields<'a>(
    mut a: impl Iterator<Item = (&'a String, &'a Value)>,
    mut b: impl Iterator<Item = (&'a String, &'a Value)>,
) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((a_name, a)), Some((b_name, b))) => {
                let order = a_name.cmp(b_name).then_with(|| compare(a, b));
                if order.is_ne() {
                    return order;
                }
            }
        }
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.cmp(&b);
    }
    if let (Some(a), Some(b)) = (a.as_u64(), b.as_u64()) {
        return a.cmp(&b);
    }
    let (a, b) = (a.as_f64(), b.as_f64());
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// The same value, however its numbers are written.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b).is_eq(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len()
                && pairs.all(|((a_name, a), (b_name, b))| a_name == b_name && same(a, b))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn html_is_escaped_in_values() {
        let element = PathElement::Value(json!("<&>"));
        assert_eq!(element.encode(), r#"v:"\u003c\u0026\u003e""#);
        assert_eq!(PathElement::parse(&element.encode()), Ok(Some(element)));
    }

    #[test]
    fn numbers_are_compared_by_size() {
        let element = |value: Value| PathElement::Value(value);
        assert_eq!(element(json!(1)), element(json!(1.0)));
        assert!(element(json!(2)) < element(json!(10)));
        assert!(element(json!(10)) < element(json!("1")));
    }
}
