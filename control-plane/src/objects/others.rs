//! What a write needs to know of other objects: before it is committed, and when it is its turn.

use std::sync::Arc;

use serde_json::Value;

use super::Error;
use crate::store::{Key, Object, Page, Store, View};

/// The other objects, as they are now or when it is a write's turn.
pub(super) trait Others {
    fn get(&self, key: &Key) -> Option<Arc<Object>>;
    /// All of a table.
    fn list(&self, table: &str) -> Vec<Arc<Object>>;
}

impl Others for Store {
    fn get(&self, key: &Key) -> Option<Arc<Object>> {
        Self::get(self, key)
    }

    fn list(&self, table: &str) -> Vec<Arc<Object>> {
        let list = Self::list(self, table, None, &Page::default());
        list.map(|list| list.items).unwrap_or_default()
    }
}

impl Others for View<'_> {
    fn get(&self, key: &Key) -> Option<Arc<Object>> {
        Self::get(self, key)
    }

    fn list(&self, table: &str) -> Vec<Arc<Object>> {
        Self::list(self, table)
    }
}

/// Completes an object by what others have, when it is its turn to be written.
pub(super) type Complete = Box<dyn FnOnce(&dyn Others, &mut Value) -> Result<(), Error> + Send>;
