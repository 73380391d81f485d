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

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::error::Problem;
use super::scalar::{Amount, Share};
use super::{Clusters, ConfigurationError, File, text_of};
use crate::simulated::delay::Span;
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

/// An operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum OperatorName {
    /// The scheduler.
    #[default]
    #[serde(rename = "multi-cluster-scheduler")]
    Scheduler,
    /// The autoscaler.
    #[serde(rename = "multi-cluster-hpa")]
    Autoscaler,
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

/// An event as it is written: a time, and one thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct EventEntry {
    at: Spanned<Span>,
    apply: Option<OneOrMany>,
    delete: Option<ObjectName>,
    scale: Option<ScaleEntry>,
    cordon: Option<String>,
    uncordon: Option<String>,
    cut: Option<String>,
    open: Option<String>,
    lose: Option<String>,
    #[serde(rename = "return")]
    comes_back: Option<String>,
    lose_node: Option<NodeName>,
    return_node: Option<NodeName>,
    drain: Option<NodeName>,
    add_nodes: Option<NodesEntry>,
    slow: Option<SlowEntry>,
    crowd: Option<CrowdEntry>,
    kill: Option<KillEntry>,
}

/// Files with objects, or objects.
#[derive(Debug)]
struct OneOrMany(Vec<Value>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Array(all) => all,
            one => vec![one],
        }))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleEntry {
    #[serde(default = "default_namespace")]
    namespace: String,
    name: String,
    replicas: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodesEntry {
    cluster: String,
    #[serde(default = "one")]
    count: usize,
    name: Option<String>,
    cpu: Option<Amount>,
    memory: Option<Amount>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SlowEntry {
    cluster: String,
    round_trip: Span,
    loss: Option<Share>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CrowdEntry {
    workload: String,
    times: f64,
    lasts: Span,
    #[serde(default)]
    clusters: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KillEntry {
    #[serde(default)]
    operator: OperatorName,
    down: Span,
}

fn deployment() -> String {
    "MultiClusterDeployment".to_owned()
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn one() -> usize {
    1
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

/// A field of an entry, and the action that it stands for.
type About<'a, T> = (&'a Option<T>, fn(T) -> Action);

impl EventEntry {
    fn resolve(&self, clusters: &Clusters, read: ReadObjects<'_>) -> Result<Event, Problem> {
        let line = self.at.referenced.line();
        let wrong = |what: String| Problem::at(line, what);
        let member = |name: &String| {
            let names = || clusters.members.iter().map(|member| member.name.as_str());
            if names().any(|known| known == name) {
                return Ok(name.clone());
            }
            let known: Vec<_> = names().collect();
            Err(wrong(format!(
                "there is no cluster {name:?}; write one of {}",
                known.join(", ")
            )))
        };
        let node = |name: &NodeName| member(&name.cluster).map(|_| name.clone());
        let mut actions: Vec<Action> = Vec::new();
        if let Some(all) = &self.apply {
            actions.push(Action::Apply(objects(&all.0, read, line)?));
        }
        actions.extend(self.delete.clone().map(Action::Delete));
        if let Some(scale) = &self.scale {
            let name = ObjectName {
                kind: deployment(),
                namespace: scale.namespace.clone(),
                name: scale.name.clone(),
            };
            actions.push(Action::Scale(name, scale.replicas));
        }
        let of_member: [About<String>; 6] = [
            (&self.cordon, |name| Action::Cordon(name, true)),
            (&self.uncordon, |name| Action::Cordon(name, false)),
            (&self.cut, Action::Cut),
            (&self.open, Action::Open),
            (&self.lose, Action::Lose),
            (&self.comes_back, Action::Return),
        ];
        for (name, action) in of_member {
            if let Some(name) = name {
                actions.push(action(member(name)?));
            }
        }
        let of_node: [About<NodeName>; 3] = [
            (&self.lose_node, Action::LoseNode),
            (&self.return_node, Action::ReturnNode),
            (&self.drain, Action::Drain),
        ];
        for (name, action) in of_node {
            if let Some(name) = name {
                actions.push(action(node(name)?));
            }
        }
        if let Some(nodes) = &self.add_nodes {
            let base = NodeGroup::default();
            let group = NodeGroup {
                name: nodes.name.clone().unwrap_or(base.name),
                count: nodes.count,
                cpu: nodes.cpu.clone().map_or(base.cpu, |amount| amount.0),
                memory: nodes.memory.clone().map_or(base.memory, |amount| amount.0),
                ..NodeGroup::default()
            };
            actions.push(Action::AddNodes(member(&nodes.cluster)?, Box::new(group)));
        }
        if let Some(slow) = &self.slow {
            if slow.cluster != super::HUB {
                member(&slow.cluster)?;
            }
            let loss = slow.loss.map_or(0.0, |share| share.0);
            actions.push(Action::Slow(slow.cluster.clone(), slow.round_trip.0, loss));
        }
        if let Some(crowd) = &self.crowd {
            actions.push(Action::Crowd(crowd.resolve(clusters).map_err(wrong)?));
            crowd
                .clusters
                .iter()
                .try_for_each(|name| member(name).map(drop))?;
        }
        let kill = self.kill.as_ref();
        actions.extend(kill.map(|kill| Action::Kill(kill.operator, kill.down.0)));
        let mut actions = actions.into_iter();
        match (actions.next(), actions.next()) {
            (Some(action), None) => Ok(Event {
                at: self.at.value.0,
                action,
                line,
            }),
            _ => Err(wrong(
                "an event is a time and one thing; write for example {at: 10m, cut: cluster2}"
                    .to_owned(),
            )),
        }
    }
}

impl CrowdEntry {
    fn resolve(&self, clusters: &Clusters) -> Result<Flash, String> {
        if !self.times.is_finite() || self.times < 0.0 {
            return Err(format!(
                "{} is no factor; write how many times as many requests come, as 5",
                self.times
            ));
        }
        if !clusters.loads.contains_key(&self.workload) {
            return Err(format!(
                "{:?} has no load; give it one in loads, by namespace/name as default/web",
                self.workload
            ));
        }
        let all = || clusters.members.iter().map(|member| member.name.clone());
        Ok(Flash {
            workload: self.workload.clone(),
            times: self.times,
            lasts: self.lasts.0,
            clusters: if self.clusters.is_empty() {
                all().collect()
            } else {
                self.clusters.clone()
            },
        })
    }
}

/// What gives the text of a file with objects, or says what is wrong.
type ReadObjects<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Objects, where a text is the name of a file with objects.
fn objects(entries: &[Value], read: ReadObjects<'_>, line: u64) -> Result<Vec<Value>, Problem> {
    let mut all = Vec::new();
    for entry in entries {
        match entry {
            Value::String(name) => {
                let text = read(name).map_err(|what| Problem::at(line, what))?;
                let found = serde_saphyr::from_multiple::<Value>(&text).map_err(|error| {
                    let what = format!("{name}: {}", error.without_snippet());
                    Problem::at(line, what)
                })?;
                all.extend(found.into_iter().filter(|one| !one.is_null()));
            }
            object => all.push(object.clone()),
        }
    }
    for object in &all {
        if !["apiVersion", "kind"]
            .iter()
            .all(|field| object[field].is_string())
            || !object["metadata"]["name"].is_string()
        {
            let what = "not an object of Kubernetes; write apiVersion, kind and metadata.name, or \
                        the name of a file that has them";
            return Err(Problem::at(line, what));
        }
    }
    Ok(all)
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
