//! The cluster's nodes: objects that are made from configuration, and what becomes of them.

mod conditions;
mod configured;
mod heartbeat;
mod lifecycle;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::PostParams;

pub(crate) use configured::settle;
pub(crate) use heartbeat::Heartbeat;
pub(crate) use lifecycle::Lifecycle;
pub(crate) use shape::{as_placed, taint_of};

use super::context::Context;
use super::options::NodeGroup;

/// The nodes whose kubelets are lost. Clones share the record.
#[derive(Clone, Default)]
pub(crate) struct Lost(Arc<Mutex<BTreeSet<String>>>);

impl Lost {
    pub(crate) fn contains(&self, node: &str) -> bool {
        self.nodes().contains(node)
    }

    /// Whether that is news.
    pub(crate) fn insert(&self, node: &str) -> bool {
        self.nodes().insert(node.to_owned())
    }

    /// Whether that is news.
    pub(crate) fn remove(&self, node: &str) -> bool {
        self.nodes().remove(node)
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes more nodes of a group, numbered after those of its name that are there. Gives their names.
pub(crate) async fn create(context: &Context, group: &NodeGroup) -> kube::Result<Vec<String>> {
    let api: Api<Node> = Api::all(context.client.clone());
    let first = last_number(context, &group.name);
    let mut names = Vec::new();
    for number in (first + 1)..=(first + group.count) {
        let name = format!("{}-{}{number}", context.cluster, group.name);
        let node = shape::node(&name, number, group, context.now());
        match api.create(&PostParams::default(), &node).await {
            Ok(created) => context.nodes.observe(created),
            // Somebody else has made it.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
        names.push(name);
    }
    Ok(names)
}

/// The highest number of a node of such a name, 0 before the first.
fn last_number(context: &Context, group: &str) -> usize {
    let prefix = format!("{}-{group}", context.cluster);
    let nodes = context.nodes.all();
    let names = nodes
        .iter()
        .filter_map(|node| node.metadata.name.as_deref());
    let numbers = names.filter_map(|name| name.strip_prefix(&prefix)?.parse().ok());
    numbers.max().unwrap_or(0)
}
