//! What happens.

use std::sync::Arc;

use super::object::{Object, Place};

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
