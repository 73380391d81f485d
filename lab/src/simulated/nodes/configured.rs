//! The nodes that a configuration asks for: made, changed and removed as it says, run after run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde::{Deserialize, Serialize};

use super::shape;
use crate::simulated::context::Context;
use crate::simulated::options::NodeGroup;

/// Holds what the configuration has said of a node, as JSON.
const SAID: &str = "lab.mck8s.io/configured";

/// What the configuration says of a node. It is kept with the node, so that what it does not say
/// any more is taken back, and what people have added stays.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Said {
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
    resources: BTreeMap<String, Quantity>,
}

/// Makes the nodes of these groups. Those of an earlier run on the same store are changed where
/// the groups say something else, and removed where they do not name them any more.
pub(crate) async fn settle(context: &Context, groups: &[NodeGroup]) -> kube::Result<()> {
    let api: Api<Node> = Api::all(context.client.clone());
    let listed = api.list(&ListParams::default()).await?.items;
    let mut there: BTreeMap<String, Node> = listed
        .into_iter()
        .map(|node| (node.name_any(), node))
        .collect();
    for wanted in wanted(context, groups)? {
        let name = wanted.name_any();
        match there.remove(&name) {
            None => context
                .nodes
                .observe(api.create(&PostParams::default(), &wanted).await?),
            Some(node) => change(&api, node, &wanted).await?,
        }
    }
    for (name, node) in there {
        if node.annotations().contains_key(SAID) {
            api.delete(&name, &DeleteParams::default()).await?;
        }
    }
    Ok(())
}

/// The nodes of the groups. Groups of one name are numbered through.
fn wanted(context: &Context, groups: &[NodeGroup]) -> kube::Result<Vec<Node>> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut nodes = Vec::new();
    for group in groups {
        let number = numbers.entry(&group.name).or_default();
        for _ in 0..group.count {
            *number += 1;
            let name = format!("{}-{}{number}", context.cluster, group.name);
            let mut node = shape::node(&name, *number, group, context.now());
            let said = serde_json::to_string(&said_in(&node)).map_err(kube::Error::SerdeError)?;
            node.annotations_mut().insert(SAID.to_owned(), said);
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// Lets a node be as it is wanted, if it came from a configuration.
async fn change(api: &Api<Node>, mut node: Node, wanted: &Node) -> kube::Result<()> {
    let before = node.annotations().get(SAID);
    let Some(before) = before.filter(|text| wanted.annotations().get(SAID) != Some(*text)) else {
        return Ok(());
    };
    let before: Said = serde_json::from_str(before).unwrap_or_default();
    adapt(&mut node, &before, wanted);
    let (name, params) = (node.name_any(), PostParams::default());
    let status = node.status.clone();
    // The status is another resource: it is left out of the first write.
    let mut written = api.replace(&name, &params, &node).await?;
    written.status = status;
    api.replace_status(&name, &params, &written).await?;
    Ok(())
}

fn adapt(node: &mut Node, before: &Said, wanted: &Node) {
    let said = said_in(wanted);
    let labels = node.labels_mut();
    labels.retain(|key, value| before.labels.get(key) != Some(value));
    labels.extend(said.labels);
    node.annotations_mut().extend(wanted.annotations().clone());
    let taints = node
        .spec
        .get_or_insert_default()
        .taints
        .get_or_insert_default();
    let same = |one: &Taint, other: &Taint| one.key == other.key && one.effect == other.effect;
    let replaced = |there: &Taint| {
        let mut of_configurations = before.taints.iter().chain(&said.taints);
        of_configurations.any(|taint| same(taint, there))
    };
    taints.retain(|taint| !replaced(taint));
    taints.extend(said.taints.iter().cloned());
    let status = node.status.get_or_insert_default();
    for amounts in [&mut status.allocatable, &mut status.capacity] {
        let amounts = amounts.get_or_insert_default();
        amounts.retain(|name, _| !before.resources.contains_key(name));
        amounts.extend(said.resources.clone());
    }
}

/// What the configuration says of a node that was just made of it.
fn said_in(node: &Node) -> Said {
    let (spec, status) = (node.spec.clone(), node.status.clone());
    Said {
        labels: node.labels().clone(),
        taints: spec.and_then(|spec| spec.taints).unwrap_or_default(),
        resources: status
            .and_then(|status| status.allocatable)
            .unwrap_or_default(),
    }
}
