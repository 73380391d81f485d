//! Values as Go prints them: kube-apiserver's messages quote objects so.

use std::fmt::Write;

use serde_json::{Number, Value};

/// As `%v` prints it: `map[name:a ports:[80]]`.
pub(crate) fn plain(value: &Value) -> String {
    let mut text = String::new();
    write_plain(&mut text, value);
    text
}

fn write_plain(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::Bool(value) => push(text, value),
        Value::Number(value) => text.push_str(&number(value)),
        Value::String(value) => text.push_str(value),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(text, index, " ");
                write_plain(text, item);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            text.push_str("map[");
            for (index, (name, field)) in fields.iter().enumerate() {
                separate(text, index, " ");
                text.push_str(name);
                text.push(':');
                write_plain(text, field);
            }
            text.push(']');
        }
    }
}

/// As `%#v` prints it, which is Go's syntax: `map[string]interface {}{"name":"a"}`.
pub(crate) fn syntax(value: &Value) -> String {
    let mut text = String::new();
    write_syntax(&mut text, value);
    text
}

fn write_syntax(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("interface {}(nil)"),
        Value::Bool(value) => push(text, value),
        Value::Number(value) => text.push_str(&number(value)),
        Value::String(value) => text.push_str(&quoted(value)),
        Value::Array(items) => {
            text.push_str("[]interface {}{");
            for (index, item) in items.iter().enumerate() {
                separate(text, index, ", ");
                write_syntax(text, item);
            }
            text.push('}');
        }
        Value::Object(fields) => {
            text.push_str("map[string]interface {}{");
            for (index, (name, field)) in fields.iter().enumerate() {
                separate(text, index, ", ");
                text.push_str(&quoted(name));
                text.push(':');
                write_syntax(text, field);
            }
            text.push('}');
        }
    }
}

/// The Go type of a decoded value, as `%T` prints it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// What a value is in JSON, in the words of Go's decoder.
pub(crate) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A text as `%q` prints it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            control if control.is_ascii_control() => {
                push(&mut quoted, format_args!("\\x{:02x}", u32::from(control)));
            }
            control if control.is_control() => {
                push(&mut quoted, format_args!("\\u{:04x}", u32::from(control)));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A number as `%v` prints it: the shortest form, with an exponent only where it is very large or
/// very small.
pub(crate) fn number(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let size = float.abs();
    if size == 0.0 || (1e-4..1e21).contains(&size) {
        return float.to_string();
    }
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

fn separate(text: &mut String, index: usize, separator: &str) {
    if index > 0 {
        text.push_str(separator);
    }
}

fn push(text: &mut String, part: impl std::fmt::Display) {
    // Writing to a `String` never fails.
    let _ = write!(text, "{part}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prints_what_go_prints() {
        let value = json!({"b": [1, "x", null], "a": {"c": true, "d": 1.5}});
        assert_eq!(plain(&value), "map[a:map[c:true d:1.5] b:[1 x <nil>]]");
        assert_eq!(
            syntax(&value),
            r#"map[string]interface {}{"a":map[string]interface {}{"c":true, "d":1.5}, "b":[]interface {}{1, "x", interface {}(nil)}}"#
        );
    }

    #[test]
    fn prints_numbers_in_their_shortest_form() {
        for (value, text) in [
            (json!(1), "1"),
            (json!(1.0), "1"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(1e20), "100000000000000000000"),
            (json!(1.5e21), "1.5e+21"),
            (json!(-2.5e-7), "-2.5e-07"),
        ] {
            assert_eq!(plain(&value), text);
        }
    }

    #[test]
    fn quotes_control_characters() {
        assert_eq!(quoted("a\"\\\n\u{1}\u{85}é"), r#""a\"\\\n\x01\u0085é""#);
    }
}
