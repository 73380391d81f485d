//! The simple JSON paths of printer columns: `.status.conditions[?(@.type=="Ready")].status`.

use serde_json::Value;

/// The first value at a path; none if there is none or the path is not understood.
pub(super) fn first<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.trim();
    let path = path
        .strip_prefix('{')
        .and_then(|path| path.strip_suffix('}'))
        .unwrap_or(path);
    walk(value, path.strip_prefix('$').unwrap_or(path))
}

fn walk<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.trim_start_matches('.');
    if path.is_empty() {
        return Some(value);
    }
    if let Some(rest) = path.strip_prefix('[') {
        let end = end_of_bracket(rest)?;
        let (inner, rest) = rest.split_at(end);
        return bracket(value, inner.trim(), rest.strip_prefix(']')?);
    }
    let (name, rest) = name(path);
    walk(value.get(name)?, rest)
}

/// The bracket may hold texts with brackets.
fn end_of_bracket(text: &str) -> Option<usize> {
    let mut quote = None;
    for (index, letter) in text.char_indices() {
        match (quote, letter) {
            (None, ']') => return Some(index),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
    }
    None
}

fn bracket<'a>(value: &'a Value, inner: &str, rest: &str) -> Option<&'a Value> {
    if let Some(condition) = inner
        .strip_prefix("?(")
        .and_then(|inner| inner.strip_suffix(')'))
    {
        let (path, wanted, equal) = comparison(condition)?;
        let matches = |item: &&Value| {
            let found = walk(item, path.trim_start_matches('@'));
            found.is_some_and(|found| is(found, wanted) == equal)
        };
        let mut found = value.as_array()?.iter().filter(matches);
        return found.find_map(|item| walk(item, rest));
    }
    if inner == "*" {
        let mut items = value.as_array()?.iter();
        return items.find_map(|item| walk(item, rest));
    }
    if let Some(name) = unquoted(inner) {
        return walk(value.get(name)?, rest);
    }
    let index: i64 = inner.parse().ok()?;
    let items = value.as_array()?;
    let index = if index < 0 {
        items.len().checked_sub(usize::try_from(-index).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    walk(items.get(index)?, rest)
}

fn comparison(condition: &str) -> Option<(&str, &str, bool)> {
    let equals = condition.split_once("==").map(|parts| (parts, true));
    let differs = || condition.split_once("!=").map(|parts| (parts, false));
    let ((path, wanted), equal) = equals.or_else(differs)?;
    Some((path.trim(), wanted.trim(), equal))
}

fn is(found: &Value, wanted: &str) -> bool {
    match (found, unquoted(wanted)) {
        (Value::String(found), Some(wanted)) => found == wanted,
        (found, None) => *found.to_string() == *wanted,
        _ => false,
    }
}

fn unquoted(text: &str) -> Option<&str> {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

/// A name, in which dots may be escaped, and what follows it.
fn name(path: &str) -> (String, &str) {
    let mut name = String::new();
    let mut letters = path.char_indices();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '\\' => name.extend(letters.next().map(|(_, letter)| letter)),
            '.' | '[' => return (name, path.get(index..).unwrap_or_default()),
            letter => name.push(letter),
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_what_columns_ask_for() {
        let object = json!({
            "spec": {"replicas": 3, "a.b": "dot"},
            "status": {"conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "Other", "status": "False"},
            ]},
        });
        let cases = [
            (".spec.replicas", Some(json!(3))),
            (".spec['a.b']", Some(json!("dot"))),
            (".spec.a\\.b", Some(json!("dot"))),
            (
                ".status.conditions[?(@.type==\"Other\")].status",
                Some(json!("False")),
            ),
            (".status.conditions[?(@.type=='None')].status", None),
            (".status.conditions[0].type", Some(json!("Ready"))),
            (".status.conditions[-1].type", Some(json!("Other"))),
            (".status.conditions[*].status", Some(json!("True"))),
            (".status.conditions[9]", None),
            (".[", None),
        ];
        for (path, expected) in cases {
            assert_eq!(first(&object, path), expected.as_ref(), "{path}");
        }
    }
}
