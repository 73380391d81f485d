//! JSON as rules see it: with the types that the schema gives.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use kube_cel::cel::objects::{Key, Map as CelMap};
use kube_cel::cel::{Program, Value as Cel};
use serde_json::{Map, Value};

use super::cel::functions::base;
use super::cel::names::escaped;
use super::formats;
use super::node::Node;

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

/// The functions of CEL make these values, so that no other crate is needed for them.
struct Maker(LazyLock<Option<Program>>);

static TIME: Maker = Maker(LazyLock::new(|| Program::compile("timestamp(text)").ok()));
static DURATION: Maker = Maker(LazyLock::new(|| Program::compile("duration(text)").ok()));
static BYTES: Maker = Maker(LazyLock::new(|| {
    Program::compile("base64.decode(text)").ok()
}));

impl Maker {
    fn make(&self, text: String) -> Option<Cel> {
        let mut scope = base().new_inner_scope();
        scope.add_variable_from_value("text", text);
        self.0.as_ref()?.execute(&scope).ok()
    }
}
