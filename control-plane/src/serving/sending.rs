//! Answers that take much memory: they hold their place in it until they are sent, and must be
//! sent in time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::limits::Place;

/// For a client to read such an answer: as long as kube-apiserver gives a request in all.
const SENDING: Duration = Duration::from_mins(1);

/// Bytes that are handed over for sending at a time. What is handed over is out of sight.
const PIECE: usize = 64 * 1024;

/// When an answer must be sent: in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentBy(pub(super) Instant);

/// An answer that holds its place, if it has one, until it is sent or given up.
pub(crate) fn holding(response: Response, place: Option<Place>) -> Response {
    let Some(place) = place.filter(Place::is_counted) else {
        return response;
    };
    let mut response = response.map(|body| {
        Body::new(Holding {
            body: UnsyncBoxBody::new(body),
            rest: Bytes::new(),
            _place: place,
        })
    });
    let by = SentBy(Instant::now() + SENDING);
    response.extensions_mut().insert(by);
    response
}

struct Holding {
    body: UnsyncBoxBody<Bytes, axum::Error>,
    /// What is left of the last frame.
    rest: Bytes,
    _place: Place,
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = PIECE.min(self.rest.len());
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, below) = (self.rest.len() as u64, self.body.size_hint());
        let mut all = SizeHint::new();
        all.set_lower(below.lower() + rest);
        if let Some(upper) = below.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
}
