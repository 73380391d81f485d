//! What a store has of one resource.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::event::Event;
use super::object::Object;
use super::watchers::Watchers;

/// A resource.
#[derive(Default)]
pub(super) struct Table {
    /// By path.
    pub(super) objects: BTreeMap<Arc<str>, Arc<Object>>,
    /// Oldest first.
    pub(super) history: VecDeque<Arc<Event>>,
    /// The revision of the latest event that is no longer kept.
    pub(super) evicted: u64,
    pub(super) watchers: Watchers,
}
