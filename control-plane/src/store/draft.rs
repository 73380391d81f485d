//! Writes that are decided but not yet done.
//!
//! A draft decides each write on top of the state and of the writes before it, so that many can
//! share one trip to the disk. Nothing of it is seen until its events are published.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::check::{Check, Lookup};
use super::error::WriteError;
use super::event::{Change, Event};
use super::object::{Key, Object, Place};
use super::state::State;

/// A write that somebody wants.
pub(super) struct Write {
    pub(super) key: Key,
    pub(super) action: Action,
    /// What it asks of the rest when it is its turn.
    pub(super) check: Option<Check>,
}

/// What to do; with the revision that the object must have.
pub(super) enum Action {
    Create(Value),
    Update(Value, u64),
    Delete(u64),
}

/// Writes in order, and what they make of the state.
pub(super) struct Draft<'a> {
    state: &'a State,
    events: Vec<Arc<Event>>,
    /// What was written here; none if it was deleted.
    latest: BTreeMap<Place, Option<Arc<Object>>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self {
            state,
            events: Vec::new(),
            latest: BTreeMap::new(),
        }
    }

    /// Decides a write. One that is refused leaves nothing behind.
    pub(super) fn add(&mut self, write: Write) -> Result<Arc<Object>, WriteError> {
        let place = Place::of(&write.key)?;
        let before = self.at(&place);
        let revision = match self.events.last() {
            Some(event) => event.revision + 1,
            None => self.state.revision() + 1,
        };
        let check = |value: &mut Value| match write.check {
            Some(check) => check(&*self, value).map_err(WriteError::Refused),
            None => Ok(()),
        };
        let (change, object) = match (write.action, &before) {
            (Action::Create(mut value), None) => {
                check(&mut value)?;
                (Change::Added, Object::written(value, revision)?)
            }
            (Action::Create(_), Some(_)) => return Err(WriteError::Exists),
            (Action::Update(..) | Action::Delete(_), None) => return Err(WriteError::NotFound),
            (Action::Update(mut value, expected), Some(before)) => {
                is_current(expected, before)?;
                check(&mut value)?;
                (Change::Modified, Object::written(value, revision)?)
            }
            (Action::Delete(expected), Some(before)) => {
                is_current(expected, before)?;
                let last = Object::written(before.value().clone(), revision)?;
                (Change::Deleted, last)
            }
        };
        let object = Arc::new(object);
        let now = (change != Change::Deleted).then(|| Arc::clone(&object));
        self.latest.insert(place.clone(), now);
        self.events.push(Arc::new(Event {
            revision,
            change,
            object: Arc::clone(&object),
            previous: before,
            place,
        }));
        Ok(object)
    }

    /// An object as of here.
    fn at(&self, place: &Place) -> Option<Arc<Object>> {
        match self.latest.get(place) {
            Some(object) => object.clone(),
            None => self.state.get(&place.resource, &place.path),
        }
    }

    /// What the writes do, in order.
    pub(super) fn into_events(self) -> Vec<Arc<Event>> {
        self.events
    }
}

impl Lookup for Draft<'_> {
    fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.at(&Place::of(key).ok()?)
    }

    fn all(&self, resource: &str) -> Vec<Arc<Object>> {
        let table = self.state.table(resource).into_iter();
        let stored = table.flat_map(|table| &table.objects);
        let written = self
            .latest
            .iter()
            .filter(|(place, _)| &*place.resource == resource);
        let written: BTreeMap<&str, &Option<Arc<Object>>> = written
            .map(|(place, object)| (&*place.path, object))
            .collect();
        let unchanged = stored.filter(|(path, _)| !written.contains_key(&***path));
        let unchanged = unchanged.map(|(_, object)| Arc::clone(object));
        let written = written.values().filter_map(|object| (*object).clone());
        unchanged.chain(written).collect()
    }
}

fn is_current(expected: u64, object: &Object) -> Result<(), WriteError> {
    let current = object.revision();
    if current == expected {
        Ok(())
    } else {
        Err(WriteError::Conflict { expected, current })
    }
}
