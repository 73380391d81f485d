//! When a definition counts: once its controller has seen it.

use tokio::sync::{mpsc, oneshot};

/// Those who wait until the controller of definitions has seen what was written before.
pub(crate) type Waiting = mpsc::UnboundedReceiver<oneshot::Sender<()>>;

/// Waits for the controller of definitions.
pub(crate) struct Settling(mpsc::UnboundedSender<oneshot::Sender<()>>);

impl Settling {
    /// With the end that the controller has.
    pub(crate) fn new() -> (Self, Waiting) {
        let (sender, waiting) = mpsc::unbounded_channel();
        (Self(sender), waiting)
    }

    /// Waits until the definitions that were written before are settled, as far as they could be.
    pub(crate) async fn wait(&self) {
        let (sender, settled) = oneshot::channel();
        if self.0.send(sender).is_ok() {
            // At the end nobody settles any more.
            let _ = settled.await;
        }
    }
}
