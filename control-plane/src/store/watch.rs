//! Watches, as their readers have them.

use std::sync::Arc;

use super::error::Expired;
use super::event::Event;
use super::queue::Queue;
use super::shared::Shared;
use super::watchers::Scope;

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
        let complete = self.queue.complete(revision);
        self.seen = self.seen.max(complete.unwrap_or(0));
        self.seen
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.unsubscribe(&self.resource, &self.scope, self.number);
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
