//! The work queue of a reconciler.
//!
//! Like client-go's `workqueue` (deduplicating; a key is worked by one worker at a time; retries
//! wait longer each time, and all keys together are retried at a bounded rate), with three
//! differences: everything is in ordered maps and nothing jitters, so that a run in virtual time
//! hands out the same keys in the same order every time; there are two priorities, so that a sweep
//! over all objects does not delay a user's change; and a key that failed waits for its retry
//! whatever adds it, until [`WorkQueue::renew`] says that what failed has changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Which of two ready keys goes first. Within a priority, first come, first served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Something has changed.
    High,
    /// A sweep or a resync.
    Low,
}

/// How long a failed key waits: `first`, then twice as long each time, up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Backoff {
    /// Half a second up to five minutes.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_mins(5),
        }
    }
}

impl Backoff {
    /// The wait after so many failures in a row, counted from one.
    pub fn after(&self, failures: u32) -> Duration {
        let factor = 2_u32
            .checked_pow(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// The rate of retries of all keys together, for queues that write to one server: so many at once, then
/// one each interval, as client-go limits controllers by default.
#[derive(Clone, Debug, Default)]
pub struct RetryRate(Arc<Mutex<Option<Instant>>>);

impl RetryRate {
    /// How long the next retry has to wait for those before it.
    fn next(&self, now: Instant) -> Duration {
        // When the retries granted so far have been paid for, at one each interval.
        let mut paid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = paid.map_or(now, |paid| paid.max(now)) + RETRY_INTERVAL;
        *paid = Some(next);
        (next - now).saturating_sub(RETRY_INTERVAL * RETRY_BURST)
    }
}

const RETRY_INTERVAL: Duration = Duration::from_millis(100);
const RETRY_BURST: u32 = 100;

/// A queue of keys. Clones share it.
pub struct WorkQueue<K: Ord + Clone>(Arc<Shared<K>>);

struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    backoff: Backoff,
    rate: RetryRate,
}

struct State<K> {
    ready: BTreeMap<(Priority, u64), K>,
    waiting: BTreeMap<(Instant, u64), K>,
    keys: BTreeMap<K, Entry>,
    /// Numbers every place in `ready` and `waiting`, so that equals keep their order.
    next: u64,
    closed: bool,
}

/// What is known of a key; forgotten when nothing is.
#[derive(Debug, Default)]
struct Entry {
    ready: Option<(Priority, u64)>,
    waiting: Option<(Instant, u64)>,
    working: bool,
    /// Added while it was worked.
    again: Option<Priority>,
    failures: u32,
    /// It failed, and is not worked before.
    retry_at: Option<Instant>,
    /// Renewed while it was worked: a failure of that work is one of what was before.
    renewed: bool,
}

impl<K: Ord + Clone> WorkQueue<K> {
    /// An empty queue, whose retries have a rate of their own.
    pub fn new(backoff: Backoff) -> Self {
        Self::with_rate(backoff, RetryRate::default())
    }

    /// An empty queue that shares the rate of its retries with others.
    pub fn with_rate(backoff: Backoff, rate: RetryRate) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                ready: BTreeMap::new(),
                waiting: BTreeMap::new(),
                keys: BTreeMap::new(),
                next: 0,
                closed: false,
            }),
            changed: Notify::new(),
            backoff,
            rate,
        }))
    }

    /// Adds a key. One that is queued stays where it is, or moves up if `priority` is higher; one
    /// that waits is ready now, unless it failed: then it waits for its retry; one that is being
    /// worked is handed out again afterwards.
    pub fn add(&self, key: K, priority: Priority) {
        self.state().add(key, priority, Instant::now());
        self.0.changed.notify_one();
    }

    /// Adds a key whose object has changed, so that what failed before may succeed now: its
    /// failures are forgotten.
    pub fn renew(&self, key: K, priority: Priority) {
        self.forget(&key);
        self.add(key, priority);
    }

    /// Forgets the failures of a key: it waits for no retry when it is added.
    pub fn forget(&self, key: &K) {
        let mut state = self.state();
        state.forget_failures(key);
        if let Some(entry) = state.keys.get_mut(key) {
            entry.renewed = entry.working;
        }
    }

    /// Adds a key after a delay. Of several delays of one key the shortest counts, a key that is
    /// ready is not delayed, and one that failed waits for its retry. When it is due, it queues
    /// with [`Priority::Low`].
    pub fn add_after(&self, key: K, delay: Duration) {
        self.state().add_at(key, Instant::now() + delay);
        self.0.changed.notify_one();
    }

    /// Waits for the next key; `None` once the queue is closed.
    ///
    /// The key is worked until the [`Job`] is dropped. Safe to cancel.
    pub async fn next(&self) -> Option<Job<K>> {
        loop {
            // Before the look at the state, so that no change is missed in between.
            let changed = self.0.changed.notified();
            let due = {
                let mut state = self.state();
                if state.closed {
                    // Wakes the next waiting worker, too.
                    self.0.changed.notify_one();
                    return None;
                }
                state.wake(Instant::now());
                if let Some(key) = state.take() {
                    // More may have become ready at once than workers were woken.
                    self.0.changed.notify_one();
                    return Some(Job {
                        key,
                        queue: self.clone(),
                    });
                }
                state.waiting.keys().next().map(|&(due, _)| due)
            };
            match due {
                Some(due) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }

    /// Ends the queue: [`Self::next`] gives `None` from now on, whatever is queued.
    pub fn close(&self) {
        self.state().closed = true;
        self.0.changed.notify_one();
    }

    /// How many keys are ready, not counting those that wait or are worked.
    pub fn depth(&self) -> usize {
        self.state().ready.len()
    }

    /// Whether any key is ready, being worked, or failed and will be tried again by `limit`; others
    /// that wait do not count.
    pub fn is_busy_until(&self, limit: Instant) -> bool {
        let state = self.state();
        let is_retried = |entry: &Entry| entry.retry_at.is_some_and(|retry_at| retry_at <= limit);
        let mut entries = state.keys.values();
        !state.ready.is_empty() || entries.any(|entry| entry.working || is_retried(entry))
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A key that is being worked, by no other worker, until this is dropped.
#[must_use = "the key is free for others as soon as the job is dropped"]
pub struct Job<K: Ord + Clone> {
    key: K,
    queue: WorkQueue<K>,
}

impl<K: Ord + Clone> Job<K> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Ends the work; earlier failures are forgotten.
    pub fn succeed(self) {
        self.forget_failures();
    }

    /// Ends the work, which went well but is to be looked at again after a delay.
    pub fn succeed_until(self, delay: Duration) {
        self.forget_failures();
        self.queue.add_after(self.key.clone(), delay);
    }

    /// Ends the work, which failed; it is handed out again after the returned wait. What was added
    /// meanwhile waits as long, unless it was renewed.
    pub fn fail(self) -> Duration {
        let now = Instant::now();
        let mut state = self.queue.state();
        let entry = state.keys.entry(self.key.clone()).or_default();
        if std::mem::take(&mut entry.renewed) {
            state.add(self.key.clone(), Priority::High, now);
            return Duration::ZERO;
        }
        entry.failures = entry.failures.saturating_add(1);
        let backoff = self.queue.0.backoff.after(entry.failures);
        let wait = backoff.max(self.queue.0.rate.next(now));
        let entry = state.keys.entry(self.key.clone()).or_default();
        entry.retry_at = Some(now + wait);
        state.add_at(self.key.clone(), now + wait);
        drop(state);
        wait
    }

    fn forget_failures(&self) {
        self.queue.state().forget_failures(&self.key);
    }
}

impl<K: Ord + Clone> Drop for Job<K> {
    fn drop(&mut self) {
        self.queue.state().finish(&self.key, Instant::now());
        self.queue.0.changed.notify_one();
    }
}

impl<K: Ord + Clone> State<K> {
    fn add(&mut self, key: K, priority: Priority, now: Instant) {
        let number = self.number();
        let entry = self.keys.entry(key.clone()).or_default();
        if let Some(retry_at) = entry.retry_at.filter(|retry_at| *retry_at > now) {
            return self.add_at(key, retry_at);
        }
        if let Some(place) = entry.waiting.take() {
            self.waiting.remove(&place);
        }
        if entry.working {
            entry.again = Some(entry.again.map_or(priority, |before| before.min(priority)));
            return;
        }
        match entry.ready {
            Some((before, _)) if before <= priority => {}
            before => {
                if let Some(place) = before {
                    self.ready.remove(&place);
                }
                entry.ready = Some((priority, number));
                self.ready.insert((priority, number), key);
            }
        }
    }

    fn add_at(&mut self, key: K, due: Instant) {
        let number = self.number();
        let entry = self.keys.entry(key.clone()).or_default();
        let due = entry.retry_at.map_or(due, |retry_at| due.max(retry_at));
        let sooner = entry.waiting.is_some_and(|(before, _)| before <= due);
        if sooner || entry.ready.is_some() || entry.again.is_some() {
            return;
        }
        if let Some(place) = entry.waiting.replace((due, number)) {
            self.waiting.remove(&place);
        }
        self.waiting.insert((due, number), key);
    }

    /// Makes ready what is due.
    fn wake(&mut self, now: Instant) {
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > now {
                break;
            }
            let key = first.remove();
            if let Some(entry) = self.keys.get_mut(&key) {
                entry.waiting = None;
            }
            self.add(key, Priority::Low, now);
        }
    }

    fn forget_failures(&mut self, key: &K) {
        if let Some(entry) = self.keys.get_mut(key) {
            (entry.failures, entry.retry_at) = (0, None);
        }
    }

    /// The first ready key, which is being worked from now on.
    fn take(&mut self) -> Option<K> {
        let (_, key) = self.ready.pop_first()?;
        let entry = self.keys.entry(key.clone()).or_default();
        entry.ready = None;
        entry.working = true;
        entry.renewed = false;
        entry.retry_at = None;
        Some(key)
    }

    fn finish(&mut self, key: &K, now: Instant) {
        let Some(entry) = self.keys.get_mut(key) else {
            return;
        };
        entry.working = false;
        if let Some(priority) = entry.again.take() {
            self.add(key.clone(), priority, now);
        } else if entry.waiting.is_none() && entry.failures == 0 {
            self.keys.remove(key);
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
