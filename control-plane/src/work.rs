//! Long work, away from the threads that serve all requests, and with a deadline.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// Bytes of JSON that are worked on at once; more than that leaves the runtime's workers.
const SMALL: usize = 16 * 1024;

/// How long a request may be worked on, as kube-apiserver has it for patches.
const ALLOWED: Duration = Duration::from_secs(30);

/// How long work waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expired;

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// Its turn did not come.
    Busy,
    /// It took too long.
    Expired,
}

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Says so once the time for the work of this thread has passed. Whatever walks through what a client
/// sent asks for it at each object and each list, and ends early then. What it gives does not count:
/// [`Workbench::run`] drops it.
pub(crate) fn check_deadline() -> Result<(), Expired> {
    match DEADLINE.get() {
        Some(deadline) if Instant::now() > deadline => Err(Expired),
        _ => Ok(()),
    }
}

/// Whether the time for the work of this thread has passed, asked at an object or a list. Of other
/// values there is not much to do.
pub(crate) fn is_late(value: &Value) -> bool {
    (value.is_object() || value.is_array()) && check_deadline().is_err()
}

/// Where long work is done: beside the runtime's workers, a few at a time.
#[derive(Clone)]
pub(crate) struct Workbench {
    turns: Arc<Semaphore>,
    /// How long work waits for its turn.
    patience: Duration,
}

impl Default for Workbench {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            turns: Arc::new(Semaphore::new(cores.max(2))),
            patience: PATIENCE,
        }
    }
}

impl Workbench {
    /// One where no turn ever comes.
    #[cfg(test)]
    pub(crate) fn busy() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(0)),
            patience: Duration::ZERO,
        }
    }

    /// Does work on so many bytes of JSON. What is small is done at once. What is large waits for
    /// its turn, lets another thread serve meanwhile, and has a deadline.
    ///
    /// What comes of it after the deadline is dropped.
    ///
    /// Must not be called from a `LocalSet`, whose thread nobody replaces. A runtime of one thread
    /// does everything at once and without deadline.
    pub(crate) async fn run<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> Result<T, Undone> {
        if bytes <= SMALL || !has_other_threads() {
            return Ok(work());
        }
        let turn = tokio::time::timeout(self.patience, self.turns.acquire()).await;
        // The semaphore is never closed.
        let _turn = turn.map_err(|_| Undone::Busy)?;
        tokio::task::block_in_place(|| in_time(Instant::now() + ALLOWED, work))
    }
}

/// How much work a request is, and where it is done.
#[derive(Clone, Copy)]
pub(crate) struct Effort<'a> {
    /// None if all is done at once.
    pub(crate) bench: Option<&'a Workbench>,
    /// Of what was sent.
    pub(crate) bytes: usize,
    /// How much more than for others is to be done for each byte.
    pub(crate) factor: usize,
}

impl Effort<'_> {
    /// Does a part of the work, which is on so many bytes more than were sent.
    pub(crate) async fn run<T>(&self, more: usize, work: impl FnOnce() -> T) -> Result<T, Undone> {
        match self.bench {
            None => Ok(work()),
            Some(bench) => {
                let bytes = self.bytes.saturating_add(more);
                bench.run(bytes.saturating_mul(self.factor), work).await
            }
        }
    }
}

fn has_other_threads() -> bool {
    let runtime = Handle::try_current();
    runtime.is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// Does work, and gives what came of it if that was in time.
fn in_time<T>(deadline: Instant, work: impl FnOnce() -> T) -> Result<T, Undone> {
    with_deadline(deadline, || {
        let done = work();
        check_deadline().map_err(|Expired| Undone::Expired)?;
        Ok(done)
    })
}

/// Does work whose time has passed already, to see that it ends early.
#[cfg(test)]
pub(crate) fn too_late<T>(work: impl FnOnce() -> T) -> T {
    with_deadline(Instant::now(), work)
}

fn with_deadline<T>(deadline: Instant, work: impl FnOnce() -> T) -> T {
    /// Takes the deadline away again, also when the work panics.
    struct Reset(Option<Instant>);
    impl Drop for Reset {
        fn drop(&mut self) {
            DEADLINE.set(self.0);
        }
    }
    let _reset = Reset(DEADLINE.replace(Some(deadline)));
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_counts_within_its_work_only() {
        let now = Instant::now();
        assert_eq!(with_deadline(now, check_deadline), Err(Expired));
        let later = now + Duration::from_hours(1);
        assert_eq!(with_deadline(later, check_deadline), Ok(()));
        assert_eq!(check_deadline(), Ok(()));
    }

    #[tokio::test]
    async fn one_thread_does_everything_at_once() {
        let bench = Workbench::busy();
        assert_eq!(bench.run(usize::MAX, || 1).await, Ok(1));
    }

    #[test]
    fn what_is_late_does_not_count() {
        let now = Instant::now();
        assert_eq!(in_time(now, || 1), Err(Undone::Expired));
        assert_eq!(in_time(now + Duration::from_hours(1), || 1), Ok(1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_waits_for_its_turn_no_longer_than_it_may() {
        let bench = Workbench::busy();
        assert_eq!(bench.run(usize::MAX, || 1).await, Err(Undone::Busy));
        assert_eq!(bench.run(SMALL, || 1).await, Ok(1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_are_served_beside_long_work() {
        let bench = Workbench::default();
        let (send, receive) = std::sync::mpsc::channel();
        let (said, heard) = std::sync::mpsc::channel();
        let other = tokio::spawn(async move { said.send(()).unwrap() });
        // The only worker waits for another task: it is served by a thread in its place.
        bench
            .run(usize::MAX, move || {
                heard.recv().unwrap();
                send.send(()).unwrap();
            })
            .await
            .unwrap();
        receive.recv().unwrap();
        other.await.unwrap();
    }
}
