//! Events as a scenario's file has them.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::Clusters;
use super::error::Problem;
use super::scalar::{Amount, Share};
use super::scenario::{
    Action, Event, Flash, NodeName, ObjectName, OperatorName, default_namespace, deployment,
};
use crate::simulated::delay::Span;
use crate::simulated::options::NodeGroup;

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

fn one() -> usize {
    1
}

/// A field of an entry, and the action that it stands for.
type About<'a, T> = (&'a Option<T>, fn(T) -> Action);

impl EventEntry {
    pub(super) fn resolve(
        &self,
        clusters: &Clusters,
        read: ReadObjects<'_>,
    ) -> Result<Event, Problem> {
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
pub(super) type ReadObjects<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Objects, where a text is the name of a file with objects.
pub(super) fn objects(
    entries: &[Value],
    read: ReadObjects<'_>,
    line: u64,
) -> Result<Vec<Value>, Problem> {
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
