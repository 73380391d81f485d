//! What must differ between two servers, replaced by what need not.
//!
//! A uid becomes `<uid 1>` wherever it stands, the next `<uid 2>`, and so on; resource versions,
//! generated names, cluster IPs and node ports likewise. So what is equal in one server's answers
//! must be equal in the other's.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};
use serde_json::Value;

/// Knows what it has replaced in a conversation so far.
#[derive(Default)]
pub struct Normalizer {
    uids: Vec<String>,
    revisions: Vec<String>,
    addresses: Vec<String>,
    ports: Vec<String>,
    /// Names that a server has made up, each with what it was made from.
    generated: Vec<(String, String)>,
}

static UID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").unwrap()
});
static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap());
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b10\.96\.\d+\.\d+\b").unwrap());
static NODE_PORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b3[0-2]\d{3}\b").unwrap());
/// Revisions that messages tell of and that no client has named.
static REVISION: LazyLock<Regex> = LazyLock::new(|| {
    let before = [
        "too old resource version: ",
        "current: ",
        "ResourceVersion in object meta: ",
        r"ResourceVersion in record \(",
        // Objects that messages quote, and YAML.
        r#"resourceVersion\\?"?: ?\\?""#,
    ];
    let before = before.join("|");
    Regex::new(&format!(r"({before})\d+( \(\d+\))?")).unwrap()
});
static AGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\d{1,3}s$").unwrap());

impl Normalizer {
    /// Normalizes an answer.
    pub fn normalize(&mut self, answer: &mut Value) {
        if let Value::Array(events) = answer {
            // When a server says how far it is depends on its timers.
            events.dedup_by(|next, event| is_bookmark(event) && is_plain_bookmark(next));
        }
        self.learn_names(answer);
        self.walk("", answer);
    }

    /// Normalizes a text.
    pub fn text(&mut self, text: &str) -> String {
        let text = UID.replace_all(text, |found: &Captures<'_>| {
            numbered("uid", &mut self.uids, &found[0])
        });
        let text = ADDRESS.replace_all(&text, |found: &Captures<'_>| {
            numbered("cluster IP", &mut self.addresses, &found[0])
        });
        let text = TIME.replace_all(&text, |found: &Captures<'_>| time(&found[0]));
        let text = REVISION.replace_all(&text, "$1<revision>");
        let mut text = text.into_owned();
        for (name, stand_in) in &self.generated {
            text = text.replace(name, stand_in);
        }
        text
    }

    fn learn_names(&mut self, value: &Value) {
        if let Some(prefix) = value
            .pointer("/metadata/generateName")
            .and_then(Value::as_str)
            && let Some(name) = value.pointer("/metadata/name").and_then(Value::as_str)
            && name
                .strip_prefix(prefix)
                .is_some_and(|suffix| suffix.len() == 5)
            && self.generated.iter().all(|(known, _)| known != name)
        {
            let stand_in = format!("{prefix}<generated {}>", self.generated.len() + 1);
            self.generated.push((name.to_owned(), stand_in));
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|value| self.learn_names(value)),
            Value::Array(items) => items.iter().for_each(|value| self.learn_names(value)),
            _ => {}
        }
    }

    fn walk(&mut self, field: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if let Some(metadata) = of_list(fields) {
                    *metadata = "<revision>".into();
                }
                // In an order that does not depend on the server.
                let mut all: Vec<_> = std::mem::take(fields).into_iter().collect();
                all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                for (name, mut value) in all {
                    self.walk(&name, &mut value);
                    fields.insert(self.text(&name), value);
                }
            }
            Value::Array(items) if field == "cells" => {
                items.iter_mut().for_each(|item| self.cell(item));
            }
            Value::Array(items) if field == "managedFields" => {
                // They are sorted by time, and thus by whether a second has passed.
                let by = ["manager", "operation", "subresource"];
                items.sort_by_key(|entry| by.map(|field| entry.get(field).map(Value::to_string)));
                items.iter_mut().for_each(|item| self.walk(field, item));
            }
            Value::Array(rules)
                if field.ends_with("resourceRules") || field == "nonResourceRules" =>
            {
                // The real server collects them in no order.
                rules.sort_by_key(Value::to_string);
                rules.iter_mut().for_each(|rule| self.walk(field, rule));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(field, item)),
            Value::String(text) => *text = self.field(field, text),
            Value::Number(number) if field == "nodePort" => {
                *value = numbered("node port", &mut self.ports, &number.to_string()).into();
            }
            _ => {}
        }
    }

    fn field(&mut self, name: &str, text: &str) -> String {
        match name {
            "resourceVersion" if text.starts_with('<') || text.is_empty() => text.to_owned(),
            "resourceVersion" => numbered("revision", &mut self.revisions, text),
            "continue" if !text.is_empty() => "<continue>".to_owned(),
            "token" => "<token>".to_owned(),
            "serverAddress" => "<server address>".to_owned(),
            _ => self.text(text),
        }
    }

    fn cell(&mut self, cell: &mut Value) {
        let Value::String(text) = cell else { return };
        let normal = if AGE.is_match(text) {
            "<age>".to_owned()
        } else {
            let text = self.text(text);
            let port = |found: &Captures<'_>| numbered("node port", &mut self.ports, &found[0]);
            NODE_PORT.replace_all(&text, port).into_owned()
        };
        *text = normal;
    }
}

/// The resource version of a list or bookmark: how far the server is, with what others have written.
fn of_list(fields: &mut serde_json::Map<String, Value>) -> Option<&mut Value> {
    let kind = fields
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if kind.ends_with("List") || kind == "Table" {
        return fields.get_mut("metadata")?.get_mut("resourceVersion");
    }
    if fields.get("type").and_then(Value::as_str) == Some("BOOKMARK") {
        return fields
            .get_mut("object")?
            .pointer_mut("/metadata/resourceVersion");
    }
    None
}

fn is_bookmark(event: &Value) -> bool {
    event.get("type").and_then(Value::as_str) == Some("BOOKMARK")
}

/// One that says no more than how far the server is.
fn is_plain_bookmark(event: &Value) -> bool {
    is_bookmark(event) && event.pointer("/object/metadata/annotations").is_none()
}

fn numbered(what: &str, seen: &mut Vec<String>, text: &str) -> String {
    let index = seen
        .iter()
        .position(|known| known == text)
        .unwrap_or_else(|| {
            seen.push(text.to_owned());
            seen.len() - 1
        });
    format!("<{what} {}>", index + 1)
}

/// A time close to now is one that the server has set.
fn time(text: &str) -> String {
    let near = text.parse::<Timestamp>().is_ok_and(|time| {
        Timestamp::now().duration_since(time).abs() < SignedDuration::from_hours(2)
    });
    match (near, text.contains('.')) {
        (false, _) => text.to_owned(),
        (true, false) => "<now>".to_owned(),
        (true, true) => "<now, to the microsecond>".to_owned(),
    }
}
