//! Whether a connection is used.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The requests of a connection.
#[derive(Clone)]
pub(super) struct Activity(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is another deadline.
    has_deadline: Notify,
}

#[derive(Default)]
struct State {
    /// Requests so far.
    count: u64,
    /// Requests that are not answered to the end, and when they must be.
    running: BTreeMap<u64, Option<Instant>>,
    /// When the last one ended; none before the first.
    ended: Option<Instant>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            has_deadline: Notify::new(),
        }))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state)
    }

    /// A request begins. It ends when this is dropped.
    pub(super) fn begin(&self) -> Running {
        let number = self.change(|state| {
            state.count += 1;
            state.running.insert(state.count, None);
            state.count
        });
        Running {
            activity: self.clone(),
            number,
        }
    }

    /// When the connection became idle; none if it is used. One that had no request yet has been
    /// idle since it `began`.
    pub(super) fn idle_since(&self, began: Instant) -> Option<Instant> {
        self.change(|state| {
            let is_idle = state.running.is_empty();
            is_idle.then(|| state.ended.unwrap_or(began))
        })
    }

    /// There was a request.
    pub(super) fn was_used(&self) -> bool {
        self.change(|state| state.count > 0)
    }

    /// Waits until an answer should have been sent, and was not.
    pub(super) async fn overdue(&self) {
        loop {
            let first = self.change(|state| state.running.values().flatten().min().copied());
            let another = self.0.has_deadline.notified();
            match first {
                Some(first) if first <= Instant::now() => return,
                Some(first) => tokio::select! {
                    () = another => {}
                    () = sleep_until(first) => {}
                },
                None => another.await,
            }
        }
    }
}

/// A request that is not answered to the end.
pub(super) struct Running {
    activity: Activity,
    number: u64,
}

impl Running {
    /// The answer must be sent by then.
    pub(super) fn must_end(&self, by: Instant) {
        let known = |state: &mut State| state.running.insert(self.number, Some(by));
        self.activity.change(known);
        self.activity.0.has_deadline.notify_one();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.activity.change(|state| {
            state.running.remove(&self.number);
            state.ended = Some(Instant::now());
        });
    }
}

/// A body whose request runs until it is sent or given up.
pub(super) struct Tracked {
    body: UnsyncBoxBody<Bytes, axum::Error>,
    _running: Running,
}

impl Tracked {
    pub(super) fn new(body: Body, running: Running) -> Self {
        Self {
            body: UnsyncBoxBody::new(body),
            _running: running,
        }
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
