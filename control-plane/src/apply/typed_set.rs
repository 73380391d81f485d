//! Sets of fields, seen with the schema of the object.

use super::element::PathElement;
use super::field_set::FieldSet;
use super::shape::{ANY, MapShape};
use crate::schema::{Form, ListKind, Schema};

impl FieldSet {
    /// The set with every named field above its fields: with `.spec.replicas` comes `.spec`. The
    /// entries of maps and the items of lists are no named fields.
    pub(super) fn with_named_fields(&self, schema: &Schema) -> Self {
        let mut set = Self::default();
        for node in self.nodes() {
            let (below, named) = match (&node.element, &schema.form) {
                (PathElement::Field(name), Form::Object(_) | Form::Any) => {
                    let map = MapShape::of(schema);
                    (map.field(name), map.is_declared(name))
                }
                (PathElement::Key(_), Form::List(list)) => (&*list.items, false),
                _ => (&ANY, false),
            };
            let owned = node.owned || (named && !node.below.is_empty());
            let below = node.below.with_named_fields(below);
            set.add(node.element.clone(), owned, below);
        }
        set
    }

    /// Fits the set to the schema as it is now: what has become atomic since is owned as a whole.
    pub(super) fn fit(&mut self, schema: &Schema) {
        self.change_below(|element, owned, below| {
            let schema = match (element, &schema.form) {
                (PathElement::Field(name), Form::Object(_)) => {
                    MapShape::of(schema).known_field(name)
                }
                (_, Form::List(list)) => Some(&*list.items),
                _ => None,
            };
            match schema {
                Some(schema) if is_atomic(schema) => {
                    *owned = true;
                    *below = Self::default();
                }
                Some(schema) => below.fit(schema),
                None => {}
            }
        });
    }
}

fn is_atomic(schema: &Schema) -> bool {
    match &schema.form {
        // Of an object that nothing is known of, this is not asked.
        Form::Object(object) => {
            object.atomic && !(object.properties.is_empty() && object.additional.is_none())
        }
        Form::List(list) => list.kind == ListKind::Atomic,
        _ => false,
    }
}
