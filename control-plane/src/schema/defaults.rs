//! Fills in the defaults of a schema.

use serde_json::{Map, Value};

use super::{Form, Object, Schema};
use crate::bounds::{OBJECT_BYTES, json_size};
use crate::work::is_late;

/// Bytes of defaults that may still be filled in; none once a default was too much.
struct Room(usize);

impl Room {
    /// A copy of a default, if there is room; the last one may be larger than the room.
    fn take(&mut self, default: &Value) -> Option<Value> {
        if self.0 == 0 {
            return None;
        }
        self.0 = self.0.saturating_sub(json_size(default, self.0).max(1));
        Some(default.clone())
    }
}

impl Schema {
    /// Drops the nulls from objects that are no values, and that no default stands for. A real
    /// server does so when it decodes what a client sent, and when it stores; it does not with a
    /// configuration that is applied.
    pub fn drop_nulls(&self, value: &mut Value) {
        if is_late(value) {
            return;
        }
        match (&self.form, value) {
            (Form::Object(object), Value::Object(fields)) => {
                fields.retain(|name, value| {
                    !value.is_null() || !object.schema_of(name).is_some_and(Self::drops_null)
                });
                for (name, value) in fields {
                    if let Some(schema) = object.schema_of(name) {
                        schema.drop_nulls(value);
                    }
                }
            }
            (Form::List(list), Value::Array(items)) => {
                for item in items {
                    list.items.drop_nulls(item);
                }
            }
            _ => {}
        }
    }

    /// Fills in what the schema gives for fields that are absent, or null where null is no value.
    ///
    /// Defaults of items come once for each item. Once they are more than any object may have, the
    /// rest is left out: the object can't be stored.
    pub fn fill_defaults(&self, value: &mut Value) {
        let mut room = Room(OBJECT_BYTES);
        self.fill_below(value, &mut room);
    }

    fn fill_below(&self, value: &mut Value, room: &mut Room) {
        if is_late(value) {
            return;
        }
        match (&self.form, value) {
            (Form::Object(object), Value::Object(fields)) => object.fill_defaults(fields, room),
            (Form::List(list), Value::Array(items)) => {
                for item in items {
                    list.items.fill(item, room);
                }
            }
            _ => {}
        }
    }

    /// Whether [`fill_defaults`](Self::fill_defaults) would change a value.
    pub fn lacks_defaults(&self, value: &Value) -> bool {
        if is_late(value) {
            return false;
        }
        match (&self.form, value) {
            (Form::Object(object), Value::Object(fields)) => object.lacks_defaults(fields),
            (Form::List(list), Value::Array(items)) => {
                items.iter().any(|item| list.items.is_lacking(item))
            }
            _ => false,
        }
    }

    fn is_lacking(&self, value: &Value) -> bool {
        let stands_for_null = !self.nullable && self.default.is_some();
        value.is_null() && stands_for_null || self.lacks_defaults(value)
    }

    /// Fills in a value that is there, be it null.
    fn fill(&self, value: &mut Value, room: &mut Room) {
        if value.is_null()
            && !self.nullable
            && let Some(default) = &self.default
            && let Some(default) = room.take(default)
        {
            *value = default;
        }
        self.fill_below(value, room);
    }

    /// Null is no value, and nothing stands for it.
    fn drops_null(&self) -> bool {
        !self.nullable && self.default.is_none()
    }
}

impl Object {
    fn fill_defaults(&self, fields: &mut Map<String, Value>, room: &mut Room) {
        for (name, schema) in &self.properties {
            if let Some(default) = &schema.default
                && !fields.contains_key(name)
                && let Some(default) = room.take(default)
            {
                fields.insert(name.clone(), default);
            }
        }
        for (name, value) in fields {
            if let Some(schema) = self.schema_of(name) {
                schema.fill(value, room);
            }
        }
    }

    fn lacks_defaults(&self, fields: &Map<String, Value>) -> bool {
        let mut properties = self.properties.iter();
        let mut fields_there = fields.iter();
        properties.any(|(name, schema)| schema.default.is_some() && !fields.contains_key(name))
            || fields_there.any(|(name, value)| {
                let schema = self.schema_of(name);
                schema.is_some_and(|schema| schema.is_lacking(value))
            })
    }

    /// The schema of a field, if it is known.
    pub(super) fn schema_of(&self, name: &str) -> Option<&Schema> {
        let schema = self.properties.get(name).or(self.additional.as_ref());
        schema.map(AsRef::as_ref)
    }
}
