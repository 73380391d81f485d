//! Writes that survive.
//!
//! One thread takes all the writes that wait, decides them one after the other, puts them into the
//! log as one frame, and syncs once. Only then are they seen and acknowledged. While it syncs, the
//! next ones gather. So an acknowledged write survives a kill and a power loss, and many writers
//! share each sync.
//!
//! Why a log of our own and not an embedded database such as redb: every object is in memory
//! anyway, for reads, watches and history, so a database's tree would be read once, at the start.
//! A batch is one sequential write and one `fdatasync`, whatever it holds, where a copy-on-write
//! tree writes every page on the way to every key. (A single write costs the same in both; the more
//! share a sync, the further the log is ahead.) And after a full disk or a failed sync the log heals
//! from memory, where a database has to be closed and opened again.
//!
//! The thread waits for the disk, so a durable store has no place in virtual time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::draft::{Draft, Write};
use super::error::WriteError;
use super::log::{Entry, Log};
use super::object::Object;
use super::options::Health;
use super::retry::{Next, Retry};
use super::shared::Shared;

/// Writes that share a sync at most, and that wait at most.
const BATCH: usize = 256;

type Answer = Result<Arc<Object>, WriteError>;

struct Request {
    write: Write,
    answer: oneshot::Sender<Answer>,
}

/// The thread that writes. Dropping this waits until it has done what was asked.
pub(super) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    /// The last batch was not written.
    failing: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn start(shared: Arc<Shared>, log: Log) -> io::Result<Self> {
        let (requests, receiver) = mpsc::channel(BATCH);
        let failing = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&failing);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || run(&shared, log, receiver, &fails))?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
            failing,
        })
    }

    pub(super) fn health(&self) -> Health {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            Health::Ended
        } else if self.failing.load(Ordering::Relaxed) {
            Health::Failing
        } else {
            Health::Good
        }
    }

    pub(super) async fn write(&self, write: Write) -> Answer {
        let requests = self.requests.as_ref().ok_or(WriteError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let sent = requests.send(Request { write, answer }).await;
        sent.map_err(|_| WriteError::Closed)?;
        answered.await.map_err(|_| WriteError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, mut log: Log, mut requests: mpsc::Receiver<Request>, failing: &AtomicBool) {
    let mut retry = Retry::default();
    loop {
        let next = retry.next(&mut requests);
        let was_failing = failing.load(Ordering::Relaxed);
        let done = match next {
            Next::Request(first) => {
                let batch = batch(first, &mut requests);
                commit(shared, &mut log, batch, failing)
            }
            Next::Try => log.try_disk(|| everything(shared)),
            Next::End => return,
        };
        match (was_failing, &done) {
            (false, Err(error)) => warn!(%error, "the store can't be written"),
            (true, Ok(())) => info!("the store can be written again"),
            _ => {}
        }
        failing.store(done.is_err(), Ordering::Relaxed);
        retry.note(done.is_err());
        if log.is_long() {
            let (revision, objects) = everything(shared);
            log.shorten(revision, &objects);
        }
    }
}

/// What waits, beginning with the first, as far as it shares a sync.
fn batch(first: Request, requests: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let mut batch = vec![first];
    while batch.len() < BATCH
        && let Ok(request) = requests.try_recv()
    {
        batch.push(request);
    }
    batch
}

/// Decides, logs, publishes and acknowledges a batch.
fn commit(
    shared: &Shared,
    log: &mut Log,
    batch: Vec<Request>,
    failing: &AtomicBool,
) -> io::Result<()> {
    let mut waiting = Vec::with_capacity(batch.len());
    let events = {
        // Nobody else changes the state, so it stays as it is here until the batch is published.
        let state = shared.read();
        let mut draft = Draft::new(&state);
        for Request { write, answer } in batch {
            waiting.push((draft.add(write), answer));
        }
        draft.into_events()
    };
    let done = if events.is_empty() {
        Ok(())
    } else {
        log.append(&events, || everything(shared))
    };
    if let Err(error) = done {
        // Whoever is told of it finds the server not ready.
        failing.store(true, Ordering::Relaxed);
        // Refusals too: what they were refused for may not have happened.
        let shown = Arc::new(io::Error::new(error.kind(), error.to_string()));
        for (_, answer) in waiting {
            let _ = answer.send(Err(WriteError::Storage(Arc::clone(&shown))));
        }
        return Err(error);
    }
    shared.publish(events);
    for (outcome, answer) in waiting {
        // Whoever asked may be gone.
        let _ = answer.send(outcome);
    }
    Ok(())
}

fn everything(shared: &Shared) -> (u64, Vec<Entry>) {
    let state = shared.read();
    (state.revision(), state.objects())
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
