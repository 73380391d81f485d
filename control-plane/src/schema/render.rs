//! How values stand in error messages: as Go writes them, for the messages are compared.

use std::fmt::Write;

use serde_json::{Number, Value};

/// A text in double quotes (`%q`).
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => escape(&mut out, c),
        }
    }
    out.push('"');
    out
}

fn is_printable(c: char) -> bool {
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_format(c))
}

/// The invisible characters that are met in practice: zero-width and direction marks, the byte
/// order mark, private use.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..)
}

fn escape(out: &mut String, c: char) {
    let code = u32::from(c);
    // Writing to a text never fails.
    let _ = match code {
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// A number (`%v`).
pub fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => self::float(float),
        _ => number.to_string(),
    }
}

/// A floating-point number (`%v`): the shortest that reads back, with an exponent below 1e-4 and
/// from 1e21 on.
pub fn float(float: f64) -> String {
    with_exponent(float, float.abs() < 1e-4 || float.abs() >= 1e21, 2)
}

fn with_exponent(float: f64, wanted: bool, digits: usize) -> String {
    if !wanted || float == 0.0 {
        return format!("{float}");
    }
    let text = format!("{float:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{exponent:0>digits$}")
}

/// A value as compact JSON, keys in order, with `<`, `>` and `&` escaped.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value);
    out
}

fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => {
                let wanted = float.abs() < 1e-6 || float.abs() >= 1e21;
                out.push_str(&with_exponent(float, wanted, 1));
            }
            _ => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_json_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json_text(out, name);
                out.push(':');
                write_json(out, value);
            }
            out.push('}');
        }
    }
}

pub(super) fn write_json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn texts_are_quoted() {
        for (text, expected) in [
            ("plain", r#""plain""#),
            ("a\"b\\c\n", r#""a\"b\\c\n""#),
            ("\u{1b}\u{a0}é日", r#""\x1b\u00a0é日""#),
        ] {
            assert_eq!(super::quoted(text), expected);
        }
    }

    #[test]
    fn numbers_are_the_shortest() {
        for (float, expected) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (100_000_000.0, "100000000"),
            (1e21, "1e+21"),
            (1e-5, "1e-05"),
            (0.0, "0"),
        ] {
            assert_eq!(super::float(float), expected);
        }
    }

    #[test]
    fn json_is_compact_and_safe_in_html() {
        let value = json!({"b": [1, 2.0, 1e-7, null, true], "a": "<&>\u{1}"});
        let expected = r#"{"a":"\u003c\u0026\u003e\u0001","b":[1,2,1e-7,null,true]}"#;
        assert_eq!(super::json(&value), expected);
    }
}
