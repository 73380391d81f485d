//! What a write asks of the rest of the store when it is its turn.

use std::sync::Arc;

use serde_json::Value;

use super::draft::Draft;
use super::object::{Key, Object, Place};

/// Looks at what is there when it is a write's turn, and may complete the object that is written.
/// What was committed before is seen, be it on disk yet or not; nothing can come in between.
///
/// It runs on the thread that writes, so it must not wait. An error refuses the write.
pub type Check = Box<dyn FnOnce(&View<'_>, &mut Value) -> Result<(), Refusal> + Send>;

/// Why a check refuses a write: an error of whoever checks.
pub type Refusal = Arc<dyn std::error::Error + Send + Sync>;

/// What is there when it is a write's turn.
pub struct View<'a>(pub(super) &'a Draft<'a>);

impl View<'_> {
    /// An object.
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.0.get(&Place::of(key).ok()?)
    }

    /// The objects of a resource, in no order.
    pub fn list(&self, resource: &str) -> Vec<Arc<Object>> {
        self.0.list(resource)
    }
}
