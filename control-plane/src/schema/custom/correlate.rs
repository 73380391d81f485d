//! Which old value a new one replaces. What was invalid before and did not change stays allowed.

use serde_json::{Map, Value};

use super::node::Node;
use crate::schema::ListKind;
use crate::work::is_late;

/// A value, and the one at its place before.
#[derive(Clone, Copy)]
pub(super) struct Correlation<'a> {
    node: &'a Node,
    new: &'a Value,
    old: &'a Value,
}

impl<'a> Correlation<'a> {
    pub(super) fn new(node: &'a Node, new: &'a Value, old: &'a Value) -> Self {
        Self { node, new, old }
    }

    /// A field, if it was there before and is known.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        Some(Self {
            node: self.node.field(name)?,
            new: self.new.as_object()?.get(name)?,
            old: self.old.as_object()?.get(name)?,
        })
    }

    /// An item, if it can be told which one it was before: in map lists.
    pub(super) fn item(self, index: usize) -> Option<Self> {
        let new = self.new.as_array()?.get(index)?;
        Some(Self {
            node: self.node.items.as_deref()?,
            new,
            old: old_item(self.node, new, self.old)?,
        })
    }

    /// Whether nothing has changed. The order of map lists does not count.
    pub(super) fn is_unchanged(self) -> bool {
        match (self.new, self.old) {
            (Value::Array(new), Value::Array(old)) => {
                new.len() == old.len()
                    && match self.node.list_kind {
                        ListKind::Map(_) => (0..new.len())
                            .all(|index| self.item(index).is_some_and(Self::is_unchanged)),
                        _ => new == old,
                    }
            }
            (Value::Object(new), Value::Object(old)) => {
                let is_same = |name: &String| self.field(name).is_some_and(Self::is_unchanged);
                new.len() == old.len() && new.keys().all(is_same)
            }
            (new, old) => new == old,
        }
    }
}

/// The item of the old list that has the keys of the new one.
pub(super) fn old_item<'a>(node: &Node, new: &Value, old: &'a Value) -> Option<&'a Value> {
    let ListKind::Map(keys) = &node.list_kind else {
        return None;
    };
    if is_late(old) {
        return None;
    }
    let new = new.as_object()?;
    let is_scalar = |key: &String| {
        let value = new.get(key);
        value.is_some_and(|value| value.is_string() || value.is_number() || value.is_boolean())
    };
    if keys.is_empty() || !keys.iter().all(is_scalar) {
        return None;
    }
    let is_it = |old: &Map<String, Value>| keys.iter().all(|key| old.get(key) == new.get(key));
    old.as_array()?
        .iter()
        .find(|old| old.as_object().is_some_and(is_it))
}
