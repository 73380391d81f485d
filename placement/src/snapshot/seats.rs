//! Room for shapes that other pods, or their own replicas, keep from nodes that have room: where
//! kube-scheduler would put one replica after the other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};

use super::reservation::Back;
use super::table::Table;
use super::views::View;
use crate::name::OwnerKey;
use crate::peers::{Misfit, Nodes, Peers, Spread, There};
use crate::shape::{PodShape, SpreadConstraint};

/// Where a replica changes what is left for the next, no more than that are counted.
const MOST: usize = 10_000;

/// What scoring counts for a pod that does not say what it needs: thousandths of a core, bytes.
const UNSAID: (f64, f64) = (100.0, (200 << 20) as f64);

impl Table {
    /// Whether other pods, or the replicas themselves, may keep the shape from nodes with room.
    pub(super) fn depends_on_pods(&self, shape: &PodShape) -> bool {
        shape.depends_on_pods() || self.profiles.repel(&shape.profile)
    }

    /// What the pods there leave open for a shape, without those of an owner; `None` for all that
    /// has room.
    pub(super) fn peers(&self, shape: &PodShape, without: Option<OwnerKey>) -> Option<Peers> {
        if !self.depends_on_pods(shape) {
            return None;
        }
        if !shape.affinity.is_empty() || !shape.spread.is_empty() {
            self.views.seek();
        }
        let own = self.own_pods(without);
        let others: HashMap<u32, Vec<(u32, u32)>> = own
            .all
            .iter()
            .filter_map(|(number, own)| {
                Some((*number, without_own(self.profiles.there(*number)?, own)))
            })
            .collect();
        let pods: Vec<There<'_>> = self
            .profiles
            .iter()
            .map(|(number, profile, there)| match others.get(&number) {
                Some(others) => (profile, others.as_slice()),
                None => (profile, there),
            })
            .collect();
        let seen: Vec<(u32, Vec<(u32, u32)>)> = own
            .seen
            .into_iter()
            .map(|(number, nodes)| (number, nodes.into_iter().collect()))
            .collect();
        let seen: Vec<There<'_>> = seen
            .iter()
            .filter_map(|(number, nodes)| Some((self.profiles.get(*number)?, nodes.as_slice())))
            .collect();
        Some(Peers::of(shape, self, &pods, &seen))
    }

    /// Replicas that fit among the pods there, of at most 10,000 if one stands in another's way.
    pub(super) fn room_among(&self, view: &View, peers: Peers, back: &Back) -> u64 {
        if !peers.is_still() {
            return self.seats(view, peers, back, MOST).len() as u64;
        }
        (0..self.slots.len())
            .filter(|node| view.matches(*node) && peers.misfit(*node).is_none())
            .map(|node| self.fits(node, view, back))
            .sum()
    }

    /// Nodes for so many replicas, or as many as there are: the emptiest first, again and again. A
    /// node whose domain is full for now waits until another domain has caught up.
    pub(super) fn seats(
        &self,
        view: &View,
        mut peers: Peers,
        back: &Back,
        most: usize,
    ) -> Vec<u32> {
        let mut rooms: Vec<(Reverse<u32>, u32, u64)> = (0..self.slots.len())
            .filter(|node| view.matches(*node))
            .map(|node| (node, self.fits(node, view, back)))
            .filter(|(_, room)| *room > 0)
            .map(|(node, room)| (Reverse(self.score(node, view, back)), node as u32, room))
            .collect();
        rooms.sort_unstable();
        let mut queue: VecDeque<(u32, u64)> = rooms
            .into_iter()
            .map(|(_, node, room)| (node, room))
            .collect();
        let mut waiting: BTreeMap<(usize, usize), VecDeque<(u32, u64)>> = BTreeMap::new();
        let mut chosen = Vec::new();
        while let Some((node, room)) = queue.pop_front().filter(|_| chosen.len() < most) {
            let place = node as usize;
            match peers.misfit(place) {
                None => {
                    let least = |peers: &Peers| -> Vec<u32> {
                        peers.spread.iter().map(Spread::least).collect()
                    };
                    let before = least(&peers);
                    peers.place(place);
                    chosen.push(node);
                    if room > 1 {
                        queue.push_back((node, room - 1));
                    }
                    for (number, (before, now)) in before.into_iter().zip(least(&peers)).enumerate()
                    {
                        if now > before {
                            let domains = waiting.range_mut((number, 0)..(number + 1, 0));
                            queue.extend(domains.filter_map(|(_, nodes)| nodes.pop_front()));
                        }
                    }
                }
                Some(Misfit::Spread(number)) => {
                    let domain = peers.spread[number].domain(place).unwrap_or(0);
                    let nodes = waiting.entry((number, domain)).or_default();
                    nodes.push_back((node, room));
                }
                Some(_) => {}
            }
            // Whoever could not use what it waited for leaves it to the next.
            for (number, spread) in peers.spread.iter().enumerate() {
                let domain = spread.domain(place).filter(|_| spread.slots(place) > 0);
                let next = domain.and_then(|domain| waiting.get_mut(&(number, domain)));
                queue.extend(next.and_then(VecDeque::pop_front));
            }
        }
        chosen
    }

    fn fits(&self, node: usize, view: &View, back: &Back) -> u64 {
        let back = back.get(&(node as u32));
        let back = back.map(|(amounts, pods)| (amounts, *pods));
        self.free.fits(node, &view.load, back) as u64
    }

    /// How good a node is for the first replica: kube-scheduler's `NodeResourcesFit` and
    /// `NodeResourcesBalancedAllocation`, each from 0 to 100.
    fn score(&self, node: usize, view: &View, back: &Back) -> u32 {
        let Some(has) = self.allocatable(node) else {
            return 0;
        };
        let (cpu, memory) = back
            .get(&(node as u32))
            .map_or((0, 0), |(amounts, _)| (amounts.cpu_milli, amounts.memory));
        let wanted = |wanted: i64, unsaid: f64| if wanted > 0 { wanted as f64 } else { unsaid };
        let left = |has: i64, free: f64, back: i64, wanted: f64| {
            ((free + back as f64 - wanted) / (has as f64).max(1.0)).clamp(0.0, 1.0)
        };
        let requests = &view.requests;
        let cpu_wanted = wanted(requests.cpu_milli, UNSAID.0);
        let memory_wanted = wanted(requests.memory, UNSAID.1);
        let cpu = left(has.cpu_milli, self.free.cpu[node], cpu, cpu_wanted);
        let memory = left(has.memory, self.free.memory[node], memory, memory_wanted);
        let whole = |fraction: f64| (fraction * 100.0) as u32;
        u32::midpoint(whole(cpu), whole(memory)) + whole(1.0 - (cpu - memory).abs() / 2.0)
    }
}

/// The pods of a profile without some of them.
fn without_own(there: &[(u32, u32)], own: &BTreeMap<u32, u32>) -> Vec<(u32, u32)> {
    let left = there.iter().map(|(node, pods)| {
        let own = own.get(node).copied().unwrap_or(0);
        (*node, pods.saturating_sub(own))
    });
    left.filter(|(_, pods)| *pods > 0).collect()
}

impl Nodes for Table {
    fn domains(&self, key: &str) -> Vec<u32> {
        let mut numbers = self.labels.numbers(key, self.slots.len());
        for (number, slot) in numbers.iter_mut().zip(&self.slots) {
            if !slot.present {
                *number = 0;
            }
        }
        numbers
    }

    fn counts(&self, node: usize, shape: &PodShape, constraint: &SpreadConstraint) -> bool {
        let label = |key: &str| self.labels.get(node, key);
        let constraints = &shape.constraints;
        (!constraint.honors_affinity || constraints.select(&self.names[node], label))
            && (!constraint.honors_taints || self.tolerated(node, constraints))
    }
}
