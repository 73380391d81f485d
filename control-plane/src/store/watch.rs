//! Watches.
//!
//! Every watch has a queue. A write puts its event, which all share, into the queues of those who
//! watch its resource, its namespace or the object itself, and touches no other: an idle watch costs
//! nothing. A reader
//! takes events from its own queue, so that it holds up nobody; when its queue is full, by number or
//! by bytes, the watch expires.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::sync::Notify;
use tokio::task::coop::consume_budget;

use super::error::Expired;
use super::object::{Key, Object, Place};
use super::{Options, Shared};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was created.
    Added,
    /// It was replaced.
    Modified,
    /// It was removed.
    Deleted,
}

/// Something that happened.
#[derive(Debug)]
pub struct Event {
    /// The revision that it made.
    pub revision: u64,
    /// What happened.
    pub change: Change,
    /// The object since then; one that was removed as it was last, but with this revision.
    pub object: Arc<Object>,
    /// The object before; none if it was created.
    pub previous: Option<Arc<Object>>,
    pub(super) place: Place,
}

impl Event {
    /// The resource of the object, as keys have it.
    pub fn resource(&self) -> &str {
        &self.place.resource
    }

    /// Bytes of the JSON of its objects.
    pub(super) fn size(&self) -> usize {
        let previous = self.previous.as_ref().map_or(0, |object| object.size());
        self.object.size() + previous
    }

    /// The same event, whose objects are not parsed.
    pub(super) fn unparsed(&self) -> Arc<Self> {
        Arc::new(Self {
            revision: self.revision,
            change: self.change,
            object: self.object.unparsed(),
            previous: self.previous.as_ref().map(|object| object.unparsed()),
            place: self.place.clone(),
        })
    }
}

/// Which objects of a resource a watch is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    All,
    Namespace(String),
    /// The one at this path.
    Object(Arc<str>),
}

impl Scope {
    pub(super) fn of_namespace(namespace: Option<&str>) -> Self {
        namespace.map_or(Self::All, |name| Self::Namespace(name.to_owned()))
    }

    pub(super) fn of_object(key: &Key) -> Self {
        Self::Object(Arc::from(key.path()))
    }

    pub(super) fn contains(&self, place: &Place) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => place.namespace() == Some(namespace),
            Self::Object(path) => *path == place.path,
        }
    }
}

/// What happens to a resource, event by event. Dropping it ends it.
pub struct Watch {
    shared: Arc<Shared>,
    resource: String,
    scope: Scope,
    number: u64,
    queue: Arc<Queue>,
    /// The revision up to which every event was handed out.
    seen: u64,
}

impl Watch {
    pub(super) fn begin(
        shared: &Arc<Shared>,
        resource: &str,
        scope: Scope,
        after: u64,
    ) -> Result<Self, Expired> {
        let (number, queue) = shared.state().subscribe(resource, &scope, after)?;
        Ok(Self {
            shared: Arc::clone(shared),
            resource: resource.to_owned(),
            scope,
            number,
            queue,
            seen: after,
        })
    }

    /// Waits for the next event. Gives [`Expired`] once if this reader fell too far behind, then
    /// `None`; `None` also when the store has ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<Arc<Event>, Expired>> {
        let next = self.queue.next().await;
        if let Some(Ok(event)) = &next {
            self.seen = event.revision;
        }
        next
    }

    /// The next event, if it has happened; as [`next`](Self::next) otherwise.
    pub fn try_next(&mut self) -> Option<Result<Arc<Event>, Expired>> {
        let next = self.queue.try_next();
        if let Some(Ok(event)) = &next {
            self.seen = event.revision;
        }
        next
    }

    /// The revision up to which every event was handed out: what a bookmark says. It grows with
    /// the store's revision, whatever is written.
    pub fn progress(&mut self) -> u64 {
        // First the revision: what was written up to it is in the queue or was handed out.
        let revision = self.shared.read().revision();
        let waiting = self.queue.waiting();
        let complete = match (waiting.events.front(), &waiting.end) {
            (Some(event), _) => event.revision - 1,
            (None, None) => revision,
            (None, Some(_)) => self.seen,
        };
        self.seen = self.seen.max(complete);
        self.seen
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.unsubscribe(&self.resource, &self.scope, self.number);
    }
}

/// The events that wait for a reader.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    /// Events up to this revision are not wanted.
    after: u64,
}

struct Waiting {
    events: VecDeque<Arc<Event>>,
    /// Bytes of the events.
    size: usize,
    /// How many may wait.
    room: usize,
    /// Bytes that may wait; one event may always.
    bytes: usize,
    end: Option<End>,
}

impl Waiting {
    fn pop(&mut self) -> Option<Arc<Event>> {
        let event = self.events.pop_front()?;
        self.size -= event.size();
        Some(event)
    }

    fn has_room(&self, event: &Event) -> bool {
        let fits = self.size.saturating_add(event.size()) <= self.bytes;
        self.events.len() < self.room && (fits || self.events.is_empty())
    }
}

enum End {
    Expired(Expired),
    Closed,
}

impl Queue {
    /// With what the reader has missed, on top of which the options' backlog may wait.
    pub(super) fn new(missed: VecDeque<Arc<Event>>, after: u64, options: &Options) -> Self {
        let size = missed.iter().map(|event| event.size()).sum::<usize>();
        Self {
            waiting: Mutex::new(Waiting {
                size,
                room: missed.len().saturating_add(options.backlog),
                bytes: size.saturating_add(options.backlog_bytes),
                events: missed,
                end: None,
            }),
            changed: Notify::new(),
            after,
        }
    }

    /// Waits for the next event; see [`Watch::next`].
    pub(super) async fn next(&self) -> Option<Result<Arc<Event>, Expired>> {
        // A reader that always finds an event would never let others run.
        consume_budget().await;
        loop {
            // Before the look at the queue, so that nothing is missed in between.
            let changed = self.changed.notified();
            if let Poll::Ready(next) = self.poll_next() {
                return next;
            }
            changed.await;
        }
    }

    /// The next event, if it has happened.
    pub(super) fn try_next(&self) -> Option<Result<Arc<Event>, Expired>> {
        match self.poll_next() {
            Poll::Ready(next) => next,
            Poll::Pending => None,
        }
    }

    /// The next event or the end, if there is one.
    fn poll_next(&self) -> Poll<Option<Result<Arc<Event>, Expired>>> {
        let mut waiting = self.waiting();
        if let Some(event) = waiting.pop() {
            return Poll::Ready(Some(Ok(event)));
        }
        match waiting.end {
            None => Poll::Pending,
            Some(End::Closed) => Poll::Ready(None),
            Some(End::Expired(expired)) => {
                waiting.end = Some(End::Closed);
                Poll::Ready(Some(Err(expired)))
            }
        }
    }

    /// Lets the reader look. To be called while no lock is held.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Adds an event. False if there was no room and the watch is over.
    pub(super) fn push(&self, event: &Arc<Event>) -> bool {
        let mut waiting = self.waiting();
        if waiting.has_room(event) {
            waiting.size += event.size();
            waiting.events.push_back(Arc::clone(event));
            return true;
        }
        // What waits is of no use to one who has to list again.
        waiting.events = VecDeque::new();
        waiting.size = 0;
        let oldest = event.revision;
        waiting.end = Some(End::Expired(Expired { oldest }));
        false
    }

    pub(super) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.end.get_or_insert(End::Closed);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who watch a resource, by what they watch of it. The oldest first.
#[derive(Default)]
pub(super) struct Watchers(BTreeMap<Scope, BTreeMap<u64, Arc<Queue>>>);

impl Watchers {
    pub(super) fn add(&mut self, number: u64, scope: &Scope, queue: Arc<Queue>) {
        let queues = self.0.entry(scope.clone()).or_default();
        queues.insert(number, queue);
    }

    pub(super) fn remove(&mut self, number: u64, scope: &Scope) {
        if let Some(queues) = self.0.get_mut(scope) {
            queues.remove(&number);
            if queues.is_empty() {
                self.0.remove(scope);
            }
        }
    }

    /// Hands an event to those whom it concerns, and names them.
    pub(super) fn send(&mut self, event: &Arc<Event>, woken: &mut Vec<Arc<Queue>>) {
        if self.0.is_empty() {
            return;
        }
        let place = &event.place;
        let namespace = place.namespace();
        let namespace = namespace.map(|name| Scope::Namespace(name.to_owned()));
        let object = Scope::Object(Arc::clone(&place.path));
        for scope in [Some(Scope::All), namespace, Some(object)].iter().flatten() {
            let Some(queues) = self.0.get_mut(scope) else {
                continue;
            };
            queues.retain(|_, queue| {
                if event.revision <= queue.after {
                    return true;
                }
                woken.push(Arc::clone(queue));
                queue.push(event)
            });
        }
    }

    /// Ends every watch, and names them.
    pub(super) fn close(&mut self, woken: &mut Vec<Arc<Queue>>) {
        for queue in std::mem::take(&mut self.0).into_values() {
            for queue in queue.into_values() {
                queue.close();
                woken.push(queue);
            }
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
