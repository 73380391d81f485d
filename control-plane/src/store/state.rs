//! Objects, history and watches, as of one revision.
//!
//! The history is kept as JSON: its objects are parsed by whoever reads them, for themselves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::error::Expired;
use super::event::{Change, Event};
use super::log::{Entry, Recovered};
use super::object::{Object, Place};
use super::options::Options;
use super::queue::Queue;
use super::sweep::Sweep;
use super::table::Table;
use super::watchers::Scope;

/// Everything, at the latest revision.
pub(super) struct State {
    revision: u64,
    /// Where the history begins: what was before is not known of any resource.
    floor: u64,
    tables: BTreeMap<Arc<str>, Table>,
    /// The resource of every event that is kept, oldest first.
    order: VecDeque<Arc<str>>,
    /// Bytes of the events that are kept.
    history_size: usize,
    /// Bytes of the objects.
    size: usize,
    sweep: Sweep,
    options: Options,
    next_watch: u64,
    /// Those who are given every event, the oldest first.
    feeds: BTreeMap<u64, Arc<Queue>>,
}

impl State {
    /// Empty, at revision 1.
    pub(super) fn new(options: Options) -> Self {
        Self {
            revision: 1,
            floor: 1,
            tables: BTreeMap::new(),
            order: VecDeque::new(),
            history_size: 0,
            size: 0,
            sweep: Sweep::default(),
            options,
            next_watch: 0,
            feeds: BTreeMap::new(),
        }
    }

    /// What a log held. Of what led to it nothing is known.
    pub(super) fn recovered(recovered: Recovered, options: Options) -> Self {
        let mut state = Self::new(options);
        state.revision = recovered.revision;
        state.floor = recovered.revision;
        for (place, object) in recovered.objects {
            state.size += object.size();
            let table = state.tables.entry(place.resource).or_default();
            table.objects.insert(place.path, Arc::new(object));
        }
        state
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn get(&self, resource: &str, path: &str) -> Option<Arc<Object>> {
        self.tables.get(resource)?.objects.get(path).cloned()
    }

    pub(super) fn table(&self, resource: &str) -> Option<&Table> {
        self.tables.get(resource)
    }

    /// Every object, for the log to be written anew.
    pub(super) fn objects(&self) -> Vec<Entry> {
        let mut objects = Vec::new();
        for (resource, table) in &self.tables {
            for (path, object) in &table.objects {
                let place = Place {
                    resource: Arc::clone(resource),
                    path: Arc::clone(path),
                };
                objects.push((place, Arc::clone(object)));
            }
        }
        objects
    }

    /// The events of a resource after a revision are all kept, or else it has expired.
    pub(super) fn reaches(&self, resource: &str, revision: u64) -> Result<(), Expired> {
        let evicted = self.tables.get(resource).map_or(0, |table| table.evicted);
        let oldest = evicted.max(self.floor);
        if revision < oldest {
            return Err(Expired { oldest });
        }
        Ok(())
    }

    /// The revision of the latest write to a resource, or a later one at which it was the same.
    pub(super) fn table_revision(&self, resource: &str) -> u64 {
        let Some(table) = self.tables.get(resource) else {
            return self.floor;
        };
        let last = table.history.back().map(|event| event.revision);
        last.unwrap_or_else(|| table.evicted.max(self.floor))
    }

    /// Takes over events, which follow the revision one by one. Gives the queues to be woken.
    pub(super) fn publish(&mut self, events: Vec<Arc<Event>>) -> Vec<Arc<Queue>> {
        let mut woken = Vec::new();
        for event in events {
            self.revision = event.revision;
            let resource = Arc::clone(&event.place.resource);
            let table = self.tables.entry(Arc::clone(&resource)).or_default();
            let before = if event.change == Change::Deleted {
                table.objects.remove(&event.place.path)
            } else {
                let path = Arc::clone(&event.place.path);
                self.size += event.object.size();
                table.objects.insert(path, Arc::clone(&event.object))
            };
            self.size -= before.map_or(0, |object| object.size());
            table.watchers.send(&event, &mut woken);
            self.feeds.retain(|_, queue| {
                woken.push(Arc::clone(queue));
                queue.push(&event)
            });
            self.history_size += event.size();
            table.history.push_back(event.unparsed());
            self.order.push_back(resource);
            self.forget();
            if self.size > self.options.parsed_bytes {
                self.sweep.go_on(&mut self.tables);
            }
        }
        woken
    }

    /// Lets go of the oldest events.
    fn forget(&mut self) {
        while self.order.len() > self.options.history
            || self.history_size > self.options.history_bytes
        {
            let Some(resource) = self.order.pop_front() else {
                return;
            };
            let table = self.tables.get_mut(&resource);
            let Some(table) = table else { continue };
            if let Some(event) = table.history.pop_front() {
                self.history_size -= event.size();
                table.evicted = event.revision;
            }
        }
    }

    /// Begins a watch: what has happened since, in a queue that is given what happens from now on.
    pub(super) fn subscribe(
        &mut self,
        resource: &str,
        scope: &Scope,
        after: u64,
    ) -> Result<(u64, Arc<Queue>), Expired> {
        self.reaches(resource, after)?;
        self.next_watch += 1;
        let number = self.next_watch;
        let table = self.tables.entry(Arc::from(resource)).or_default();
        let first = table
            .history
            .partition_point(|event| event.revision <= after);
        let events = table.history.range(first..);
        let events = events.filter(|event| scope.contains(&event.place));
        // What the reader parses goes with the reader.
        let missed = events.map(|event| event.unparsed()).collect();
        let queue = Queue::new(missed, after, &self.options);
        let queue = Arc::new(queue);
        table.watchers.add(number, scope, Arc::clone(&queue));
        Ok((number, queue))
    }

    /// Ends a watch.
    pub(super) fn unsubscribe(&mut self, resource: &str, scope: &Scope, number: u64) {
        if let Some(table) = self.tables.get_mut(resource) {
            table.watchers.remove(number, scope);
        }
    }

    /// Gives every event from now on to a queue.
    pub(super) fn subscribe_all(&mut self) -> (u64, Arc<Queue>) {
        self.next_watch += 1;
        let queue = Queue::new(VecDeque::new(), self.revision, &self.options);
        let queue = Arc::new(queue);
        self.feeds.insert(self.next_watch, Arc::clone(&queue));
        (self.next_watch, queue)
    }

    /// Ends that.
    pub(super) fn unsubscribe_all(&mut self, number: u64) {
        self.feeds.remove(&number);
    }

    /// Ends every watch. Gives the queues to be woken.
    pub(super) fn close(&mut self) -> Vec<Arc<Queue>> {
        let mut woken = Vec::new();
        for table in self.tables.values_mut() {
            table.watchers.close(&mut woken);
        }
        for queue in std::mem::take(&mut self.feeds).into_values() {
            queue.close();
            woken.push(queue);
        }
        woken
    }
}
