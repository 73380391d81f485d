//! What the file says of a workload's load.

use std::collections::BTreeMap;

use jiff::Timestamp;
use placement::parse_milli;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::scalar::{Amount, Share};
use crate::simulated::delay::Span;
use crate::simulated::load::{Costs, Crowd, Curve, Load};

/// A workload's load. What is left out is as in [`Curve::default`] and [`Costs::default`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct LoadEntry {
    /// Requests a second.
    requests: NotNegative,
    swing: Option<Share>,
    peak_hour: Option<Hour>,
    shares: BTreeMap<String, NotNegative>,
    crowds: Vec<CrowdEntry>,
    noise: NotNegative,
    idle_cpu: Option<Amount>,
    cpu_seconds: Option<NotNegative>,
    idle_memory: Option<Amount>,
    memory: Option<Amount>,
    received: Option<Amount>,
    sent: Option<Amount>,
    most_requests: Option<NotNegative>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CrowdEntry {
    at: Moment,
    lasts: Span,
    times: NotNegative,
    #[serde(default)]
    clusters: Vec<String>,
}

/// A number from 0.
#[derive(Clone, Copy, Debug, Default)]
struct NotNegative(f64);

impl<'de> Deserialize<'de> for NotNegative {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if number.is_finite() && number >= 0.0 {
            return Ok(Self(number));
        }
        let what = format!("{number} is less than nothing, or no number; write one from 0");
        Err(D::Error::custom(what))
    }
}

/// An hour of the day.
#[derive(Clone, Copy, Debug)]
struct Hour(f64);

impl<'de> Deserialize<'de> for Hour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hour = f64::deserialize(deserializer)?;
        if (0.0..24.0).contains(&hour) {
            return Ok(Self(hour));
        }
        let what = format!("{hour} is no hour; write one from 0 and less than 24, as 14.5");
        Err(D::Error::custom(what))
    }
}

/// A point in time.
#[derive(Clone, Copy, Debug)]
struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            let hint = "write date and time in UTC, as 2026-01-01T18:30:00Z";
            D::Error::custom(format!("{text:?} is no point in time; {hint}"))
        })
    }
}

impl LoadEntry {
    pub(super) fn resolve(&self) -> Load {
        let (curve, costs) = (Curve::default(), Costs::default());
        let number = |given: Option<NotNegative>, default| given.map_or(default, |one| one.0);
        let amount = |given: &Option<Amount>, default| given.as_ref().map_or(default, plain);
        Load {
            requests: Curve {
                base: self.requests.0,
                swing: self.swing.map_or(curve.swing, |share| share.0),
                peak_hour: self.peak_hour.map_or(curve.peak_hour, |hour| hour.0),
                shares: self
                    .shares
                    .iter()
                    .map(|(name, share)| (name.clone(), share.0))
                    .collect(),
                crowds: self.crowds.iter().map(CrowdEntry::resolve).collect(),
                noise: self.noise.0,
            },
            costs: Costs {
                idle_cpu: amount(&self.idle_cpu, costs.idle_cpu),
                cpu: number(self.cpu_seconds, costs.cpu),
                idle_memory: amount(&self.idle_memory, costs.idle_memory),
                memory: amount(&self.memory, costs.memory),
                received: amount(&self.received, costs.received),
                sent: amount(&self.sent, costs.sent),
                most: self.most_requests.map(|most| most.0),
            },
        }
    }
}

impl CrowdEntry {
    fn resolve(&self) -> Crowd {
        Crowd {
            at: self.at.0,
            lasts: self.lasts.0,
            times: self.times.0,
            clusters: self.clusters.clone(),
        }
    }
}

/// An amount, which was checked when it was read, as a number.
fn plain(amount: &Amount) -> f64 {
    parse_milli(&amount.0).map_or(0.0, |milli| milli as f64 / 1000.0)
}
