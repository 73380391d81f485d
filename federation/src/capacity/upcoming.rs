//! Nodes that a `MemberCluster` announces and that have not joined yet.

use jiff::Timestamp;
use placement::{NodeTemplate, Snapshot};

use super::amounts::typed_quantities;
use super::pods::taint_of;
use crate::api::{MemberCluster, UpcomingNodes};

/// The announced nodes whose deadline is not over at `now`, and how many there are of each kind.
pub fn upcoming(member: &MemberCluster, now: Timestamp) -> Vec<(NodeTemplate, u32)> {
    let announced = member.spec.upcoming.iter();
    let live = announced.filter(|one| one.nodes > 0 && now < one.until.0);
    live.map(|one| (template(one), one.nodes)).collect()
}

/// A fork of the snapshot in which all announced nodes have joined.
pub fn with_upcoming<'a>(
    snapshot: &Snapshot,
    members: impl Iterator<Item = &'a MemberCluster>,
    now: Timestamp,
) -> Snapshot {
    let mut fork = snapshot.fork();
    for member in members {
        let name = member.metadata.name.as_deref().unwrap_or_default().into();
        for (template, nodes) in upcoming(member, now) {
            fork.add_upcoming(&name, &template, nodes);
        }
    }
    fork
}

fn template(nodes: &UpcomingNodes) -> NodeTemplate {
    NodeTemplate {
        labels: nodes.labels.clone(),
        taints: nodes.taints.iter().filter_map(taint_of).collect(),
        allocatable: typed_quantities(&nodes.allocatable),
    }
}
