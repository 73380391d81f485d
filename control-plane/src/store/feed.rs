//! Everything that happens, in the order in which it was committed: for those who see to what
//! follows from writes, whoever wrote.

use std::sync::Arc;

use super::error::Expired;
use super::event::Event;
use super::object::Object;
use super::queue::Queue;
use super::shared::Shared;

/// Every event of a store, of all resources. Dropping it ends it.
///
/// A reader that falls too far behind loses the events and is told so; then it begins anew, with
/// all objects as they are by then.
pub struct Feed {
    shared: Arc<Shared>,
    number: u64,
    queue: Arc<Queue>,
}

/// An object, with the resource that it is of.
pub type Entry = (Arc<str>, Arc<Object>);

impl Feed {
    /// All objects as of one moment, and what happens from then on: nothing is missed in between,
    /// and nothing is given twice.
    pub(super) fn begin(shared: &Arc<Shared>) -> (Vec<Entry>, Self) {
        let mut state = shared.state();
        let objects = state.objects().into_iter();
        let objects = objects.map(|(place, object)| (place.resource, object));
        let objects = objects.collect();
        let (number, queue) = state.subscribe_all();
        drop(state);
        let feed = Self {
            shared: Arc::clone(shared),
            number,
            queue,
        };
        (objects, feed)
    }

    /// Waits for the next event. Gives [`Expired`] once if this reader fell too far behind, then
    /// `None`; `None` also when the store has ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<Arc<Event>, Expired>> {
        self.queue.next().await
    }

    /// The next event, if it has happened.
    pub fn try_next(&mut self) -> Option<Result<Arc<Event>, Expired>> {
        self.queue.try_next()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.state().unsubscribe_all(self.number);
    }
}
