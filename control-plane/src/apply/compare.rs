//! What changed between two values: the fields that came, that went and that are different.
//!
//! Both values are only read, and what is equal is not walked through.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::mem::discriminant;

use serde_json::{Map, Value};

use super::element::{PathElement, same};
use super::field_set::FieldSet;
use super::shape::{ListShape, MapShape, Shape};
use crate::schema::Schema;
use crate::work::is_late;

/// What changed. No field is in two of the sets, but for items that come several times.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

/// An item cannot be told from others; where, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Incomparable;

impl Comparison {
    /// Compares two values of a type. Where one of them lacks a field that `blank` has, it counts
    /// as having it from there.
    pub(super) fn of(
        old: &Value,
        new: &Value,
        blank: &Value,
        schema: &Schema,
    ) -> Result<Self, Incomparable> {
        let sides = Sides {
            old: Some(old),
            new: Some(new),
            blank: Some(blank),
        };
        Ok(Change::of(sides, schema)?.below)
    }

    /// Everything that is new or different.
    pub(super) fn written(&self) -> FieldSet {
        let mut written = self.added.clone();
        written.unite(self.modified.clone());
        written
    }

    /// Leaves out fields and all that is below them.
    pub(super) fn leave_out(&mut self, fields: &FieldSet) {
        self.added.subtract_all(fields);
        self.modified.subtract_all(fields);
        self.removed.subtract_all(fields);
    }

    fn record(&mut self, change: Change, element: impl Fn() -> PathElement) {
        let Change {
            added,
            modified,
            removed,
            below,
        } = change;
        let sets = [
            (&mut self.added, added, below.added),
            (&mut self.modified, modified, below.modified),
            (&mut self.removed, removed, below.removed),
        ];
        for (set, itself, below) in sets {
            if itself || !below.is_empty() {
                set.add(element(), itself, below);
            }
        }
    }
}

/// A field on both sides, and what an empty object has there.
#[derive(Clone, Copy)]
struct Sides<'a> {
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    blank: Option<&'a Value>,
}

/// What happened to a field and below it.
#[derive(Default)]
struct Change {
    added: bool,
    modified: bool,
    removed: bool,
    below: Comparison,
}

impl Change {
    fn of(sides: Sides<'_>, schema: &Schema) -> Result<Self, Incomparable> {
        let mut change = Self {
            added: sides.old.is_none(),
            removed: sides.new.is_none(),
            ..Self::default()
        };
        match (sides.old, sides.new) {
            (Some(value), _) | (None, Some(value)) if is_late(value) => {}
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => {
                let (before, after) = (Shape::of(schema, old), Shape::of(schema, new));
                change.walk(sides, before)?;
                // Only where any value is allowed.
                if discriminant(&before) != discriminant(&after) {
                    change.walk(sides, after)?;
                }
            }
            (Some(only), None) | (None, Some(only)) => {
                change.walk(sides, Shape::of(schema, only))?;
            }
            (None, None) => {}
        }
        Ok(change)
    }

    fn walk(&mut self, sides: Sides<'_>, shape: Shape<'_>) -> Result<(), Incomparable> {
        match shape {
            Shape::Map(map) if !map.is_atomic() && sides.any(is_object_with_fields) => {
                self.fields(sides, map)
            }
            Shape::List(list) if !list.is_atomic() && sides.any(is_list_with_items) => {
                self.items(sides, list)
            }
            _ => {
                if let (Some(old), Some(new)) = (sides.old, sides.new) {
                    self.modified |= !same(old, new);
                }
                Ok(())
            }
        }
    }

    fn fields(&mut self, sides: Sides<'_>, map: MapShape<'_>) -> Result<(), Incomparable> {
        let old = sides.old.and_then(Value::as_object);
        let new = sides.new.and_then(Value::as_object);
        let blank = sides.blank.and_then(Value::as_object);
        for (name, old, new) in Zip::new(old, new) {
            let blank = blank.and_then(|blank| blank.get(name));
            let both = Sides {
                old: old.or(blank),
                new: new.or(blank),
                blank,
            };
            let change = Self::of(both, map.field(name))?;
            self.below
                .record(change, || PathElement::Field(name.clone()));
        }
        Ok(())
    }

    fn items(&mut self, sides: Sides<'_>, list: ListShape<'_>) -> Result<(), Incomparable> {
        let mut pairs = BTreeMap::<PathElement, (Vec<&Value>, Vec<&Value>)>::new();
        for item in list_items(sides.old) {
            let element = list.element(item).map_err(|_| Incomparable)?;
            pairs.entry(element).or_default().0.push(item);
        }
        for item in list_items(sides.new) {
            let element = list.element(item).map_err(|_| Incomparable)?;
            pairs.entry(element).or_default().1.push(item);
        }
        for (element, (old, new)) in pairs {
            let change = Self::of_items(&old, &new, list.items())?;
            self.below.record(change, || element.clone());
        }
        Ok(())
    }

    /// Items of one name: usually one on each side. Several count as one field together.
    fn of_items(old: &[&Value], new: &[&Value], schema: &Schema) -> Result<Self, Incomparable> {
        let change = match (old, new) {
            ([_, _, ..], [_, _, ..]) => {
                let unchanged =
                    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new));
                Self {
                    modified: !unchanged,
                    ..Self::default()
                }
            }
            ([_, _, ..], _) => Self {
                removed: true,
                ..Self::of_item(None, new.first().copied(), schema)?
            },
            (_, [_, _, ..]) => Self {
                added: true,
                ..Self::of_item(old.first().copied(), None, schema)?
            },
            _ => Self::of_item(old.first().copied(), new.first().copied(), schema)?,
        };
        Ok(change)
    }

    fn of_item(
        old: Option<&Value>,
        new: Option<&Value>,
        schema: &Schema,
    ) -> Result<Self, Incomparable> {
        if old.is_none() && new.is_none() {
            return Ok(Self::default());
        }
        let sides = Sides {
            old,
            new,
            blank: None,
        };
        Self::of(sides, schema)
    }
}

impl Sides<'_> {
    fn any(&self, test: impl Fn(&Value) -> bool) -> bool {
        self.old.is_some_and(&test) || self.new.is_some_and(&test)
    }
}

fn is_object_with_fields(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| !fields.is_empty())
}

fn is_list_with_items(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty())
}

fn list_items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// The fields of two objects side by side, in order.
pub(super) struct Zip<'a> {
    left: Option<Peekable<Fields<'a>>>,
    right: Option<Peekable<Fields<'a>>>,
}

type Fields<'a> = serde_json::map::Iter<'a>;

impl<'a> Zip<'a> {
    pub(super) fn new(
        left: Option<&'a Map<String, Value>>,
        right: Option<&'a Map<String, Value>>,
    ) -> Self {
        Self {
            left: left.map(|left| left.iter().peekable()),
            right: right.map(|right| right.iter().peekable()),
        }
    }
}

impl<'a> Iterator for Zip<'a> {
    type Item = (&'a String, Option<&'a Value>, Option<&'a Value>);

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.left.as_mut().and_then(Peekable::peek).copied();
        let right = self.right.as_mut().and_then(Peekable::peek).copied();
        let name = match (left, right) {
            (Some((left, _)), Some((right, _))) => left.min(right),
            (Some((name, _)), None) | (None, Some((name, _))) => name,
            (None, None) => return None,
        };
        let left = self.left.as_mut();
        let left = left.and_then(|fields| fields.next_if(|(field, _)| *field == name));
        let right = self.right.as_mut();
        let right = right.and_then(|fields| fields.next_if(|(field, _)| *field == name));
        Some((
            name,
            left.map(|(_, value)| value),
            right.map(|(_, value)| value),
        ))
    }
}
