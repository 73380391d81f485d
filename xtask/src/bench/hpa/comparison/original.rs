//! The original's rule, as its code has it.
//!
//! Every 30 s, for each cluster: ⌈pods × usage / target⌉, where the usage is that of all pods
//! together in percent of their limits. Fewer pods than there are count only once they were asked
//! for in eleven rounds in a row. The sum is kept within its bounds and divided evenly; what does not
//! divide is left out.

use std::collections::BTreeMap;

use multi_cluster_hpa::behavior::Bounds;

use super::replay::{Replicas, Rule, Seen};

/// Rounds in which fewer are asked for, until they count: a countdown of 11 minutes that loses a
/// minute in every round of 30 s.
const COUNTDOWN: u32 = 11;

/// The original's rule.
pub(super) struct Original {
    /// CPU in percent of the pods' limits.
    target: f64,
    bounds: Bounds,
    /// Rounds that are left, by cluster.
    countdowns: BTreeMap<String, u32>,
}

impl Original {
    pub(super) fn new(target: i32, bounds: Bounds) -> Self {
        Self {
            target: f64::from(target),
            bounds,
            countdowns: BTreeMap::new(),
        }
    }

    /// What a cluster counts for, with so many pods that use so many cores together; each has one.
    fn wanted(&mut self, cluster: &str, pods: u32, used: f64) -> u32 {
        let usage = 100.0 * used / f64::from(pods.max(1));
        let asked = (f64::from(pods) * (usage / self.target)).ceil() as u32;
        let countdown = self
            .countdowns
            .entry(cluster.to_owned())
            .or_insert(COUNTDOWN);
        if asked < pods {
            *countdown = countdown.saturating_sub(1);
        }
        if asked >= pods || *countdown == 0 {
            *countdown = COUNTDOWN;
            asked
        } else {
            pods
        }
    }
}

impl Rule for Original {
    const INTERVAL: u64 = 30;

    fn decide(&mut self, seen: &Seen) -> Replicas {
        let mut sum = 0;
        for (cluster, pods) in &seen.clusters {
            let used = pods.iter().filter_map(|pod| Some(pod.sample?.cores)).sum();
            let count = u32::try_from(pods.len()).unwrap_or(u32::MAX);
            sum += self.wanted(cluster, count, used);
        }
        let sum = sum.clamp(self.bounds.min, self.bounds.max);
        let clusters = u32::try_from(seen.clusters.len()).unwrap_or(u32::MAX);
        let each = sum / clusters.max(1);
        let names = seen.clusters.keys();
        names.map(|cluster| (cluster.clone(), each)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay::{Pod, Sample};
    use super::*;

    fn rule() -> Original {
        Original::new(50, Bounds { min: 2, max: 20 })
    }

    /// Clusters with so many pods, each of which uses so many cores.
    fn seen(clusters: &[(u32, f64)]) -> Seen {
        let pods = |(number, (count, cores)): (usize, &(u32, f64))| {
            let pod = |number| Pod {
                number: u64::from(number),
                created: 0,
                ready: Some(0),
                sample: Some(Sample {
                    at: 100,
                    cores: *cores,
                }),
            };
            (
                format!("cluster{}", number + 1),
                (0..*count).map(pod).collect(),
            )
        };
        Seen {
            now: 100,
            clusters: clusters.iter().enumerate().map(pods).collect(),
        }
    }

    fn decide(rule: &mut Original, clusters: &[(u32, f64)]) -> Vec<u32> {
        rule.decide(&seen(clusters)).into_values().collect()
    }

    #[test]
    fn what_all_clusters_ask_for_is_divided_evenly() {
        // ⌈2 × 80 / 50⌉ and ⌈2 × 40 / 50⌉.
        assert_eq!(decide(&mut rule(), &[(2, 0.8), (2, 0.4)]), [3, 3]);
        // ⌈2 × 90 / 50⌉ = 4 and 1, for which nobody has waited: 4 + 2.
        assert_eq!(decide(&mut rule(), &[(2, 0.9), (2, 0.1)]), [3, 3]);
    }

    #[test]
    fn what_does_not_divide_is_left_out() {
        assert_eq!(decide(&mut rule(), &[(2, 0.6), (2, 0.5)]), [2, 2]);
    }

    #[test]
    fn the_sum_has_bounds() {
        assert_eq!(decide(&mut rule(), &[(15, 1.0), (2, 0.5)]), [10, 10]);
    }

    #[test]
    fn fewer_come_five_and_a_half_minutes_late() {
        let mut rule = rule();
        // The first look is at 0 s, and the eleventh at 5 min.
        for _ in 0..10 {
            assert_eq!(decide(&mut rule, &[(6, 0.1), (6, 0.1)]), [6, 6]);
        }
        assert_eq!(decide(&mut rule, &[(6, 0.1), (6, 0.1)]), [2, 2]);
    }

    #[test]
    fn the_countdown_begins_anew_when_as_many_are_asked_for() {
        let mut rule = rule();
        for _ in 0..10 {
            decide(&mut rule, &[(6, 0.1), (6, 0.5)]);
        }
        decide(&mut rule, &[(6, 0.5), (6, 0.5)]);
        for _ in 0..10 {
            assert_eq!(decide(&mut rule, &[(6, 0.1), (6, 0.5)]), [6, 6]);
        }
        assert_eq!(decide(&mut rule, &[(6, 0.1), (6, 0.5)]), [4, 4]);
    }
}
