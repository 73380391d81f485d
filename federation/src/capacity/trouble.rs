//! Pods of ours that do not run, and why: what capacity does not count and people want to know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use placement::PodKey;
use tokio::time::Instant;

use crate::members::text::plain;

/// How many kinds of trouble of an owner are told of.
const MOST_KINDS: usize = 3;

/// Why a pod does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    reason: String,
    message: String,
}

impl Trouble {
    /// A reason and a message as the member gives them.
    pub fn new(reason: &str, message: &str) -> Self {
        Self {
            // The two alternate while an image cannot be pulled.
            reason: if reason == "ErrImagePull" {
                "ImagePullBackOff".to_owned()
            } else {
                plain(reason)
            },
            message: plain(message),
        }
    }

    fn is_unschedulable(&self) -> bool {
        self.reason == "Unschedulable"
    }
}

/// The pods of ours on one member that do not run.
#[derive(Debug, Default)]
pub struct PodTroubles {
    pods: BTreeMap<PodKey, Entry>,
    by_owner: BTreeMap<u128, BTreeSet<PodKey>>,
}

#[derive(Debug)]
struct Entry {
    owner: u128,
    trouble: Trouble,
    since: Instant,
}

impl PodTroubles {
    /// What is wrong with a pod now; whether it was something else before.
    pub fn note(&mut self, pod: PodKey, owner: u128, now: Option<Trouble>) -> bool {
        let Some(trouble) = now else {
            return self.remove(pod).is_some();
        };
        if let Some(known) = self.pods.get_mut(&pod) {
            let changed = known.trouble != trouble;
            if known.trouble.reason != trouble.reason {
                known.since = Instant::now();
            }
            known.trouble = trouble;
            return changed;
        }
        let since = Instant::now();
        self.by_owner.entry(owner).or_default().insert(pod);
        self.pods.insert(
            pod,
            Entry {
                owner,
                trouble,
                since,
            },
        );
        true
    }

    /// A pod is gone, or has no trouble any more; its owner, if it had.
    pub fn remove(&mut self, pod: PodKey) -> Option<u128> {
        let entry = self.pods.remove(&pod)?;
        if let Some(pods) = self.by_owner.get_mut(&entry.owner) {
            pods.remove(&pod);
            if pods.is_empty() {
                self.by_owner.remove(&entry.owner);
            }
        }
        Some(entry.owner)
    }

    /// There are no other pods than these; the owners of those that are gone.
    pub fn retain(&mut self, pods: &BTreeSet<PodKey>) -> BTreeSet<u128> {
        let gone: Vec<_> = (self.pods.keys().copied())
            .filter(|pod| !pods.contains(pod))
            .collect();
        gone.into_iter()
            .filter_map(|pod| self.remove(pod))
            .collect()
    }

    /// What is wrong with an owner's pods, with numbers: `2 pods: Unschedulable: 0/5 nodes …`.
    pub fn summary(&self, owner: u128) -> Option<String> {
        let mut kinds: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for trouble in self.of(owner).map(|entry| &entry.trouble) {
            let first = (0, trouble.message.as_str());
            kinds.entry(&trouble.reason).or_insert(first).0 += 1;
        }
        let told = kinds
            .iter()
            .take(MOST_KINDS)
            .map(|(reason, (count, message))| {
                let pods = if *count == 1 { "pod" } else { "pods" };
                let colon = if message.is_empty() { "" } else { ": " };
                format!("{count} {pods}: {reason}{colon}{message}")
            });
        let told: Vec<_> = told.collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// How many pods have been unschedulable for that long, by owner.
    pub fn unschedulable(&self, longer_than: Duration, now: Instant) -> BTreeMap<u128, u32> {
        let mut counts = BTreeMap::new();
        for entry in self.pods.values() {
            let waited = now.duration_since(entry.since);
            if entry.trouble.is_unschedulable() && waited >= longer_than {
                *counts.entry(entry.owner).or_insert(0) += 1;
            }
        }
        counts
    }

    fn of(&self, owner: u128) -> impl Iterator<Item = &Entry> {
        let pods = self.by_owner.get(&owner).into_iter().flatten();
        pods.filter_map(|pod| self.pods.get(pod))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn troubles_are_counted_by_owner_and_kind() {
        let mut troubles = PodTroubles::default();
        let full = || Some(Trouble::new("Unschedulable", "0/5 nodes are available"));
        let pull = |reason: &str| Some(Trouble::new(reason, "no such image"));
        assert!(troubles.note(PodKey(1), 7, full()));
        assert!(!troubles.note(PodKey(1), 7, full()));
        assert!(troubles.note(PodKey(2), 7, pull("ErrImagePull")));
        assert!(!troubles.note(PodKey(2), 7, pull("ImagePullBackOff")));
        assert!(troubles.note(PodKey(3), 7, pull("ErrImagePull")));
        assert!(troubles.note(PodKey(4), 8, full()));
        assert_eq!(
            troubles.summary(7).unwrap(),
            "2 pods: ImagePullBackOff: no such image; 1 pod: Unschedulable: 0/5 nodes are available"
        );
        let minute = Duration::from_mins(1);
        assert!(troubles.unschedulable(minute, Instant::now()).is_empty());
        tokio::time::advance(minute).await;
        assert_eq!(
            troubles.unschedulable(minute, Instant::now()),
            BTreeMap::from([(7, 1), (8, 1)])
        );
        assert!(troubles.note(PodKey(1), 7, None));
        assert_eq!(
            troubles.unschedulable(minute, Instant::now()),
            BTreeMap::from([(8, 1)])
        );
        assert_eq!(
            troubles.retain(&BTreeSet::from([PodKey(3)])),
            BTreeSet::from([7, 8])
        );
        assert_eq!(
            troubles.summary(7).unwrap(),
            "1 pod: ImagePullBackOff: no such image"
        );
        assert_eq!(troubles.remove(PodKey(3)), Some(7));
        assert_eq!(troubles.summary(7), None);
    }
}
