//! Objects as rows of tables, as `kubectl get` shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kinds::Resource;
use crate::meta::{name, text};

/// How the objects of a resource become rows.
pub(crate) struct Table<'a> {
    resource: &'a Resource,
    now: Timestamp,
}

impl<'a> Table<'a> {
    pub(crate) fn of(resource: &'a Resource, now: Timestamp) -> Self {
        Self { resource, now }
    }

    /// The column definitions.
    pub(crate) fn columns(&self) -> Value {
        let _ = (self.resource, self.now);
        json!([
            {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
            {"name": "Created At", "type": "date", "format": "", "description": "", "priority": 0},
        ])
    }

    /// The cells of an object.
    pub(crate) fn cells(&self, object: &Value) -> Vec<Value> {
        vec![
            name(object).into(),
            text(object, "/metadata/creationTimestamp").into(),
        ]
    }
}
