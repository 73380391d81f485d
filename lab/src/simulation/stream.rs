//! A watch on its way through the network.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use kube::client::DynBody;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tower::BoxError;

use super::faults::WatchFault;
use super::link::Reach;

/// Frames that are on their way at a time.
const UNDERWAY: usize = 256;

/// How a watch reaches its reader.
pub(super) struct Passage<C> {
    /// How long the next frame takes.
    pub(super) crossing: C,
    /// Whether the way is open.
    pub(super) reach: watch::Receiver<Reach>,
    /// Whether the reader lives.
    pub(super) alive: watch::Receiver<bool>,
    /// What becomes of it, and when.
    pub(super) trouble: Option<(Instant, WatchFault)>,
}

/// The body as it arrives: each frame a crossing later, none while the host is silent or the reader
/// dead, and an end when connections are refused.
pub(super) fn delayed<C>(body: axum::body::Body, passage: Passage<C>) -> Box<DynBody>
where
    C: FnMut() -> Duration + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(UNDERWAY);
    let (reach, alive) = (passage.reach.clone(), passage.alive.clone());
    tokio::spawn(send(body, passage, sender));
    let frames = ReceiverStream::new(receiver).then(move |(due, frame)| {
        let (mut reach, mut alive) = (reach.clone(), alive.clone());
        async move {
            sleep_until(due).await;
            // A sender that is gone does not open the way any more.
            drop(reach.wait_for(|reach| *reach != Reach::Silent).await);
            if alive.wait_for(|alive| *alive).await.is_err() || !*alive.borrow() {
                pending::<()>().await;
            }
            frame
        }
    });
    Box::new(StreamBody::new(Box::pin(frames)))
}

type Arriving = (Instant, Result<Frame<Bytes>, BoxError>);

async fn send<C: FnMut() -> Duration>(
    body: axum::body::Body,
    mut passage: Passage<C>,
    sender: mpsc::Sender<Arriving>,
) {
    let mut frames = BodyStream::new(body);
    let mut last = Instant::now();
    loop {
        let trouble = async {
            match passage.trouble {
                Some((at, what)) => {
                    sleep_until(at).await;
                    what
                }
                None => pending().await,
            }
        };
        let (frame, ends) = tokio::select! {
            biased;
            () = sender.closed() => return,
            what = trouble => match what {
                WatchFault::Lost => (Err("connection reset".into()), true),
                WatchFault::Expired => (Ok(Frame::data(expired())), true),
                WatchFault::Hung => {
                    sender.closed().await;
                    return;
                }
            },
            () = refused(&mut passage.reach) => (Err("connection refused".into()), true),
            frame = frames.next() => match frame {
                Some(frame) => (frame.map_err(BoxError::from), false),
                None => return,
            },
        };
        // Frames do not overtake each other.
        last = last.max(Instant::now() + (passage.crossing)());
        let ends = ends || frame.is_err();
        if sender.send((last, frame)).await.is_err() || ends {
            return;
        }
    }
}

async fn refused(reach: &mut watch::Receiver<Reach>) {
    drop(reach.wait_for(|reach| *reach == Reach::Refused).await);
}

/// What a server whose history is gone says in a watch.
fn expired() -> Bytes {
    let event = json!({ "type": "ERROR", "object": {
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": "made up by the simulation: too old resource version", "reason": "Expired", "code": 410,
    }});
    Bytes::from(format!("{event}\n"))
}
