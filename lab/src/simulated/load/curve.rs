//! How many requests reach a workload: by time of day, by cluster, with flash crowds and noise.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::simulated::random::Random;

/// Seconds in a day.
const DAY: f64 = 86_400.0;
/// Noise is drawn for each of these spans, and changes steadily from one to the next.
const NOISE_SPAN: i64 = 60;
/// A crowd comes, and leaves, within this part of its time.
const RAMP: f64 = 0.1;

/// How many requests reach a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Requests a second of a cluster of share 1, averaged over a quiet day.
    pub base: f64,
    /// How far the day's peak is above the average, and its low point below: 0 is even, 1 leaves
    /// nothing at the low point.
    pub swing: f64,
    /// When the day's peak is, in hours UTC, from 0 up to 24.
    pub peak_hour: f64,
    /// By cluster, which multiple of the base reaches it; 1 where nothing is said.
    pub shares: BTreeMap<String, f64>,
    /// Crowds that come on top.
    pub crowds: Vec<Crowd>,
    /// The relative deviation of the noise.
    pub noise: f64,
}

/// Many more requests for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Crowd {
    /// When it begins to come.
    pub at: Timestamp,
    /// How long it takes from beginning to end.
    pub lasts: Duration,
    /// By which factor the requests grow.
    pub times: f64,
    /// The clusters that it comes to; all if none is named.
    pub clusters: Vec<String>,
}

impl Default for Curve {
    /// No requests.
    fn default() -> Self {
        Self {
            base: 0.0,
            swing: 0.0,
            peak_hour: 14.0,
            shares: BTreeMap::new(),
            crowds: Vec::new(),
            noise: 0.0,
        }
    }
}

impl Curve {
    /// Requests a second that reach the workload of this name in a cluster at a moment. The same
    /// arguments give the same number, in whatever order they come.
    pub fn rate(&self, workload: &str, cluster: &str, seed: u64, at: Timestamp) -> f64 {
        let share = self.shares.get(cluster).copied().unwrap_or(1.0);
        let even = self.base * share;
        if even <= 0.0 {
            return 0.0;
        }
        let crowds: f64 = self
            .crowds
            .iter()
            .map(|crowd| crowd.factor(cluster, at))
            .product();
        let noise = if self.noise > 0.0 {
            (1.0 + self.noise * noise(workload, cluster, seed, at)).max(0.0)
        } else {
            1.0
        };
        even * self.daily(at) * crowds * noise
    }

    fn daily(&self, at: Timestamp) -> f64 {
        let second = (at.as_second().rem_euclid(86_400)) as f64;
        let from_peak = (second - self.peak_hour * 3600.0) / DAY;
        1.0 + self.swing * (std::f64::consts::TAU * from_peak).cos()
    }
}

impl Crowd {
    fn factor(&self, cluster: &str, at: Timestamp) -> f64 {
        let here = self.clusters.is_empty() || self.clusters.iter().any(|name| name == cluster);
        let lasts = self.lasts.as_secs_f64();
        let into = at.duration_since(self.at).as_secs_f64() / lasts;
        if !here || lasts <= 0.0 || !(0.0..=1.0).contains(&into) {
            return 1.0;
        }
        let there = (into / RAMP).min((1.0 - into) / RAMP).min(1.0);
        1.0 + (self.times - 1.0) * there
    }
}

/// A draw around 0 with deviation 1 that changes steadily.
fn noise(workload: &str, cluster: &str, seed: u64, at: Timestamp) -> f64 {
    let (span, into) = (
        at.as_second().div_euclid(NOISE_SPAN),
        at.as_second().rem_euclid(NOISE_SPAN),
    );
    let draw = |span: i64| {
        let seed = seed
            .wrapping_add(span as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Random::new(seed, &format!("{workload}@{cluster}")).normal()
    };
    let (before, after) = (draw(span), draw(span + 1));
    let part = into as f64 / NOISE_SPAN as f64;
    before + (after - before) * part
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(text: &str) -> Timestamp {
        format!("2026-01-01T{text}Z").parse().unwrap()
    }

    fn rate(curve: &Curve, cluster: &str, text: &str) -> f64 {
        curve.rate("default/web", cluster, 1, at(text))
    }

    fn curve() -> Curve {
        Curve {
            base: 100.0,
            swing: 0.5,
            shares: BTreeMap::from([("near".to_owned(), 2.0), ("off".to_owned(), 0.0)]),
            crowds: vec![Crowd {
                at: at("20:00:00"),
                lasts: Duration::from_mins(10),
                times: 4.0,
                clusters: vec!["near".to_owned()],
            }],
            ..Curve::default()
        }
    }

    #[rstest]
    #[case("far", "14:00:00", 150.0)]
    #[case("far", "02:00:00", 50.0)]
    #[case("far", "20:00:00", 100.0)]
    #[case("near", "20:00:00", 200.0)]
    // In the middle of the crowd, and half-way through its coming.
    #[case("near", "20:05:00", 800.0)]
    #[case("near", "20:00:30", 500.0)]
    #[case("far", "20:05:00", 100.0)]
    #[case("off", "14:00:00", 0.0)]
    fn requests_follow_the_day_the_cluster_and_the_crowds(
        #[case] cluster: &str,
        #[case] time: &str,
        #[case] wanted: f64,
    ) {
        let rate = rate(&curve(), cluster, time);
        assert!((rate - wanted).abs() < wanted.mul_add(0.03, 1e-9), "{rate}");
    }

    #[test]
    fn noise_comes_from_the_seed_and_has_its_deviation() {
        let curve = Curve {
            base: 100.0,
            noise: 0.2,
            ..Curve::default()
        };
        let start = at("00:00:00").as_second();
        let draws = |seed| -> Vec<f64> {
            let minutes = (0..5000).map(|minute| start + minute * NOISE_SPAN);
            let moments = minutes.map(|second| Timestamp::from_second(second).unwrap());
            moments
                .map(|at| curve.rate("default/web", "c", seed, at))
                .collect()
        };
        let rates = draws(1);
        assert_eq!(rates, draws(1));
        assert_ne!(rates, draws(2));
        let mean = rates.iter().sum::<f64>() / 5000.0;
        let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / 5000.0;
        assert!((mean - 100.0).abs() < 2.0, "{mean}");
        assert!((variance.sqrt() - 20.0).abs() < 1.5, "{variance}");
    }
}
