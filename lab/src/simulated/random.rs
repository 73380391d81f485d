//! Draws that a seed decides.

use std::time::Duration;

/// A sequence of draws. The same seed and name give the same sequence on every machine and with
/// every release.
///
/// Sebastiano Vigna's `SplitMix64` (<https://prng.di.unimi.it/splitmix64.c>): what is drawn here
/// decides delays and ties, nothing that somebody would want to guess.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this name, one of many that belong to a seed.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a over the name, so that names that differ in one letter have nothing in common.
        let digest = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |digest: u64, byte| {
                (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut mixed = Self(seed ^ digest);
        Self(mixed.draw())
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to and without 1.
    pub fn fraction(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 up to and without `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The bounds here are tiny, so the bias of the remainder is too.
        self.draw().checked_rem(bound as u64).unwrap_or(0) as usize
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        // Drawn even if the answer is known, so that a run with another rate draws the same rest.
        self.fraction() < probability
    }

    /// Normally distributed, mean 0 and deviation 1 (Box and Muller's method).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.fraction(), self.fraction());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// The time until something that happens so often an hour happens next; none if never.
    pub fn until_next(&mut self, an_hour: f64) -> Option<Duration> {
        let draw = -(1.0 - self.fraction()).ln();
        (an_hour > 0.0)
            .then(|| Duration::try_from_secs_f64(draw * 3600.0 / an_hour).ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_name_decide_everything() {
        let draws = |seed, name| {
            let mut random = Random::new(seed, name);
            [random.draw(), random.draw(), random.draw()]
        };
        assert_eq!(draws(1, "cluster1"), draws(1, "cluster1"));
        assert_ne!(draws(1, "cluster1"), draws(2, "cluster1"));
        assert_ne!(draws(1, "cluster1"), draws(1, "cluster2"));
    }

    #[test]
    fn the_normal_draws_have_their_mean_and_deviation() {
        let mut random = Random::new(7, "normal");
        let draws: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn what_happens_twice_an_hour_is_half_an_hour_away() {
        let mut random = Random::new(7, "crashes");
        let total: f64 = (0..20_000)
            .filter_map(|_| random.until_next(2.0))
            .map(|wait| wait.as_secs_f64())
            .sum();
        let mean = total / 20_000.0;
        assert!((mean - 1800.0).abs() < 60.0, "{mean}");
        assert_eq!(random.until_next(0.0), None);
    }
}
