//! What happens at members, on its way to the operator. Bounded: while too much waits, watches are not
//! read further, and the API servers or the network hold the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, mpsc};

use super::member::MemberEvent;

/// Events that may wait. Each watch of a member may add one more before it stops.
const CAPACITY: usize = 16 * 1024;

/// Where members send what happens. Clones share it.
#[derive(Clone)]
pub struct Outbox {
    events: mpsc::UnboundedSender<MemberEvent>,
    shared: Arc<Shared>,
}

/// Where it arrives.
pub struct Inbox {
    events: mpsc::UnboundedReceiver<MemberEvent>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    taken: Notify,
    /// Watches that had to wait.
    throttled: Counter,
}

/// Both ends. `throttled` counts the watches that had to wait, each time.
pub fn outbox(throttled: Counter) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        throttled,
        ..Shared::default()
    });
    let outbox = Outbox {
        events: sender,
        shared: shared.clone(),
    };
    let inbox = Inbox {
        events: receiver,
        shared,
    };
    (outbox, inbox)
}

impl Outbox {
    pub(super) fn send(&self, event: MemberEvent) {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        // There is no receiver any more only when the operator stops.
        drop(self.events.send(event));
    }

    /// Waits until more may be sent. Safe to cancel.
    pub(crate) async fn ready(&self) {
        let is_full = || self.shared.waiting.load(Ordering::Relaxed) >= CAPACITY;
        if !is_full() {
            return;
        }
        self.shared.throttled.inc();
        loop {
            let taken = self.shared.taken.notified();
            if !is_full() || self.events.is_closed() {
                return;
            }
            taken.await;
        }
    }
}

impl Inbox {
    /// Waits for events and takes up to `limit` of them; how many. 0 once no member can send any more.
    pub async fn recv_many(&mut self, batch: &mut Vec<MemberEvent>, limit: usize) -> usize {
        let received = self.events.recv_many(batch, limit).await;
        self.shared.waiting.fetch_sub(received, Ordering::Relaxed);
        self.shared.taken.notify_waiters();
        received
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.events.close();
        self.shared.taken.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use placement::ClusterName;

    use super::*;
    use crate::members::Change;

    fn event() -> MemberEvent {
        MemberEvent {
            cluster: ClusterName::from("a"),
            change: Change::Synced,
        }
    }

    #[tokio::test]
    async fn a_watch_waits_while_too_much_waits_and_goes_on_when_some_is_taken() {
        let throttled = Counter::default();
        let (outbox, mut inbox) = outbox(throttled.clone());
        for _ in 0..CAPACITY - 1 {
            outbox.send(event());
        }
        assert!(outbox.ready().now_or_never().is_some());
        outbox.send(event());
        let mut waiting = Box::pin(outbox.ready());
        assert!(waiting.as_mut().now_or_never().is_none());
        // Nothing is lost of what is sent nevertheless.
        outbox.send(event());
        let mut batch = Vec::new();
        assert_eq!(inbox.recv_many(&mut batch, 1024).await, 1024);
        assert!(waiting.now_or_never().is_some());
        assert_eq!(throttled.get(), 1);
        let mut all = batch.len();
        while all < CAPACITY + 1 {
            batch.clear();
            all += inbox.recv_many(&mut batch, 1024).await;
        }
    }

    #[tokio::test]
    async fn nothing_waits_for_an_operator_that_has_stopped() {
        let (outbox, inbox) = outbox(Counter::default());
        for _ in 0..CAPACITY {
            outbox.send(event());
        }
        let mut waiting = Box::pin(outbox.ready());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(inbox);
        assert!(waiting.now_or_never().is_some());
    }
}
