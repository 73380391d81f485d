//! Whether a connection is used.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::Version;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// For the head of a request, once it has begun.
const HEAD: Duration = Duration::from_secs(10);

/// The requests of a connection.
#[derive(Clone)]
pub(super) struct Activity(Arc<Shared>);

struct Shared {
    began: Instant,
    state: Mutex<State>,
    /// There is another deadline.
    has_deadline: Notify,
    /// The connection has to make room for another.
    is_evicted: Notify,
}

#[derive(Default)]
struct State {
    /// Requests so far.
    count: u64,
    /// Requests that are not answered to the end, and when they must be.
    running: BTreeMap<u64, Option<Instant>>,
    /// When the last one ended; none before the first.
    ended: Option<Instant>,
    /// What comes between two requests is the head of the next.
    is_http1: bool,
    /// When the head that has begun must be there.
    head_by: Option<Instant>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            began: Instant::now(),
            state: Mutex::default(),
            has_deadline: Notify::new(),
            is_evicted: Notify::new(),
        }))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state)
    }

    /// A request begins. It ends when this is dropped.
    pub(super) fn begin(&self, version: Version) -> Running {
        let number = self.change(|state| {
            state.count += 1;
            state.running.insert(state.count, None);
            state.is_http1 = version < Version::HTTP_2;
            state.head_by = None;
            state.count
        });
        Running {
            activity: self.clone(),
            number,
        }
    }

    /// Bytes have come.
    fn hear(&self) {
        let has_begun = self.change(|state| {
            let begins = state.is_http1 && state.running.is_empty() && state.head_by.is_none();
            if begins {
                state.head_by = Some(Instant::now() + HEAD);
            }
            begins
        });
        if has_begun {
            self.0.has_deadline.notify_one();
        }
    }

    /// When the connection became idle; none if it is used. One that had no request yet has been
    /// idle since it began.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.change(|state| {
            let is_idle = state.running.is_empty();
            is_idle.then(|| state.ended.unwrap_or(self.0.began))
        })
    }

    /// There was a request.
    pub(super) fn was_used(&self) -> bool {
        self.change(|state| state.count > 0)
    }

    /// Waits until an answer should have been sent, or a head should be there, and was not.
    pub(super) async fn overdue(&self) {
        loop {
            let first = self.change(|state| {
                let answers = state.running.values().flatten();
                answers.chain(&state.head_by).min().copied()
            });
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

    /// Makes the connection end at once.
    pub(super) fn evict(&self) {
        self.0.is_evicted.notify_one();
    }

    /// Waits until the connection has to end.
    pub(super) async fn evicted(&self) {
        self.0.is_evicted.notified().await;
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

/// A stream that notes when bytes come.
pub(super) struct Heard<S> {
    stream: S,
    activity: Activity,
}

impl<S> Heard<S> {
    pub(super) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if into.filled().len() > before {
            self.activity.hear();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
