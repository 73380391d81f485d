//! Deployments with replicas outside of their locations, because there was no room: when there has been
//! room for a while, a move brings them back.
//!
//! A move costs, and room may be there for a moment only, for example between two pods of a rollout. So
//! a location must have had room at every check for `--return-after`.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::workload::{Key, Kind};

/// All of them.
#[derive(Debug, Default)]
pub struct Displaced(BTreeMap<Key, Entry>);

/// Replicas of a deployment that run outside of its locations.
#[derive(Clone, Copy, Debug)]
struct Entry {
    replicas: u32,
    /// Since when some of them would fit into a location.
    room_since: Option<Instant>,
    /// The version of the locations' room at the last check.
    checked: Option<u64>,
}

impl Displaced {
    /// A deployment was decided: so many of its replicas are displaced. A job's pods never move.
    pub(super) fn track(&mut self, key: &Key, replicas: u32) {
        if replicas == 0 || key.kind != Kind::Deployment {
            self.0.remove(key);
            return;
        }
        let fresh = Entry {
            replicas,
            room_since: None,
            checked: None,
        };
        let before = self.0.get(key).filter(|entry| entry.replicas == replicas);
        let entry = before.copied().unwrap_or(fresh);
        self.0.insert(key.clone(), entry);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// Its locations may have more room than their nodes show.
    pub(super) fn check_again(&mut self, key: &Key) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.checked = None;
        }
    }

    /// How many replicas of it are displaced.
    pub(super) fn replicas(&self, key: &Key) -> u32 {
        self.0.get(key).map_or(0, |entry| entry.replicas)
    }

    /// Those whose room is to be checked: `room` is the version of the room at the locations of one,
    /// none if nothing of it may return now. Where there was none, there is none before it grows.
    pub(super) fn due_for_check(&mut self, room: impl Fn(&Key) -> Option<u64>) -> Vec<Key> {
        let mut all = Vec::new();
        for (key, entry) in &mut self.0 {
            let Some(version) = room(key) else {
                (entry.room_since, entry.checked) = (None, None);
                continue;
            };
            if entry.room_since.is_some() || entry.checked != Some(version) {
                entry.checked = Some(version);
                all.push(key.clone());
            }
        }
        all
    }

    /// One was checked.
    pub(super) fn checked(&mut self, key: &Key, has_room: bool, now: Instant) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.room_since = has_room.then(|| entry.room_since.unwrap_or(now));
        }
    }

    /// Those that have had room for so long.
    pub(super) fn ready(&self, after: Duration, now: Instant) -> impl Iterator<Item = &Key> {
        let ready = self.0.iter().filter(move |(_, entry)| {
            let since = entry.room_since;
            since.is_some_and(|since| now.duration_since(since) >= after)
        });
        ready.map(|(key, _)| key)
    }

    /// It is about to return. If the decision is another one after all, it waits again.
    pub(super) fn returns(&mut self, key: &Key) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.room_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            kind: Kind::Deployment,
            namespace: "default".to_owned(),
            name: "web".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_location_must_have_had_room_at_every_check() {
        let (mut displaced, start) = (Displaced::default(), Instant::now());
        let after = Duration::from_secs(30);
        displaced.track(&key(), 3);
        let check = |displaced: &mut Displaced, room, seconds| {
            let is_checked = !displaced.due_for_check(|_| Some(7)).is_empty();
            assert!(is_checked);
            let now = start + Duration::from_secs(seconds);
            displaced.checked(&key(), room, now);
            let is_ready = displaced.ready(after, now).next().is_some();
            if is_ready {
                displaced.returns(&key());
            }
            is_ready
        };
        assert!(!check(&mut displaced, true, 0));
        assert!(!check(&mut displaced, true, 29));
        assert!(
            !check(&mut displaced, false, 29),
            "it was there for a moment"
        );
        assert!(
            displaced.due_for_check(|_| Some(7)).is_empty(),
            "nothing has grown"
        );
        displaced.check_again(&key());
        assert!(!check(&mut displaced, true, 30));
        assert!(displaced.due_for_check(|_| None).is_empty());
        assert!(!check(&mut displaced, true, 31), "counted anew");
        assert!(check(&mut displaced, true, 61));
        displaced.track(&key(), 0);
        assert!(displaced.due_for_check(|_| Some(8)).is_empty());
    }
}
