//! After each change: room is held where there is room. A member's scheduler binds pods to other
//! nodes than was assumed, and nodes shrink; what was held there is held elsewhere, and what no node
//! had room for takes the room that came, before it is offered to others.

use super::room::Load;
use super::table::Table;
use super::views::Shapes;
use crate::name::OwnerKey;
use crate::profile::Profile;
use crate::resources::Resources;
use crate::shape::PodShape;

/// A node that may have no room any more for what is held there.
#[derive(Clone)]
pub(super) struct Crowd {
    node: u32,
    /// How much more is free since the change; amounts that are less are negative.
    more: Resources,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Less is free than nothing.
    Amounts,
    /// A pod of this profile came, with host ports.
    Ports(u32),
    /// Its labels or its taints are others, or it has left.
    Other,
}

impl Table {
    /// A node has other amounts, or is another one.
    pub(super) fn crowd(&mut self, node: usize, more: Resources, is_other: bool) {
        let why = if is_other { Why::Other } else { Why::Amounts };
        let is_crowded = is_other || self.free.is_exceeded(node);
        let node = node as u32;
        if is_crowded && self.holders.are_on(node) {
            self.crowded.push(Crowd { node, more, why });
        }
    }

    /// A pod came to a node.
    pub(super) fn crowd_by_pod(&mut self, node: u32, requests: u32, profile: u32) {
        if !self.holders.are_on(node) {
            return;
        }
        let ports = self.profiles.get(profile).map(|pod| &pod.host_ports);
        let why = if ports.is_some_and(|ports| !ports.is_empty()) {
            Why::Ports(profile)
        } else if self.free.is_exceeded(node as usize) {
            Why::Amounts
        } else {
            return;
        };
        if let Some(requests) = self.loads.get(requests) {
            let more = Resources::default().saturating_sub(&of_one(requests));
            self.crowded.push(Crowd { node, more, why });
        }
    }

    /// Holds room where there is room, after a change. That costs nothing while no node is crowded
    /// and nobody waits.
    pub(super) fn settle(&mut self, shapes: &Shapes) {
        while let Some(crowd) = self.crowded.pop() {
            self.relieve(crowd, shapes);
        }
        let mut number = 0;
        while let Some(node) = self.marks.latest(number) {
            self.fill(node);
            number += 1;
        }
        self.marks.clear_latest();
        let nodes = self.slots.len();
        if let Some(owner) = self.waiting.next_among_pods(self.marks.now, nodes) {
            let unassigned = self.promised(owner).map_or(0, |one| one.unassigned);
            let nodes = self.room_for(owner, unassigned, shapes);
            self.hold_on(&nodes, owner, unassigned);
        }
    }

    /// What a node has no room for is held elsewhere, the latest first, or waits. The node has grown
    /// only where more has gone than came.
    fn relieve(&mut self, crowd: Crowd, shapes: &Shapes) {
        let node = crowd.node;
        let mut more = crowd.more;
        let mut frees_ports = false;
        let holders = self.holders.on(node).to_vec();
        for owner in holders.into_iter().rev() {
            if crowd.why == Why::Amounts && !self.free.is_exceeded(node as usize) {
                break;
            }
            let pod = match crowd.why {
                Why::Ports(pod) => self.profiles.get(pod),
                Why::Amounts | Why::Other => None,
            };
            let Some(promise) = self.promised(owner) else {
                continue;
            };
            let (shape, unassigned) = (promise.shape.clone(), promise.unassigned);
            let place = promise.nodes.iter().rposition(|held| *held == node);
            let Some(place) = place.filter(|_| !self.keeps(node as usize, &shape, pod)) else {
                continue;
            };
            more = more.saturating_add(&of_one(&shape.requests));
            frees_ports |= (shape.profile.host_ports.iter())
                .any(|port| pod.is_none_or(|pod| !pod.host_ports.contains(port)));
            self.unhold(owner, place);
            let now = self.marks.now;
            let may_look =
                !self.depends_on_pods(&shape) || self.waiting.may_look(now, self.slots.len());
            let nodes = match self.marks.latest(0).filter(|_| crowd.why != Why::Other) {
                _ if !may_look => Vec::new(),
                // The pod that came left room where it was assumed to come.
                Some(left) => {
                    let turn = std::mem::replace(&mut self.turn, left as usize);
                    let nodes = self.room_for(owner, 1, shapes);
                    self.turn = turn;
                    nodes
                }
                None => self.room_for(owner, 1, shapes),
            };
            self.hold_on(&nodes, owner, unassigned + 1);
        }
        if more.has_any() || frees_ports {
            self.marks.grew(node as usize);
        }
        // One that left before another may have room beside those that stay.
        self.fill(node);
        self.vacate_if_empty(node as usize);
    }

    /// Whether a node has room for what is held there, beside a pod that came.
    fn keeps(&self, node: usize, shape: &PodShape, pod: Option<&Profile>) -> bool {
        let conflicts = |pod: &Profile| {
            let held = &shape.profile.host_ports;
            let mut ports = pod.host_ports.iter();
            ports.any(|port| held.iter().any(|one| one.conflicts(port)))
        };
        let back = Some((&shape.requests, 1.0));
        self.free.fits(node, &Load::of(&shape.requests), back) >= 1.0
            && self.admits_node(node, &shape.constraints)
            && !pod.is_some_and(conflicts)
    }

    /// Gives the room that a node has to those who wait for such a node.
    fn fill(&mut self, node: u32) {
        let mut last = 0;
        while let Some(number) = self.waiting.kind_after(last) {
            last = number;
            let Some(kind) = self.waiting.kind(number) else {
                continue;
            };
            let load = Load::of(&kind.requests);
            if !self.admits_node(node as usize, &kind.constraints) {
                continue;
            }
            let mut after = None;
            while self.free.fits(node as usize, &load, None) >= 1.0
                && let Some(owner) = self.waiting.owner_after(number, after)
            {
                after = Some(owner);
                self.fill_for(owner, node, &load);
            }
        }
    }

    /// Gives an owner that waits as much of a node's room as it needs.
    fn fill_for(&mut self, owner: OwnerKey, node: u32, load: &Load) {
        let Some(promise) = self.promised(owner) else {
            return;
        };
        if self.depends_on_pods(&promise.shape) || self.is_unknown_for(&promise.shape) {
            self.wait_among_pods(owner);
            return;
        }
        let room = self.free.fits(node as usize, load, None) as u32;
        let unassigned = promise.unassigned;
        let replicas = unassigned.min(room);
        for _ in 0..replicas {
            self.hold(owner, node);
        }
        self.set_unassigned(owner, unassigned - replicas);
    }

    /// Nodes with room for some more of an owner's replicas.
    fn room_for(&mut self, owner: OwnerKey, some: u32, shapes: &Shapes) -> Vec<u32> {
        let shape = self.promised(owner).map(|promise| promise.shape.clone());
        shape.map_or_else(Vec::new, |shape| {
            self.spread(&shape, &shapes.find(&shape), some)
        })
    }

    /// Holds room on nodes for some of the replicas that have none.
    fn hold_on(&mut self, nodes: &[u32], owner: OwnerKey, unassigned: u32) {
        for node in nodes {
            self.hold(owner, *node);
        }
        let held = u32::try_from(nodes.len()).unwrap_or(unassigned);
        self.set_unassigned(owner, unassigned.saturating_sub(held));
    }
}

/// What one replica takes.
fn of_one(requests: &Resources) -> Resources {
    Resources {
        pods: 1,
        ..requests.clone()
    }
}

#[cfg(test)]
#[path = "settling_tests.rs"]
mod tests;
