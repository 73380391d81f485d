//! Round-trip times between clusters.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::ClusterName;

/// Round-trip times between clusters; the same in both directions.
#[derive(Clone, Debug, Default)]
pub struct Proximity {
    numbers: BTreeMap<ClusterName, usize>,
    /// By the numbers of two clusters, as far as times are known.
    times: Vec<Vec<Option<Duration>>>,
}

impl Proximity {
    /// None known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time between two clusters.
    pub fn insert(&mut self, a: ClusterName, b: ClusterName, time: Duration) {
        let (a, b) = (self.add(a), self.add(b));
        self.set(a, b, time);
        self.set(b, a, time);
    }

    /// The time between two clusters, if it is known; to itself it is zero.
    pub fn rtt(&self, a: &ClusterName, b: &ClusterName) -> Option<Duration> {
        if a == b {
            return Some(Duration::ZERO);
        }
        self.between(self.number(a)?, self.number(b)?)
    }

    /// The nearest others, at most `most`; ties by name.
    pub fn nearest(&self, to: &ClusterName, most: usize) -> Vec<(ClusterName, Duration)> {
        let Some(to) = self.number(to) else {
            return Vec::new();
        };
        let mut all: Vec<_> = self
            .numbers
            .iter()
            .filter_map(|(name, number)| Some((name.clone(), self.between(to, *number)?)))
            .collect();
        all.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        all.truncate(most);
        all
    }

    /// A cluster's number, to look up several times; `None` without any time.
    pub(crate) fn number(&self, name: &ClusterName) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// The time between two clusters by their numbers.
    pub(crate) fn between(&self, a: usize, b: usize) -> Option<Duration> {
        self.times.get(a)?.get(b).copied()?
    }

    fn add(&mut self, name: ClusterName) -> usize {
        let next = self.numbers.len();
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            self.times.push(Vec::new());
        }
        number
    }

    fn set(&mut self, from: usize, to: usize, time: Duration) {
        let row = &mut self.times[from];
        if to >= row.len() {
            row.resize(to + 1, None);
        }
        row[to] = Some(time);
    }
}

/// Two are equal that know the same times, in whatever order they learned them.
impl PartialEq for Proximity {
    fn eq(&self, other: &Self) -> bool {
        self.numbers.keys().eq(other.numbers.keys())
            && self.numbers.iter().all(|(name, a)| {
                let same = |(to, b): (&ClusterName, &usize)| {
                    let times = other.number(name).zip(other.number(to));
                    times.and_then(|(a, b)| other.between(a, b)) == self.between(*a, *b)
                };
                self.numbers.iter().all(same)
            })
    }
}

impl Eq for Proximity {}
