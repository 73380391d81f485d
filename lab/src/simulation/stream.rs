//! A watch on its way through the network.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use kube::client::DynBody;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tower::BoxError;

use super::network::Reach;

/// Frames that are on their way at a time.
const UNDERWAY: usize = 256;

/// The body as it arrives: each frame `way` later, none while the host is silent or the reader
/// dead, and an end when connections are refused or the watch is lost.
pub(super) fn delayed(
    body: axum::body::Body,
    way: Duration,
    reach: watch::Receiver<Reach>,
    alive: watch::Receiver<bool>,
    lost_after: Option<Instant>,
) -> Box<DynBody> {
    let (sender, receiver) = mpsc::channel(UNDERWAY);
    tokio::spawn(send(body, way, sender, reach.clone(), lost_after));
    let frames = ReceiverStream::new(receiver).then(move |(due, frame)| {
        let (mut reach, mut alive) = (reach.clone(), alive.clone());
        async move {
            sleep_until(due).await;
            // A sender that is gone does not open the way any more.
            drop(reach.wait_for(|reach| *reach != Reach::Silent).await);
            if alive.wait_for(|alive| *alive).await.is_err() || !*alive.borrow() {
                std::future::pending::<()>().await;
            }
            frame
        }
    });
    Box::new(StreamBody::new(Box::pin(frames)))
}

type Arriving = (Instant, Result<Frame<Bytes>, BoxError>);

async fn send(
    body: axum::body::Body,
    way: Duration,
    sender: mpsc::Sender<Arriving>,
    mut reach: watch::Receiver<Reach>,
    lost_after: Option<Instant>,
) {
    let mut frames = BodyStream::new(body);
    loop {
        let lost = async {
            match lost_after {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let frame = tokio::select! {
            biased;
            () = sender.closed() => return,
            () = lost => Some(Err("connection reset".into())),
            _ = reach.wait_for(|reach| *reach == Reach::Refused) => Some(Err("connection refused".into())),
            frame = frames.next() => frame.map(|frame| frame.map_err(BoxError::from)),
        };
        let Some(frame) = frame else {
            return;
        };
        let ends = frame.is_err();
        if sender.send((Instant::now() + way, frame)).await.is_err() || ends {
            return;
        }
    }
}
