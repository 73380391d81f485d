//! Scenarios as data: clusters, what people apply, and what happens when.
//!
//! Such a file has the fields of a configuration, and
//!
//! ```yaml
//! description: A cluster is cut off.
//! objects: [../examples/03_example_service.yaml]  # applied to the hub at the start, in this order
//! events:                   # what happens; times count from the start
//!   - {at: 2m, scale: {name: hello, replicas: 4}}
//!   - {at: 10m, cut: cluster2}
//! ends: 30m                 # five minutes after the last event, if it does not say
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::Problem;
use super::event::objects;
use super::{Clusters, ConfigurationError, File, text_of};
use crate::operators::{OPERATORS, find};
use crate::simulated::options::NodeGroup;

/// How long a scenario goes on after its last event, if it does not say.
const AFTER: Duration = Duration::from_mins(5);

/// Clusters, what people apply, and what happens when.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The clusters and the loads of workloads.
    pub clusters: Clusters,
    /// What happens, in order of time: first what is applied at the start.
    pub events: Vec<Event>,
    /// When it ends, from the start.
    pub ends: Duration,
    /// What it shows, for people; may be empty.
    pub description: String,
    /// The file that it was read from.
    pub file: PathBuf,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, from the start.
    pub at: Duration,
    /// What.
    pub action: Action,
    /// The line of the file that says so.
    pub line: u64,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// These objects are applied to the hub.
    Apply(Vec<Value>),
    /// An object of the hub is deleted.
    Delete(ObjectName),
    /// A `MultiClusterDeployment` is told to run so many replicas.
    Scale(ObjectName, u32),
    /// A member takes nothing new, or does again.
    Cordon(String, bool),
    /// Nothing comes back from a member, and nothing of it is lost.
    Cut(String),
    /// A member can be reached again.
    Open(String),
    /// A member fails as a whole: nothing comes back, and its machines stop.
    Lose(String),
    /// A member that failed is back.
    Return(String),
    /// A node's machine stops.
    LoseNode(NodeName),
    /// It is back.
    ReturnNode(NodeName),
    /// A node is cordoned, and its pods evicted.
    Drain(NodeName),
    /// A member gets nodes.
    AddNodes(String, Box<NodeGroup>),
    /// The way to a member, or to the hub, changes: round trip, and the share of packets lost.
    Slow(String, Duration, f64),
    /// So many times as many requests reach a workload for a while.
    Crowd(Flash),
    /// An operator dies, and is started again after so long.
    Kill(OperatorName, Duration),
}

/// The name of an operator of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorName(&'static str);

impl OperatorName {
    /// The name.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl Default for OperatorName {
    fn default() -> Self {
        Self(OPERATORS[0].name)
    }
}

impl<'de> Deserialize<'de> for OperatorName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let entry = find(&name).ok_or_else(|| {
            let names: Vec<_> = OPERATORS.iter().map(|entry| entry.name).collect();
            let known = names.join(", ");
            D::Error::custom(format!(
                "there is no operator {name:?}; write one of {known}"
            ))
        })?;
        Ok(Self(entry.name))
    }
}

/// An object of the hub.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectName {
    /// Its kind, of the group fogguru.eu.
    #[serde(default = "deployment")]
    pub kind: String,
    /// Its namespace.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A node of a member.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeName {
    /// The member.
    pub cluster: String,
    /// The node's name.
    pub node: String,
}

/// A flash crowd that begins to come now.
#[derive(Clone, Debug, PartialEq)]
pub struct Flash {
    /// `namespace/name` of the Deployment or Job, which has a load.
    pub workload: String,
    /// By which factor the requests grow.
    pub times: f64,
    /// From beginning to end.
    pub lasts: Duration,
    /// The clusters that it comes to.
    pub clusters: Vec<String>,
}

pub(super) fn deployment() -> String {
    "MultiClusterDeployment".to_owned()
}

pub(super) fn default_namespace() -> String {
    "default".to_owned()
}

/// What gives the text of a file.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

impl Scenario {
    /// Reads a file, and the files of objects that it names, which lie beside it.
    pub fn read(file: &Path) -> Result<Self, ConfigurationError> {
        Self::parse(&text_of(file)?, file)
    }

    /// Parses the text of a file, whose name stands in errors and whose folder has the objects.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigurationError> {
        Self::parse_with(text, file, &|file| std::fs::read_to_string(file))
    }

    /// The same, where `read` gives the text of a file with objects.
    pub fn parse_with(
        text: &str,
        file: &Path,
        read: ReadFile<'_>,
    ) -> Result<Self, ConfigurationError> {
        let parsed = serde_saphyr::from_str::<File>(text).map_err(|error| Problem::yaml(&error));
        parsed
            .and_then(|parsed| parsed.scenario(file, read))
            .map_err(|problem| problem.in_file(file))
    }
}

impl File {
    fn scenario(&self, file: &Path, read: ReadFile<'_>) -> Result<Scenario, Problem> {
        let clusters = self.resolve()?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let read = |name: &str| {
            let file = folder.join(name);
            let text = read(&file);
            text.map_err(|error| format!("can't read {}: {error}", file.display()))
        };
        let mut events = Vec::new();
        for object in &self.objects {
            let line = object.referenced.line();
            let objects = objects(std::slice::from_ref(&object.value), &read, line)?;
            events.push(Event {
                at: Duration::ZERO,
                action: Action::Apply(objects),
                line,
            });
        }
        for entry in &self.events {
            events.push(entry.resolve(&clusters, &read)?);
        }
        events.sort_by_key(|event| event.at);
        let last = events.last().map_or(Duration::ZERO, |event| event.at);
        Ok(Scenario {
            ends: self.ends.map_or(last + AFTER, |span| span.0),
            clusters,
            events,
            description: self.description.trim().to_owned(),
            file: file.to_owned(),
        })
    }
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
