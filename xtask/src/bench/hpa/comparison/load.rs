//! Loads as they could have been recorded: the cores that the requests to each cluster need, second
//! by second. A seed decides everything.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lab::simulated::{Crowd, Curve, Random};

/// A day, in seconds.
const DAY: u64 = 86_400;

/// A recorded load.
pub(super) struct Record {
    /// By cluster, the cores that are needed in each second.
    pub(super) clusters: BTreeMap<String, Vec<f64>>,
}

impl Record {
    /// How long it is.
    pub(super) fn seconds(&self) -> u64 {
        let lengths = self.clusters.values().map(|cores| cores.len() as u64);
        lengths.min().unwrap_or_default()
    }

    /// The cores that are needed in a cluster in a second; none past its end.
    pub(super) fn cores(&self, cluster: &str, second: u64) -> f64 {
        let cores = self.clusters.get(cluster);
        let second = usize::try_from(second).unwrap_or(usize::MAX);
        cores
            .and_then(|cores| cores.get(second))
            .copied()
            .unwrap_or_default()
    }
}

/// What a load is like.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A day with its peak in each cluster at another hour.
    Day,
    /// The same, and crowds that come to one cluster for half an hour.
    FlashCrowds,
    /// Levels that change all at once, from half an hour to two hours apart.
    Steps,
}

impl Shape {
    pub(super) const ALL: [Self; 3] = [Self::Day, Self::FlashCrowds, Self::Steps];

    /// For people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Day => "a day's swing",
            Self::FlashCrowds => "a day with three flash crowds in one cluster",
            Self::Steps => "steps",
        }
    }

    /// A day of it in three clusters.
    pub(super) fn record(self, seed: u64) -> Record {
        let clusters = ["cluster1", "cluster2", "cluster3"].iter().enumerate();
        let clusters = clusters.map(|(number, name)| {
            let cores = match self {
                Self::Day => swing(name, number, seed, Vec::new()),
                Self::FlashCrowds => swing(name, number, seed, crowds(seed)),
                Self::Steps => steps(name, seed),
            };
            ((*name).to_owned(), cores)
        });
        Record {
            clusters: clusters.collect(),
        }
    }
}

/// Peaks at 10, 14 and 18 o'clock; four, three and two cores on average.
fn swing(cluster: &str, number: usize, seed: u64, crowds: Vec<Crowd>) -> Vec<f64> {
    let number = number as f64;
    let curve = Curve {
        base: 4.0 - number,
        swing: 0.6,
        peak_hour: 10.0 + 4.0 * number,
        crowds,
        noise: 0.1,
        ..Curve::default()
    };
    let rate = |second| curve.rate("default/web", cluster, seed, at(second));
    (0..DAY).map(rate).collect()
}

/// Three crowds that come to cluster2, four times as many as usual.
fn crowds(seed: u64) -> Vec<Crowd> {
    let mut random = Random::new(seed, "crowds");
    let crowd = |third: u64| {
        let from = third * DAY / 3;
        let wait = random.fraction() * (DAY / 3 - 1800) as f64;
        Crowd {
            at: at(from + wait as u64),
            lasts: Duration::from_mins(30),
            times: 4.0,
            clusters: vec!["cluster2".to_owned()],
        }
    };
    (0..3).map(crowd).collect()
}

/// Levels from one core to eight, with noise of a twentieth.
fn steps(cluster: &str, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed, cluster);
    let mut cores = Vec::new();
    while (cores.len() as u64) < DAY {
        let lasts = 1800.0 + random.fraction() * 5400.0;
        let curve = Curve {
            base: 1.0 + random.fraction() * 7.0,
            noise: 0.05,
            ..Curve::default()
        };
        let from = cores.len() as u64;
        let rate = |second| curve.rate("default/web", cluster, seed, at(second));
        cores.extend((from..from + lasts as u64).map(rate));
    }
    cores.truncate(DAY as usize);
    cores
}

fn at(second: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_day_that_the_seed_decides() {
        for shape in Shape::ALL {
            let record = shape.record(1);
            assert_eq!(record.seconds(), DAY);
            assert_eq!(record.clusters, shape.record(1).clusters);
            assert_ne!(record.clusters, shape.record(2).clusters);
        }
    }

    #[test]
    fn crowds_come_to_one_cluster_alone() {
        let (quiet, crowded) = (Shape::Day.record(1), Shape::FlashCrowds.record(1));
        for cluster in ["cluster1", "cluster3"] {
            assert_eq!(quiet.clusters[cluster], crowded.clusters[cluster]);
        }
        let more = (0..DAY)
            .filter(|second| {
                crowded.cores("cluster2", *second) > 1.01 * quiet.cores("cluster2", *second)
            })
            .count();
        // Three times half an hour.
        assert!((5300..=5400).contains(&more), "{more}");
    }
}
