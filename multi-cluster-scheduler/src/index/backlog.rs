//! Objects with replicas that fit nowhere.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use placement::ClusterName;
use tokio::time::Instant;

use crate::workload::Key;

/// The least time between two retries: a burst of pods ends one by one.
const RETRY: Duration = Duration::from_millis(100);

/// What waits for room.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Higher priority first, then by name.
    waiting: BTreeSet<(Reverse<i32>, Key)>,
    /// When it was last retried.
    last_retry: Option<Instant>,
    /// The version of each cluster's room at the last retry.
    versions: BTreeMap<ClusterName, u64>,
}

impl Backlog {
    pub(super) fn insert(&mut self, key: &Key, priority: i32) {
        self.remove(key);
        self.waiting.insert((Reverse(priority), key.clone()));
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.waiting.retain(|(_, waiting)| waiting != key);
    }

    /// How many objects wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// All of it, higher priority first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.waiting.iter().map(|(_, key)| key)
    }

    /// Whether the room of any cluster has grown since the last retry; then that is now.
    pub(super) fn is_due(
        &mut self,
        rooms: impl Iterator<Item = (ClusterName, u64)>,
        now: Instant,
    ) -> bool {
        if self.waiting.is_empty() || self.last_retry.is_some_and(|last| now < last + RETRY) {
            return false;
        }
        let versions = rooms.collect();
        let has_grown = self.versions != versions;
        if has_grown {
            self.versions = versions;
            self.last_retry = Some(now);
        }
        has_grown
    }
}
