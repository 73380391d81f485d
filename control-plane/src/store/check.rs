//! What a write asks of the rest of the store when it is its turn.

use std::sync::Arc;

use serde_json::Value;

use super::error::Refusal;
use super::object::{Key, Object};

/// Objects, as of now or of a write's turn.
pub trait Lookup {
    /// An object.
    fn get(&self, key: &Key) -> Option<Arc<Object>>;
    /// The objects of a resource, in no order.
    fn all(&self, resource: &str) -> Vec<Arc<Object>>;
}

/// Looks at what is there when it is a write's turn, and may complete the object that is written.
/// What was committed before is seen, be it on disk yet or not; nothing can come in between.
///
/// It runs on the thread that writes, so it must not wait. An error refuses the write.
pub type Check = Box<dyn FnOnce(&dyn Lookup, &mut Value) -> Result<(), Refusal> + Send>;
