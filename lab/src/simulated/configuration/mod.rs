//! Simulated clusters as data: a YAML file that says which there are, what they have, how they
//! behave, and how far they are from each other.
//!
//! ```yaml
//! clusters:                 # a number, or a list by name or by count
//!   - name: edge
//!     nodes: 3
//!     region: north
//!   - count: 2              # cluster2 and cluster3
//!     nodes:
//!       - {count: 10, cpu: 8, memory: 32Gi}
//!       - {name: gpu, count: 1, cpu: 16, memory: 64Gi, resources: {nvidia.com/gpu: 2},
//!          taints: [gpu=true:NoSchedule]}
//! defaults:                 # for all clusters that do not say otherwise
//!   cpu: 4
//!   memory: 16Gi
//!   startup: {mean: 3s, deviation: 1s}
//!   failures: {job: 0.02}
//! roundTripTimes:
//!   default: 40ms
//!   pairs:
//!     - {between: [edge, cluster2], time: 5ms}
//!     - {between: [hub, edge], time: 20ms}
//! loads:                    # by namespace and name of the Deployment or Job
//!   default/web:
//!     requests: 200         # a second in each cluster
//!     swing: 0.5            # half as many more at the peak of the day
//!     shares: {edge: 2}
//!     crowds: [{at: 2026-01-01T18:30:00Z, lasts: 20m, times: 5}]
//!     cpuSeconds: 0.004
//! ```
//!
//! An empty file (`{}`) gives three clusters of five nodes with 4 cores and 16 GiB each.

mod entry;
mod error;
mod event;
mod load;
mod scalar;
mod scenario;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use federation::proximity::RoundTripTimes;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::delay::Span;
use super::load::Load;
use super::options::Options;
use entry::Entry;
pub use error::ConfigurationError;
use error::Problem;
use event::EventEntry;
use load::LoadEntry;
use scalar::CountOr;
pub use scenario::{Action, Event, Flash, NodeName, ObjectName, OperatorName, Scenario};

/// What the hub is called among the clusters.
pub const HUB: &str = "hub";

/// The clusters of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// The clusters, in the order of the file.
    pub members: Vec<Member>,
    /// Round-trip times by pair of names, the lesser first; the hub is called `hub`. A pair that is not there is unknown.
    pub round_trip_times: RoundTripTimes,
    /// The loads of workloads, by `namespace/name`.
    pub loads: BTreeMap<String, Load>,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it has and how it behaves.
    pub options: Options,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct File {
    clusters: CountOr<Entry>,
    defaults: Entry,
    round_trip_times: Times,
    loads: BTreeMap<String, LoadEntry>,
    description: String,
    objects: Vec<Spanned<Value>>,
    events: Vec<EventEntry>,
    ends: Option<Span>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            clusters: CountOr::Count(3),
            defaults: Entry::default(),
            round_trip_times: Times::default(),
            loads: BTreeMap::new(),
            description: String::new(),
            objects: Vec::new(),
            events: Vec::new(),
            ends: None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Times {
    default: Option<Span>,
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    between: [Spanned<String>; 2],
    time: Span,
}

fn text_of(file: &Path) -> Result<String, ConfigurationError> {
    std::fs::read_to_string(file).map_err(|source| ConfigurationError::Unreadable {
        file: file.to_owned(),
        source,
    })
}

impl Clusters {
    /// Reads a file.
    pub fn read(file: &Path) -> Result<Self, ConfigurationError> {
        Self::parse(&text_of(file)?, file)
    }

    /// Parses the text of a file, whose name stands in errors. What a scenario has besides is an
    /// error: it would not happen.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigurationError> {
        let scenario = Scenario::parse(text, file)?;
        match scenario.events.first() {
            None => Ok(scenario.clusters),
            Some(event) => {
                let what = "this is a scenario: objects and events are for --scenario";
                Err(Problem::at(event.line, what).in_file(file))
            }
        }
    }
}

impl File {
    fn resolve(&self) -> Result<Clusters, Problem> {
        if let Some(name) = &self.defaults.name {
            let line = name.referenced.line();
            return Err(Problem::at(
                line,
                "defaults have no name; write it in clusters",
            ));
        }
        let defaults = &self.defaults;
        let mut members: Vec<Member> = Vec::new();
        let mut add = |entry: &Entry, name: Option<&Spanned<String>>| {
            let number = members.len() + 1;
            let text = name.map_or_else(|| format!("cluster{number}"), |name| name.value.clone());
            if members.iter().any(|member| member.name == text) {
                let line = name.map_or(0, |name| name.referenced.line());
                let what = format!("there are two clusters {text:?}; give each its own name");
                return Err(Problem::at(line, what));
            }
            let options = entry.over(defaults).options(number);
            members.push(Member {
                name: text,
                options,
            });
            Ok(())
        };
        match &self.clusters {
            CountOr::Count(count) => {
                for _ in 0..*count {
                    add(&Entry::default(), None)?;
                }
            }
            CountOr::List(entries) => {
                for entry in entries {
                    match (&entry.name, &entry.count) {
                        (Some(name), Some(_)) => {
                            let what = "a cluster has either a name or a count; write one of them";
                            return Err(Problem::at(name.referenced.line(), what));
                        }
                        (Some(name), None) => {
                            check_name(name)?;
                            add(entry, Some(name))?;
                        }
                        (None, count) => {
                            for _ in 0..count.unwrap_or(1) {
                                add(entry, None)?;
                            }
                        }
                    }
                }
            }
        }
        if members.is_empty() {
            return Err(Problem::at(0, "there are no clusters; write at least one"));
        }
        let mut names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
        names.insert(HUB);
        let round_trip_times = self.round_trip_times.resolve(&names)?;
        let loads = self.loads.iter();
        let loads = loads.map(|(name, entry)| (name.clone(), entry.resolve()));
        Ok(Clusters {
            members,
            round_trip_times,
            loads: loads.collect(),
        })
    }
}

/// The names of clusters become names of nodes and labels.
fn check_name(name: &Spanned<String>) -> Result<(), Problem> {
    let text = &name.value;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = |c: Option<char>| c.is_some_and(|c| c != '-');
    if text == HUB {
        let what = "the hub is no member; call the cluster something else";
        return Err(Problem::at(name.referenced.line(), what));
    }
    let ok = text.len() <= 40
        && text.chars().all(allowed)
        && edge(text.chars().next())
        && edge(text.chars().last());
    if ok {
        return Ok(());
    }
    let what = format!(
        "{text:?} is no name for a cluster; write up to 40 lower-case letters, digits and dashes, \
         as edge-1"
    );
    Err(Problem::at(name.referenced.line(), what))
}

impl Times {
    fn resolve(&self, names: &BTreeSet<&str>) -> Result<RoundTripTimes, Problem> {
        let mut times = RoundTripTimes::new();
        if let Some(default) = self.default {
            for (index, one) in names.iter().enumerate() {
                for other in names.iter().skip(index + 1) {
                    times.insert(((*one).to_owned(), (*other).to_owned()), default.0);
                }
            }
        }
        for pair in &self.pairs {
            for name in &pair.between {
                if !names.contains(name.value.as_str()) {
                    let known: Vec<&str> = names.iter().copied().collect();
                    let what = format!(
                        "there is no cluster {:?}; write one of {}",
                        name.value,
                        known.join(", ")
                    );
                    return Err(Problem::at(name.referenced.line(), what));
                }
            }
            let [one, other] = &pair.between;
            let mut names = [one.value.clone(), other.value.clone()];
            names.sort();
            let [lesser, greater] = names;
            times.insert((lesser, greater), pair.time.0);
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests;
