//! The state that readers, watches and the one writer share.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::draft::{Draft, Write};
use super::error::WriteError;
use super::event::Event;
use super::object::Object;
use super::state::State;

/// The state and its lock.
pub(super) struct Shared(RwLock<State>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self(RwLock::new(state))
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes events part of the state, for readers and watches to see.
    pub(super) fn publish(&self, events: Vec<Arc<Event>>) {
        let queues = self.state().publish(events);
        // After the lock is let go: whoever wakes wants it.
        queues.iter().for_each(|queue| queue.wake());
    }

    pub(super) fn write_at_once(&self, write: Write) -> Result<Arc<Object>, WriteError> {
        let mut state = self.state();
        let mut draft = Draft::new(&state);
        let object = draft.add(write)?;
        let events = draft.into_events();
        let queues = state.publish(events);
        drop(state);
        queues.iter().for_each(|queue| queue.wake());
        Ok(object)
    }
}
