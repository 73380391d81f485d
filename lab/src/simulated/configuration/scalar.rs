//! Values that can be written in more than one form.

use std::fmt;
use std::marker::PhantomData;

use federation::capacity::taint_effect;
use placement::{Taint, parse_milli};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A number of alike things, or a list of them one by one.
#[derive(Clone, Debug)]
pub(super) enum CountOr<T> {
    Count(usize),
    List(Vec<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for CountOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountOrVisitor(PhantomData))
    }
}

struct CountOrVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for CountOrVisitor<T> {
    type Value = CountOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a list")
    }

    fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Self::Value, E> {
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= 100_000);
        count
            .map(CountOr::Count)
            .ok_or_else(|| E::custom("too many; write a number up to 100000"))
    }

    fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<Self::Value, E> {
        match u64::try_from(count) {
            Ok(count) => self.visit_u64(count),
            Err(_) => Err(E::custom("less than nothing; write a number from 0")),
        }
    }

    fn visit_seq<S: SeqAccess<'de>>(self, list: S) -> Result<Self::Value, S::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(CountOr::List)
    }
}

/// An amount as Kubernetes has it, checked.
#[derive(Clone, Debug)]
pub(super) struct Amount(pub(super) String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A number in YAML is text to whoever asks for text.
        let text = String::deserialize(deserializer)?;
        match parse_milli(&text) {
            Ok(amount) if amount >= 0 => Ok(Self(text)),
            Ok(_) => Err(D::Error::custom(format!(
                "{text} is less than nothing; write an amount from 0, e.g. 4, 500m or 16Gi"
            ))),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

/// A taint as `kubectl taint` takes it.
#[derive(Clone, Debug)]
pub(super) struct TaintText(pub(super) Taint);

impl<'de> Deserialize<'de> for TaintText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = text.rsplit_once(':').and_then(|(pair, effect)| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let effect = taint_effect(effect)?;
            (!key.is_empty()).then(|| Taint {
                key: key.to_owned(),
                value: value.to_owned(),
                effect,
            })
        });
        parsed.map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is not a taint; write key=value:Effect or key:Effect, the effect being \
                 NoSchedule, PreferNoSchedule or NoExecute"
            ))
        })
    }
}

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share(pub(super) f64);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            let what = format!("{share} is not a probability; write one from 0 to 1, as 0.02");
            Err(D::Error::custom(what))
        }
    }
}
