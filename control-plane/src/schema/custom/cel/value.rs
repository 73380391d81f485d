//! JSON as rules see it: with the types that the schema gives.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use kube_cel::cel::objects::{Key, Map as CelMap};
use kube_cel::cel::{Program, Value as Cel};
use serde_json::{Map, Value};

use super::super::formats;
use super::super::node::Node;

/// Words that mean something in CEL. A field of that name is written with underscores around it.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The value as a rule sees it. Of an object's metadata, rules see the names.
pub(super) fn of(value: &Value, node: &Node, is_resource: bool) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(bool) => Cel::Bool(*bool),
        Value::Number(_) if node.types == ["number"] => {
            Cel::Float(value.as_f64().unwrap_or_default())
        }
        Value::Number(number) => match number.as_i64() {
            Some(number) => Cel::Int(number),
            None => Cel::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => of_text(text, node),
        Value::Array(items) => {
            let of_item = |item| node.items.as_ref().map(|node| of(item, node, false));
            Cel::List(Arc::new(items.iter().filter_map(of_item).collect()))
        }
        Value::Object(fields) => of_fields(fields, node, is_resource || node.embedded_resource),
    }
}

fn of_text(text: &str, node: &Node) -> Cel {
    let format = node.format.as_ref().map(|format| format.name.as_str());
    let special = match format {
        Some("duration") => {
            let nanoseconds = formats::duration(text);
            nanoseconds.and_then(|nanoseconds| DURATION.make(format!("{nanoseconds}ns")))
        }
        Some("date-time") => TIME.make(text.to_string()),
        Some("date") => TIME.make(format!("{text}T00:00:00Z")),
        Some("byte") => BYTES.make(text.to_string()),
        _ => None,
    };
    special.unwrap_or_else(|| Cel::String(Arc::new(text.to_string())))
}

fn of_fields(fields: &Map<String, Value>, node: &Node, is_resource: bool) -> Cel {
    let mut map = HashMap::with_capacity(fields.len());
    let is_struct = is_resource || !node.properties.is_empty();
    for (name, value) in fields {
        let seen = match node.field(name) {
            _ if is_resource && name == "metadata" => Some(metadata(value)),
            Some(node) => Some(of(value, node, false)),
            None if is_resource && matches!(name.as_str(), "apiVersion" | "kind") => {
                Some(of(value, &Node::default(), false))
            }
            None => None,
        };
        let key = if is_struct {
            escaped(name)
        } else {
            Some(name.clone())
        };
        if let (Some(key), Some(seen)) = (key, seen) {
            map.insert(Key::String(Arc::new(key)), seen);
        }
    }
    Cel::Map(CelMap { map: Arc::new(map) })
}

fn metadata(value: &Value) -> Cel {
    static NAMES: LazyLock<Node> = LazyLock::new(|| {
        let names = ["name", "generateName"].map(|name| (name.to_string(), Node::default()));
        Node {
            properties: names.into(),
            ..Node::default()
        }
    });
    of(value, &NAMES, false)
}

/// A field's name in CEL; none if it can't be written there.
pub(super) fn escaped(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(is_known)
    {
        return None;
    }
    let name = name.replace("__", "\0");
    let name = name.replace('.', "__dot__").replace('-', "__dash__");
    Some(
        name.replace('/', "__slash__")
            .replace('\0', "__underscores__"),
    )
}

/// The functions of CEL make these values, so that no other crate is needed for them.
struct Maker(LazyLock<Option<Program>>);

static TIME: Maker = Maker(LazyLock::new(|| Program::compile("timestamp(text)").ok()));
static DURATION: Maker = Maker(LazyLock::new(|| Program::compile("duration(text)").ok()));
static BYTES: Maker = Maker(LazyLock::new(|| {
    Program::compile("base64.decode(text)").ok()
}));

impl Maker {
    fn make(&self, text: String) -> Option<Cel> {
        let mut scope = super::base().new_inner_scope();
        scope.add_variable_from_value("text", text);
        self.0.as_ref()?.execute(&scope).ok()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_escaped() {
        for (name, expected) in [
            ("a_b", Some("a_b")),
            ("a__b", Some("a__underscores__b")),
            ("a.b-c/d", Some("a__dot__b__dash__c__slash__d")),
            ("namespace", Some("__namespace__")),
            ("1a", None),
            ("é", None),
            ("$a", None),
        ] {
            assert_eq!(super::escaped(name).as_deref(), expected, "{name}");
        }
    }
}
