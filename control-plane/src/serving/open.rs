//! The connections that are open, and which of them makes room for another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::activity::Activity;

/// The connections that are open, as many as there may be.
pub(super) struct Open {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Connections so far.
    count: u64,
    open: BTreeMap<u64, Activity>,
}

impl Open {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        self.state().open.len()
    }

    /// Lets a connection in. If there are too many, the one that has been idle longest ends; if
    /// all are used, none is let in.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Connection> {
        let mut state = self.state();
        if state.open.len() >= self.most {
            let all = state.open.iter();
            let idle = all.filter_map(|(number, activity)| Some((activity.idle_since()?, *number)));
            let (_, longest) = idle.min()?;
            if let Some(evicted) = state.open.remove(&longest) {
                evicted.evict();
            }
        }
        state.count += 1;
        let (number, activity) = (state.count, Activity::new());
        state.open.insert(number, activity.clone());
        drop(state);
        Some(Connection {
            activity,
            number,
            all: Arc::clone(self),
        })
    }
}

/// A connection that is open until this is dropped.
pub(super) struct Connection {
    pub(super) activity: Activity,
    number: u64,
    all: Arc<Open>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.state().open.remove(&self.number);
    }
}
