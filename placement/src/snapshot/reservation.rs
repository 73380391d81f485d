//! What owners have on a cluster, and room that is held for their replicas that are not seen yet.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::cache::{Cache, View};
use super::table::Table;
use crate::name::{OwnerKey, PodKey};
use crate::resources::Resources;
use crate::shape::PodShape;

/// What an owner has on the cluster.
#[derive(Default)]
pub(super) struct Owned {
    pub(super) pods: BTreeSet<PodKey>,
    /// Loads that stand for replicas not seen yet, by node.
    pub(super) held: Vec<u32>,
    /// Replicas not seen yet for which there is no node.
    homeless: u32,
    load: Option<Arc<Resources>>,
}

impl Table {
    pub(super) fn reserve(
        &mut self,
        owner: OwnerKey,
        shape: &PodShape,
        replicas: u32,
        cache: &mut Cache,
    ) {
        self.release(owner, cache);
        let seen = self.owners.get(&owner).map_or(0, |owned| owned.pods.len());
        let unseen = replicas.saturating_sub(u32::try_from(seen).unwrap_or(u32::MAX));
        if unseen == 0 {
            return;
        }
        let load = self.loads.shared(shape.requests.clone());
        let nodes = self.spread(shape, unseen, cache);
        let homeless = unseen - u32::try_from(nodes.len()).unwrap_or(unseen);
        for node in &nodes {
            self.amounts(*node as usize, &load, -1.0, cache);
        }
        let owned = self.owners.entry(owner).or_default();
        owned.held = nodes;
        owned.homeless = homeless;
        owned.load = Some(load);
    }

    pub(super) fn release(&mut self, owner: OwnerKey, cache: &mut Cache) {
        let Some(owned) = self.owners.get_mut(&owner) else {
            return;
        };
        owned.homeless = 0;
        let held = std::mem::take(&mut owned.held);
        if let Some(load) = owned.load.take() {
            for node in &held {
                self.amounts(*node as usize, &load, 1.0, cache);
            }
        }
        if !held.is_empty() {
            self.version += 1;
        }
        self.forget_if_empty(owner);
    }

    /// How many more replicas of the view's shape would fit without the owner's pods and holds.
    pub(super) fn gain_without(&self, owner: OwnerKey, view: &View) -> u64 {
        let Some(owned) = self.owners.get(&owner) else {
            return 0;
        };
        let mut back: HashMap<u32, (Resources, f64)> = HashMap::new();
        let mut give = |node: u32, load: &Resources| {
            let (amounts, pods) = back.entry(node).or_default();
            *amounts = amounts.saturating_add(load);
            *pods += 1.0;
        };
        for key in &owned.pods {
            if let Some(bound) = self.pods.get(key) {
                give(bound.node, &self.loads.all[bound.load as usize]);
            }
        }
        if let Some(load) = &owned.load {
            owned.held.iter().for_each(|node| give(*node, load));
        }
        let gain = |(node, (amounts, pods)): (&u32, &(Resources, f64))| {
            let node = *node as usize;
            if !view.matches(node) {
                return 0.0;
            }
            self.free.fits(node, &view.load, Some((amounts, *pods)))
                - self.free.fits(node, &view.load, None)
        };
        // A sum of whole numbers: the map's order does not matter.
        back.iter().map(gain).sum::<f64>() as u64
    }

    /// A replica was seen: one hold goes, on its own node if there is one.
    pub(super) fn fulfil(&mut self, owner: OwnerKey, node: usize, cache: &mut Cache) {
        let Some(owned) = self.owners.get_mut(&owner) else {
            return;
        };
        if owned.homeless > 0 {
            owned.homeless -= 1;
            return;
        }
        let own = owned.held.iter().position(|held| *held as usize == node);
        let Some(position) = own.or_else(|| owned.held.len().checked_sub(1)) else {
            return;
        };
        let freed = owned.held.swap_remove(position) as usize;
        let Some(load) = owned.load.clone() else {
            return;
        };
        self.amounts(freed, &load, 1.0, cache);
        self.version += 1;
    }

    /// The owner's holds on a node that is going have no node any more.
    pub(super) fn unhold(&mut self, owner: OwnerKey, node: usize, cache: &mut Cache) {
        let Some(owned) = self.owners.get_mut(&owner) else {
            return;
        };
        let before = owned.held.len();
        owned.held.retain(|held| *held as usize != node);
        let lost = before - owned.held.len();
        owned.homeless += u32::try_from(lost).unwrap_or(0);
        if let Some(load) = owned.load.clone() {
            for _ in 0..lost {
                self.amounts(node, &load, 1.0, cache);
            }
        }
    }

    /// Nodes for so many replicas: one on each node that has room, again and again.
    fn spread(&mut self, shape: &PodShape, replicas: u32, cache: &mut Cache) -> Vec<u32> {
        let view = cache.view(shape, self);
        let nodes = self.slots.len();
        let start = if nodes == 0 { 0 } else { self.turn % nodes };
        let mut rooms: Vec<(u32, u64)> = (start..nodes)
            .chain(0..start)
            .filter(|node| view.matches(*node))
            .map(|node| (node as u32, self.free.fits(node, &view.load, None) as u64))
            .filter(|(_, room)| *room > 0)
            .take(replicas as usize)
            .collect();
        let mut chosen = Vec::new();
        while chosen.len() < replicas as usize && !rooms.is_empty() {
            for (node, room) in &mut rooms {
                if chosen.len() < replicas as usize {
                    chosen.push(*node);
                    *room -= 1;
                }
            }
            rooms.retain(|(_, room)| *room > 0);
        }
        self.turn = chosen.last().map_or(start, |last| *last as usize + 1);
        chosen
    }

    pub(super) fn forget_if_empty(&mut self, owner: OwnerKey) {
        if self.owners.get(&owner).is_some_and(|owned| {
            owned.pods.is_empty() && owned.held.is_empty() && owned.homeless == 0
        }) {
            self.owners.remove(&owner);
        }
    }
}
