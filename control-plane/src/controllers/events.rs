//! Events, which go an hour after they were last written, as kube-apiserver lets them go
//! (`--event-ttl`), or when there are many newer ones.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tracing::warn;

use super::garbage::key;
use super::written::Written;
use crate::kinds::table;
use crate::meta::text;
use crate::objects::Objects;
use crate::store::{Key, WriteError};

const TTL: Duration = Duration::from_hours(1);
/// How many there are at most. More, and those that were written first go.
const MOST: usize = 10_000;
/// How long until a store that could not be written is tried again.
const RETRY: Duration = Duration::from_mins(1);
/// Those that go within the same second go together.
const PAUSE: Duration = Duration::from_secs(1);

/// When each event goes.
#[derive(Default)]
pub(super) struct Expiry {
    by_key: BTreeMap<Key, Timestamp>,
    by_time: BTreeSet<(Timestamp, Key)>,
}

impl Expiry {
    /// Learns of a write at a time.
    pub(super) fn note(&mut self, written: Written<'_>, at: Timestamp) {
        let Some(object) = written.after.or(written.before) else {
            return;
        };
        if written.table != table("", "events") {
            return;
        }
        let key = key(written.table, object.value());
        self.forget(&key);
        if written.after.is_some() {
            self.expect(key, at.saturating_add(TTL).unwrap_or(at));
        }
    }

    /// How long until the next event goes; none if there is none.
    pub(super) fn wait(&self, now: Timestamp) -> Option<Duration> {
        let (due, _) = self.by_time.first()?;
        let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        Some(left.max(PAUSE))
    }

    /// Removes the events whose time has come.
    pub(super) async fn work(&mut self, objects: &Objects) {
        let kinds = objects.registry.now();
        let Some(resource) = kinds.find("", "v1", "events") else {
            return;
        };
        let now = objects.sources.now();
        while let Some((due, key)) = self.by_time.first().cloned()
            && (due <= now || self.by_time.len() > MOST)
        {
            self.forget(&key);
            let Some(object) = objects.store.get(&key) else {
                continue;
            };
            match objects.remove(resource, &object, false).await {
                // One that was written in between is reported anew.
                Ok(_) | Err(WriteError::Conflict { .. } | WriteError::NotFound) => {}
                Err(error) => {
                    warn!(%error, "events that have expired stay");
                    self.expect(key, now.saturating_add(RETRY).unwrap_or(now));
                    return;
                }
            }
        }
    }

    fn expect(&mut self, key: Key, due: Timestamp) {
        self.by_time.insert((due, key.clone()));
        self.by_key.insert(key, due);
    }

    fn forget(&mut self, key: &Key) {
        if let Some(due) = self.by_key.remove(key) {
            self.by_time.remove(&(due, key.clone()));
        }
    }
}

/// When an object that was there at the start was last written, as far as it tells. What it says of
/// the future does not count.
pub(super) fn last_written(object: &Value, now: Timestamp) -> Timestamp {
    let told = [
        "/metadata/creationTimestamp",
        "/lastTimestamp",
        "/series/lastObservedTime",
    ];
    let times = told
        .iter()
        .filter_map(|pointer| text(object, pointer).parse::<Timestamp>().ok());
    times.filter(|time| *time <= now).max().unwrap_or(now)
}
