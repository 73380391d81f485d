//! What was written, for those who see to what follows.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::kinds::Resource;
use crate::store::Object;

/// Something that was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The table of the store.
    pub(crate) table: String,
    pub(crate) before: Option<Arc<Object>>,
    /// None if it was removed.
    pub(crate) after: Option<Arc<Object>>,
}

impl Written {
    pub(crate) fn of(
        resource: &Resource,
        before: Option<&Arc<Object>>,
        after: Option<&Arc<Object>>,
    ) -> Self {
        Self {
            table: resource.table.clone(),
            before: before.cloned(),
            after: after.cloned(),
        }
    }
}

/// Where writes are reported.
pub(crate) struct Changes(mpsc::UnboundedSender<Written>);

/// Where reports are read.
pub(crate) type Reports = mpsc::UnboundedReceiver<Written>;

impl Changes {
    pub(crate) fn new() -> (Self, Reports) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(crate) fn tell(&self, written: Written) {
        // At the end nobody listens any more.
        let _ = self.0.send(written);
    }
}
