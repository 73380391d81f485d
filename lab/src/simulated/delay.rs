//! How long something takes.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use super::random::Random;

/// How long something takes: always the same, anything within bounds, or normally distributed.
///
/// In YAML: `2s`, `{min: 1s, max: 5s}`, or `{mean: 2s, deviation: 500ms}`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delay {
    /// Always this.
    Fixed(Duration),
    /// Anything from the first to the second, all equally likely.
    Range(Duration, Duration),
    /// Normally distributed with this mean and deviation; never less than nothing.
    Normal(Duration, Duration),
}

impl Delay {
    /// One delay.
    pub fn draw(&self, random: &mut Random) -> Duration {
        match *self {
            Self::Fixed(delay) => delay,
            Self::Range(min, max) => min + max.saturating_sub(min).mul_f64(random.fraction()),
            Self::Normal(mean, deviation) => {
                let seconds = mean.as_secs_f64() + deviation.as_secs_f64() * random.normal();
                Duration::try_from_secs_f64(seconds).unwrap_or_default()
            }
        }
    }
}

/// A duration as people write it: `2s`, `1m30s`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    fn parse(text: &str) -> Result<Self, String> {
        let parsed = text.parse::<SignedDuration>().ok();
        parsed
            .and_then(|span| Duration::try_from(span).ok())
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a time; write for example 500ms, 2s or 1m30s"))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DelayVisitor)
    }
}

/// The forms with fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    min: Option<Span>,
    max: Option<Span>,
    mean: Option<Span>,
    deviation: Option<Span>,
}

struct DelayVisitor;

impl<'de> Visitor<'de> for DelayVisitor {
    type Value = Delay;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time as 2s, {min: 1s, max: 5s}, or {mean: 2s, deviation: 500ms}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Delay, E> {
        Span::parse(text)
            .map(|span| Delay::Fixed(span.0))
            .map_err(E::custom)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Delay, M::Error> {
        let fields = Fields::deserialize(MapAccessDeserializer::new(map))?;
        match (fields.min, fields.max, fields.mean, fields.deviation) {
            (Some(min), Some(max), None, None) if min.0 <= max.0 => Ok(Delay::Range(min.0, max.0)),
            (None, None, Some(mean), Some(deviation)) => Ok(Delay::Normal(mean.0, deviation.0)),
            (Some(_), Some(_), None, None) => Err(M::Error::custom(
                "min is greater than max; write the lesser one as min",
            )),
            _ => Err(M::Error::custom(
                "write either {min: 1s, max: 5s} or {mean: 2s, deviation: 500ms}",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[rstest]
    #[case("2s", Delay::Fixed(ms(2000)))]
    #[case("1m30s", Delay::Fixed(ms(90_000)))]
    #[case("{min: 1s, max: 5s}", Delay::Range(ms(1000), ms(5000)))]
    #[case("{mean: 2s, deviation: 500ms}", Delay::Normal(ms(2000), ms(500)))]
    fn forms(#[case] yaml: &str, #[case] delay: Delay) {
        assert_eq!(serde_saphyr::from_str::<Delay>(yaml).unwrap(), delay);
    }

    #[rstest]
    #[case("soon", "write for example 500ms")]
    #[case("-2s", "write for example 500ms")]
    #[case("{min: 5s, max: 1s}", "write the lesser one as min")]
    #[case("{min: 5s}", "write either")]
    #[case("{mean: 2s, max: 3s}", "write either")]
    fn an_error_says_what_to_write(#[case] yaml: &str, #[case] hint: &str) {
        let error = serde_saphyr::from_str::<Delay>(yaml)
            .unwrap_err()
            .to_string();
        assert!(error.contains(hint), "{error}");
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut random = Random::new(3, "delays");
        for _ in 0..1000 {
            let drawn = Delay::Range(ms(1000), ms(5000)).draw(&mut random);
            assert!((ms(1000)..=ms(5000)).contains(&drawn));
            // A wide deviation goes below nothing in every third draw, and no delay does.
            Delay::Normal(ms(10), ms(30)).draw(&mut random);
        }
    }
}
