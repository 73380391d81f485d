//! What the file says of one cluster, or of all of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::scalar::{Amount, CountOr, Share, TaintText};
use crate::simulated::delay::{Delay, Span};
use crate::simulated::options::{Failures, NodeGroup, Options};

/// What the file says of a cluster. What is left out is as in the defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Entry {
    pub(super) name: Option<Spanned<String>>,
    pub(super) count: Option<usize>,
    nodes: Option<CountOr<Group>>,
    cpu: Option<Amount>,
    memory: Option<Amount>,
    pods: Option<u32>,
    resources: Option<BTreeMap<String, Amount>>,
    labels: Option<BTreeMap<String, String>>,
    taints: Option<Vec<TaintText>>,
    region: Option<String>,
    zone: Option<String>,
    startup: Option<Delay>,
    run: Option<Delay>,
    shutdown: Option<Delay>,
    failures: Option<Rates>,
    events: Option<bool>,
    heartbeat: Option<Span>,
    node_grace: Option<Span>,
}

/// Nodes that are alike. What is left out is as in the cluster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Group {
    name: Option<String>,
    count: Option<usize>,
    cpu: Option<Amount>,
    memory: Option<Amount>,
    pods: Option<u32>,
    resources: Option<BTreeMap<String, Amount>>,
    labels: Option<BTreeMap<String, String>>,
    taints: Option<Vec<TaintText>>,
    region: Option<String>,
    zone: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Rates {
    job: Option<Share>,
    crashes_an_hour: Option<f64>,
}

impl Entry {
    /// This, and the defaults where it says nothing.
    pub(super) fn over(&self, defaults: &Self) -> Self {
        let (own, other) = (self.clone(), defaults.clone());
        Self {
            name: own.name,
            count: own.count,
            nodes: own.nodes.or(other.nodes),
            cpu: own.cpu.or(other.cpu),
            memory: own.memory.or(other.memory),
            pods: own.pods.or(other.pods),
            resources: own.resources.or(other.resources),
            labels: own.labels.or(other.labels),
            taints: own.taints.or(other.taints),
            region: own.region.or(other.region),
            zone: own.zone.or(other.zone),
            startup: own.startup.or(other.startup),
            run: own.run.or(other.run),
            shutdown: own.shutdown.or(other.shutdown),
            failures: own.failures.or(other.failures),
            events: own.events.or(other.events),
            heartbeat: own.heartbeat.or(other.heartbeat),
            node_grace: own.node_grace.or(other.node_grace),
        }
    }

    /// The options of the cluster of this number, from 1.
    pub(super) fn options(&self, number: usize) -> Options {
        let base = Options::default();
        let rates = self.failures.unwrap_or_default();
        Options {
            nodes: self.groups(number),
            startup: self.startup.unwrap_or(base.startup),
            run: self.run.unwrap_or(base.run),
            shutdown: self.shutdown.unwrap_or(base.shutdown),
            failures: Failures {
                job: rates.job.map_or(0.0, |share| share.0),
                crashes_an_hour: rates.crashes_an_hour.unwrap_or(0.0),
            },
            events: self.events.unwrap_or(base.events),
            heartbeat: match self.heartbeat {
                Some(span) if span.0.is_zero() => None,
                Some(span) => Some(span.0),
                None => base.heartbeat,
            },
            node_grace: self.node_grace.map_or(base.node_grace, |span| span.0),
        }
    }

    fn groups(&self, number: usize) -> Vec<NodeGroup> {
        let region = self.region.clone();
        let region = region.unwrap_or_else(|| format!("region{number}"));
        let base = NodeGroup::default();
        let alike = NodeGroup {
            cpu: self.cpu.clone().map_or(base.cpu, |amount| amount.0),
            memory: self.memory.clone().map_or(base.memory, |amount| amount.0),
            pods: self.pods.unwrap_or(base.pods),
            resources: self.resources.as_ref().map_or(base.resources, plain),
            labels: self.labels.clone().unwrap_or_default(),
            taints: self
                .taints
                .iter()
                .flatten()
                .map(|one| one.0.clone())
                .collect(),
            zone: self.zone.clone().unwrap_or_else(|| format!("{region}-a")),
            region,
            count: base.count,
            name: base.name,
        };
        match &self.nodes {
            None => vec![alike],
            Some(CountOr::Count(count)) => vec![NodeGroup {
                count: *count,
                ..alike
            }],
            Some(CountOr::List(groups)) => groups.iter().map(|group| group.over(&alike)).collect(),
        }
    }
}

impl Group {
    fn over(&self, cluster: &NodeGroup) -> NodeGroup {
        let own = self.clone();
        let cluster = cluster.clone();
        // A group in another region is not in the cluster's zone.
        let zone = match (&own.zone, &own.region) {
            (Some(zone), _) => zone.clone(),
            (None, Some(region)) => format!("{region}-a"),
            (None, None) => cluster.zone,
        };
        NodeGroup {
            name: own.name.unwrap_or(cluster.name),
            count: own.count.unwrap_or(1),
            cpu: own.cpu.map_or(cluster.cpu, |amount| amount.0),
            memory: own.memory.map_or(cluster.memory, |amount| amount.0),
            pods: own.pods.unwrap_or(cluster.pods),
            resources: own.resources.as_ref().map_or(cluster.resources, plain),
            labels: cluster
                .labels
                .into_iter()
                .chain(own.labels.unwrap_or_default())
                .collect(),
            taints: own.taints.map_or(cluster.taints, |taints| {
                taints.into_iter().map(|one| one.0).collect()
            }),
            region: own.region.unwrap_or(cluster.region),
            zone,
        }
    }
}

fn plain(amounts: &BTreeMap<String, Amount>) -> BTreeMap<String, String> {
    let amounts = amounts.iter();
    amounts
        .map(|(name, amount)| (name.clone(), amount.0.clone()))
        .collect()
}
