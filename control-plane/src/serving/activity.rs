//! Whether a connection is used.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

/// The requests of a connection.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

struct State {
    /// Requests that are not answered to the end.
    running: usize,
    /// When the last one ended; none before the first.
    ended: Option<Instant>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            running: 0,
            ended: None,
        })))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request begins. It ends when this is dropped.
    pub(super) fn begin(&self) -> Running {
        self.change(|state| state.running += 1);
        Running(self.clone())
    }

    /// When the connection became idle; none if it is used. One that had no request yet has been
    /// idle since it `began`.
    pub(super) fn idle_since(&self, began: Instant) -> Option<Instant> {
        self.change(|state| (state.running == 0).then(|| state.ended.unwrap_or(began)))
    }

    /// There was a request.
    pub(super) fn was_used(&self) -> bool {
        self.change(|state| state.running > 0 || state.ended.is_some())
    }
}

/// A request that is not answered to the end.
pub(super) struct Running(Activity);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.running -= 1;
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
