//! The queue that every watch has: its reader takes events from it, and holds up nobody. When it is
//! full, by number or by bytes, the watch expires.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::sync::Notify;
use tokio::task::coop::consume_budget;

use super::error::Expired;
use super::event::Event;
use super::options::Options;

/// The events that wait for a reader.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    /// Events up to this revision are not wanted.
    after: u64,
}

pub(super) struct Waiting {
    pub(super) events: VecDeque<Arc<Event>>,
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

    /// Waits for the next event; see [`Watch::next`](super::Watch::next).
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

    /// The revision up to which every event was handed out, of those up to this one; none if the
    /// queue has come to its end.
    pub(super) fn complete(&self, revision: u64) -> Option<u64> {
        let waiting = self.waiting();
        match (waiting.events.front(), &waiting.end) {
            (Some(event), _) => Some(event.revision - 1),
            (None, None) => Some(revision),
            (None, Some(_)) => None,
        }
    }

    /// Whether an event is one that the reader has not seen.
    pub(super) fn wants(&self, event: &Event) -> bool {
        event.revision > self.after
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
