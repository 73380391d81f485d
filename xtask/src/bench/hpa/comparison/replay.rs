//! Pods that serve a recorded load, second by second, as many as a rule asks for.

use std::collections::BTreeMap;

use super::load::Record;

/// Replicas by cluster.
pub(super) type Replicas = BTreeMap<String, u32>;

/// From a pod's creation until it serves, in seconds.
const START: u64 = 20;
/// The time between two measurements of a pod, and the time that each covers, in seconds. It is
/// metrics-server's.
const RESOLUTION: u64 = 15;
/// When they are taken: between the rounds of both rules.
const OFFSET: u64 = 7;

/// What decides how many replicas run where.
pub(super) trait Rule {
    /// Seconds between two decisions.
    const INTERVAL: u64;

    /// Replicas by cluster from now on.
    fn decide(&mut self, seen: &Seen) -> Replicas;
}

/// What a rule is told.
pub(super) struct Seen {
    /// Seconds since the beginning.
    pub(super) now: u64,
    /// The pods by cluster, the oldest first.
    pub(super) clusters: BTreeMap<String, Vec<Pod>>,
}

/// A pod; it asks for one core, and can use no more.
#[derive(Clone, Copy)]
pub(super) struct Pod {
    /// It tells it from others of its cluster.
    pub(super) number: u64,
    pub(super) created: u64,
    /// Since when it serves.
    pub(super) ready: Option<u64>,
    pub(super) sample: Option<Sample>,
}

/// What was measured of a pod.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// When: the end of the time that it covers.
    pub(super) at: u64,
    /// On average.
    pub(super) cores: f64,
}

impl Sample {
    /// The time that it covers, in seconds.
    pub(super) const WINDOW: u64 = RESOLUTION;
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Score {
    /// Replicas that run or start, summed over minutes.
    pub(super) replica_minutes: f64,
    /// Minutes of a cluster in which its pods used more than the target, on average.
    pub(super) above: u64,
    /// The same for the target and a tenth of it.
    pub(super) far_above: u64,
    /// Core-minutes of load that no pod could take.
    pub(super) lost: f64,
}

impl Score {
    pub(super) fn add(&mut self, other: Self) {
        self.replica_minutes += other.replica_minutes;
        self.above += other.above;
        self.far_above += other.far_above;
        self.lost += other.lost;
    }
}

/// Plays a record through a rule. The target is in percent of a core.
pub(super) fn replay<R: Rule>(record: &Record, mut rule: R, target: i32) -> Score {
    let names = record.clusters.keys();
    let mut clusters: BTreeMap<&String, Cluster> =
        names.map(|name| (name, Cluster::default())).collect();
    let mut score = Score::default();
    for now in 0..record.seconds() {
        if now % R::INTERVAL == 0 {
            let seen = clusters
                .iter()
                .map(|(name, one)| ((*name).clone(), one.pods.clone()));
            let seen = Seen {
                now,
                clusters: seen.collect(),
            };
            let replicas = rule.decide(&seen);
            for (name, cluster) in &mut clusters {
                let wanted = replicas.get(*name).copied().unwrap_or_default();
                cluster.scale(wanted, now);
            }
        }
        for (name, cluster) in &mut clusters {
            cluster.serve(record.cores(name, now), now, &mut score);
            if now % RESOLUTION == OFFSET {
                cluster.measure(now);
            }
            if now % 60 == 59 {
                cluster.judge(target, &mut score);
            }
        }
    }
    score
}

/// A cluster's pods.
struct Cluster {
    pods: Vec<Pod>,
    created: u64,
    /// Core-seconds of each ready pod since the last measurement.
    used: f64,
    /// In this minute: cores used, and cores that ready pods have, summed over seconds.
    minute: (f64, f64),
}

impl Default for Cluster {
    /// One pod, which serves since long.
    fn default() -> Self {
        let pod = Pod {
            number: 0,
            created: 0,
            ready: Some(0),
            sample: None,
        };
        Self {
            pods: vec![pod],
            created: 1,
            used: 0.0,
            minute: (0.0, 0.0),
        }
    }
}

impl Cluster {
    /// The youngest go first.
    fn scale(&mut self, wanted: u32, now: u64) {
        self.pods.truncate(wanted as usize);
        while self.pods.len() < wanted as usize {
            self.pods.push(Pod {
                number: self.created,
                created: now,
                ready: None,
                sample: None,
            });
            self.created += 1;
        }
    }

    /// A second of load, in cores, that the ready pods share.
    fn serve(&mut self, cores: f64, now: u64, score: &mut Score) {
        for pod in &mut self.pods {
            if pod.ready.is_none() && now >= pod.created + START {
                pod.ready = Some(now);
            }
        }
        let ready = self.pods.iter().filter(|pod| pod.ready.is_some()).count() as f64;
        let each = if ready > 0.0 {
            (cores / ready).min(1.0)
        } else {
            0.0
        };
        self.used += each;
        self.minute.0 += each * ready;
        self.minute.1 += ready;
        score.lost += (cores - each * ready) / 60.0;
        score.replica_minutes += self.pods.len() as f64 / 60.0;
    }

    /// Measures the pods that have served since the last time.
    fn measure(&mut self, now: u64) {
        let cores = self.used / RESOLUTION as f64;
        let begun = (now + 1).saturating_sub(RESOLUTION);
        for pod in &mut self.pods {
            if pod.ready.is_some_and(|since| since <= begun) {
                pod.sample = Some(Sample { at: now + 1, cores });
            }
        }
        self.used = 0.0;
    }

    fn judge(&mut self, target: i32, score: &mut Score) {
        let (used, there) = std::mem::take(&mut self.minute);
        let percent = if there > 0.0 {
            100.0 * used / there
        } else {
            f64::INFINITY
        };
        score.above += u64::from(percent > f64::from(target));
        score.far_above += u64::from(percent > 1.1 * f64::from(target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two replicas, and four from the second minute on.
    struct Fixed;

    impl Rule for Fixed {
        const INTERVAL: u64 = 60;

        fn decide(&mut self, seen: &Seen) -> Replicas {
            let wanted = if seen.now < 60 { 2 } else { 4 };
            seen.clusters
                .keys()
                .map(|name| (name.clone(), wanted))
                .collect()
        }
    }

    fn record(cores: f64) -> Record {
        let clusters = BTreeMap::from([("cluster1".to_owned(), vec![cores; 180])]);
        Record { clusters }
    }

    #[test]
    fn a_score_counts_replicas_and_minutes_above_the_target() {
        let score = replay(&record(1.2), Fixed, 50);
        assert!((score.replica_minutes - 10.0).abs() < 1e-9, "{score:?}");
        // Two ready pods at 60 %, then a minute with four for two thirds of it, at 40 % together.
        assert_eq!((score.above, score.far_above), (1, 1), "{score:?}");
        // While the second one starts, 0.2 cores have no place.
        assert!((score.lost - 0.2 * 20.0 / 60.0).abs() < 1e-9, "{score:?}");
    }

    #[test]
    fn a_pod_uses_a_core_at_most() {
        let score = replay(&record(10.0), Fixed, 50);
        assert_eq!(score.above, 3);
        assert!(score.lost > 10.0, "{score:?}");
    }

    /// Remembers what it was told.
    struct Looks<'a>(&'a mut Vec<Vec<Option<f64>>>);

    impl Rule for Looks<'_> {
        const INTERVAL: u64 = 15;

        fn decide(&mut self, seen: &Seen) -> Replicas {
            let samples = seen.clusters["cluster1"].iter();
            let samples = samples.map(|pod| pod.sample.map(|sample| sample.cores));
            self.0.push(samples.collect());
            BTreeMap::from([("cluster1".to_owned(), 2)])
        }
    }

    #[test]
    fn a_pod_is_measured_once_it_has_served_for_as_long_as_a_measurement_covers() {
        let mut looks = Vec::new();
        replay(&record(0.8), Looks(&mut looks), 50);
        assert_eq!(looks[0], [None]);
        // Ready at 20 s; the measurements end at 8, 23 and 38 s, and the looks are at 30 and 45 s.
        assert_eq!(looks[2][1], None);
        let measured = looks[3][1].unwrap();
        assert!((measured - 0.4).abs() < 1e-9, "{measured}");
    }
}
