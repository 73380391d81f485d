//! What the controllers are told of.

use crate::store::{Change, Event, Object};

/// Something that was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    /// The table of the store.
    pub(super) table: &'a str,
    pub(super) before: Option<&'a Object>,
    /// None if it was removed.
    pub(super) after: Option<&'a Object>,
}

impl<'a> Written<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        let after = (event.change != Change::Deleted).then_some(&*event.object);
        Self {
            table: event.resource(),
            before: event.previous.as_deref(),
            after,
        }
    }
}
