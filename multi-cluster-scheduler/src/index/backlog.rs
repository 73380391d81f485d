//! Objects with replicas that fit nowhere. One is retried when room has grown for its shape, on any
//! cluster.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use placement::{PodShape, Snapshot, Watermark};
use tokio::time::Instant;

use crate::workload::Key;

/// The least time between two retries: a burst of pods ends one by one.
const RETRY: Duration = Duration::from_millis(100);

/// What waits for room.
#[derive(Debug, Default)]
pub struct Backlog {
    /// The shape of each object's replicas; higher priority first, then by name.
    waiting: BTreeMap<(Reverse<i32>, Key), PodShape>,
    /// When room was last checked.
    last_check: Option<Instant>,
    /// The snapshot at that time.
    watermark: Watermark,
}

impl Backlog {
    pub(super) fn insert(&mut self, key: &Key, priority: i32, shape: PodShape) {
        self.remove(key);
        self.waiting.insert((Reverse(priority), key.clone()), shape);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.waiting.retain(|(_, waiting), _| waiting != key);
    }

    /// How many objects wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// All of it, higher priority first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.waiting.keys().map(|(_, key)| key)
    }

    /// The objects for which room has grown since the last check, higher priority first.
    pub(super) fn due(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<Key> {
        if self.waiting.is_empty() || self.last_check.is_some_and(|last| now < last + RETRY) {
            return Vec::new();
        }
        let growth = snapshot.growth(self.watermark);
        if growth.is_empty() {
            return Vec::new();
        }
        let waiting = self.waiting.iter();
        let due = waiting.filter(|(_, shape)| growth.reaches(shape));
        let due = due.map(|((_, key), _)| key.clone()).collect();
        self.watermark = snapshot.watermark();
        self.last_check = Some(now);
        due
    }
}
