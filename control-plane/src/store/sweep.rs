//! Letting go of parsed values that nobody reads.
//!
//! A hand goes round over all objects, a few at each write. An object whose value nobody has read
//! since the hand passed last is kept as JSON only, until somebody reads it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::table::Table;

/// Objects that a write lets the hand pass. More than one, so that it goes round also while only
/// new objects are written.
const STEPS: usize = 4;

/// Where the hand is: the object that it passed last, or before the first of a resource.
#[derive(Default)]
pub(super) struct Sweep {
    resource: Option<Arc<str>>,
    path: Option<Arc<str>>,
}

impl Sweep {
    /// Passes the next few objects.
    pub(super) fn go_on(&mut self, tables: &mut BTreeMap<Arc<str>, Table>) {
        for _ in 0..STEPS {
            if !self.step(tables) {
                self.turn(tables);
            }
        }
    }

    /// Passes the next object of the resource. False if that has no more.
    fn step(&mut self, tables: &mut BTreeMap<Arc<str>, Table>) -> bool {
        let table = self.resource.as_ref().and_then(|name| tables.get_mut(name));
        let from = self
            .path
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let next = table.and_then(|table| {
            let mut rest = table.objects.range_mut::<str, _>((from, Bound::Unbounded));
            rest.next()
        });
        let Some((path, object)) = next else {
            return false;
        };
        if let Some(unparsed) = object.unread() {
            *object = unparsed;
        }
        self.path = Some(Arc::clone(path));
        true
    }

    /// Goes to the next resource, or to the first.
    fn turn(&mut self, tables: &BTreeMap<Arc<str>, Table>) {
        let from = self
            .resource
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = tables.range::<str, _>((from, Bound::Unbounded));
        let next = rest.next().or_else(|| tables.first_key_value());
        self.resource = next.map(|(name, _)| Arc::clone(name));
        self.path = None;
    }
}
