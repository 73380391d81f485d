//! A model of the store that keeps every event and works everything out from them.

use std::collections::BTreeMap;

use super::{Change, Key};

/// A revision, what happened, and the objects since and before; an object is its own revision and
/// a number.
pub(super) type Happened = (u64, Change, (u64, u64), Option<(u64, u64)>);

#[derive(Default)]
pub(super) struct Model {
    pub(super) events: Vec<(Key, Happened)>,
    /// The revision at the latest restart.
    pub(super) floor: u64,
    /// Events that were forgotten in restarts.
    pub(super) lost: usize,
}

impl Model {
    pub(super) fn revision(&self) -> u64 {
        self.events.last().map_or(1, |(_, happened)| happened.0)
    }

    /// The objects of a resource at a revision, by path.
    pub(super) fn at(&self, resource: &str, revision: u64) -> BTreeMap<String, (u64, u64)> {
        let mut objects = BTreeMap::new();
        for (key, (number, change, object, _)) in &self.events {
            if *number > revision || key.resource != resource {
                continue;
            }
            if *change == Change::Deleted {
                objects.remove(&key.path());
            } else {
                objects.insert(key.path(), *object);
            }
        }
        objects
    }

    pub(super) fn get(&self, key: &Key) -> Option<(u64, u64)> {
        self.at(&key.resource, self.revision())
            .get(&key.path())
            .copied()
    }

    /// The oldest revision that can be read of a resource.
    pub(super) fn oldest(&self, resource: &str, history: usize) -> u64 {
        let gone = self.events.len().saturating_sub(history).max(self.lost);
        let gone = self.events[..gone].iter();
        let gone = gone.filter(|(key, _)| key.resource == resource);
        let evicted = gone.map(|(_, happened)| happened.0).max();
        evicted.unwrap_or(0).max(self.floor)
    }

    pub(super) fn since(
        &self,
        resource: &str,
        namespace: Option<&str>,
        after: u64,
    ) -> Vec<Happened> {
        let events = self.events.iter().filter(|(key, happened)| {
            happened.0 > after
                && key.resource == resource
                && (namespace.is_none() || key.namespace.as_deref() == namespace)
        });
        events.map(|(_, happened)| *happened).collect()
    }
}
