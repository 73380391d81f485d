//! Round-trip times between clusters.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::ClusterName;

/// Round-trip times between clusters; the same in both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proximity {
    times: BTreeMap<ClusterName, BTreeMap<ClusterName, Duration>>,
}

impl Proximity {
    /// None known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time between two clusters.
    pub fn insert(&mut self, a: ClusterName, b: ClusterName, time: Duration) {
        self.times
            .entry(a.clone())
            .or_default()
            .insert(b.clone(), time);
        self.times.entry(b).or_default().insert(a, time);
    }

    /// The time between two clusters, if it is known; to itself it is zero.
    pub fn rtt(&self, a: &ClusterName, b: &ClusterName) -> Option<Duration> {
        if a == b {
            return Some(Duration::ZERO);
        }
        self.times.get(a)?.get(b).copied()
    }

    /// The nearest others, at most `most`; ties by name.
    pub fn nearest(&self, to: &ClusterName, most: usize) -> Vec<(ClusterName, Duration)> {
        let mut all: Vec<_> = self
            .times
            .get(to)
            .into_iter()
            .flatten()
            .map(|(name, time)| (name.clone(), *time))
            .collect();
        all.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        all.truncate(most);
        all
    }
}
