//! Drops the fields that a schema does not know.

use serde_json::{Map, Value};

use super::{Form, Object, Schema, builtin};
use crate::work::is_late;

impl Schema {
    /// Drops the unknown fields of an object of this kind, and says which they were
    /// (`spec.containers[0].foo`), in order. Unknown fields at the top that are called as type
    /// metadata are dropped without a word, and `metadata` is always known.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut pruned = Pruned::default();
        match (&self.form, object) {
            (Form::Any, Value::Object(fields)) => pruned.metadata(fields),
            (Form::Object(known), Value::Object(fields)) => pruned.object(fields, known, true),
            (_, object) => pruned.value(object, Some(self)),
        }
        pruned.unknown.sort();
        pruned.unknown
    }

    /// Drops the unknown fields of a value somewhere inside an object. Returns them as
    /// [`prune`](Self::prune) does, beginning at the value.
    pub fn prune_value(&self, value: &mut Value) -> Vec<String> {
        let mut pruned = Pruned::default();
        pruned.value(value, Some(self));
        pruned.unknown.sort();
        pruned.unknown
    }
}

#[derive(Default)]
struct Pruned {
    /// Where it is now.
    path: String,
    unknown: Vec<String>,
}

impl Pruned {
    /// Without a schema, the fields of every object are unknown.
    fn value(&mut self, value: &mut Value, schema: Option<&Schema>) {
        if is_late(value) {
            return;
        }
        match (value, schema.map(|schema| &schema.form)) {
            (_, Some(Form::Any)) => {}
            (Value::Object(fields), Some(Form::Object(object))) => {
                self.object(fields, object, object.embedded_resource);
            }
            (Value::Object(fields), _) => {
                for name in fields.keys() {
                    self.record(name);
                }
                fields.clear();
            }
            (Value::Array(items), form) => {
                let items_schema = match form {
                    Some(Form::List(list)) => Some(list.items.as_ref()),
                    _ => None,
                };
                for (index, item) in items.iter_mut().enumerate() {
                    let step = format!("[{index}]");
                    self.within(&step, |pruned| pruned.value(item, items_schema));
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, fields: &mut Map<String, Value>, known: &Object, is_resource: bool) {
        if is_resource {
            self.metadata(fields);
        }
        fields.retain(|name, value| {
            let is_meta = matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
            if is_resource && is_meta {
                return true;
            }
            if let Some(schema) = known.schema_of(name) {
                self.field(name, |pruned| pruned.value(value, Some(schema)));
                return true;
            }
            if !(known.preserve_unknown || (is_meta && self.path.is_empty())) {
                self.record(name);
            }
            known.preserve_unknown
        });
    }

    /// The metadata of a resource, which has a schema of its own.
    fn metadata(&mut self, fields: &mut Map<String, Value>) {
        if let Some(value) = fields.get_mut("metadata") {
            let schema = builtin::metadata();
            self.field("metadata", |pruned| pruned.value(value, Some(schema)));
        }
    }

    fn record(&mut self, name: &str) {
        self.field(name, |pruned| pruned.unknown.push(pruned.path.clone()));
    }

    fn field(&mut self, name: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        visit(self);
        self.path.truncate(length);
    }

    fn within(&mut self, step: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        visit(self);
        self.path.truncate(length);
    }
}
