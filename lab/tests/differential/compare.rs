//! Where two answers differ.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::conversation::Answer;

/// A place at which two answers differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `status`, `contentType`, `warnings`, `retryAfter`, or a JSON pointer.
    pub path: String,
    /// What is there, as JSON; `nothing` if there is nothing.
    pub real: String,
    pub embedded: String,
}

/// All places at which two answers differ.
pub fn differences(real: &Answer, embedded: &Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    let heads = |answer: &Answer| {
        [
            ("status", json!(answer.status)),
            ("contentType", json!(answer.content_type)),
            ("warnings", json!(answer.warnings)),
            ("retryAfter", json!(answer.retry_after)),
        ]
    };
    for ((path, real), (_, embedded)) in heads(real).into_iter().zip(heads(embedded)) {
        walk(path.to_owned(), Some(&real), Some(&embedded), &mut found);
    }
    let (real, embedded) = (&real.body, &embedded.body);
    walk(String::new(), Some(real), Some(embedded), &mut found);
    found
}

fn walk(path: String, real: Option<&Value>, embedded: Option<&Value>, found: &mut Vec<Difference>) {
    match (real, embedded) {
        (Some(Value::Object(real)), Some(Value::Object(embedded))) => {
            let fields: BTreeSet<_> = real.keys().chain(embedded.keys()).collect();
            for field in fields {
                let escaped = field.replace('~', "~0").replace('/', "~1");
                let path = format!("{path}/{escaped}");
                walk(path, real.get(field), embedded.get(field), found);
            }
        }
        (Some(Value::Array(real)), Some(Value::Array(embedded)))
            if real.len() == embedded.len() =>
        {
            for (index, (real, embedded)) in real.iter().zip(embedded).enumerate() {
                walk(format!("{path}/{index}"), Some(real), Some(embedded), found);
            }
        }
        (real, embedded) if real == embedded => {}
        (real, embedded) => found.push(Difference {
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                path
            },
            real: shown(real),
            embedded: shown(embedded),
        }),
    }
}

fn shown(value: Option<&Value>) -> String {
    const LENGTH: usize = 1_500;
    let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
