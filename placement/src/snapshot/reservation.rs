//! What owners have on a cluster, and room that is held for their replicas that are not seen yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
    /// The load and the profile of such a replica.
    held_as: Option<(u32, u32)>,
}

/// What is given back when an owner's pods and holds are not counted: amounts and pods, by node.
pub(super) type Back = HashMap<u32, (Resources, f64)>;

/// How many of an owner's pods are where, by profile.
#[derive(Default)]
pub(super) struct OwnPods {
    /// With the holds.
    pub(super) all: BTreeMap<u32, BTreeMap<u32, u32>>,
    /// Without them.
    pub(super) seen: BTreeMap<u32, BTreeMap<u32, u32>>,
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
        let nodes = self.spread(shape, unseen, cache);
        let homeless = unseen - u32::try_from(nodes.len()).unwrap_or(unseen);
        let load = self.loads.hold(shape.requests.clone());
        let profile = self.profiles.hold(shape.profile.clone());
        for node in &nodes {
            self.occupy(*node, load, profile, cache);
        }
        let owned = self.owners.entry(owner).or_default();
        owned.held = nodes;
        owned.homeless = homeless;
        owned.held_as = Some((load, profile));
    }

    pub(super) fn release(&mut self, owner: OwnerKey, cache: &mut Cache) {
        let Some(owned) = self.owners.get_mut(&owner) else {
            return;
        };
        owned.homeless = 0;
        let held = std::mem::take(&mut owned.held);
        if let Some((load, profile)) = owned.held_as.take() {
            for node in &held {
                self.leave(*node, load, profile, cache);
            }
            self.loads.release(load);
            self.profiles.release(profile);
        }
        if !held.is_empty() {
            self.version += 1;
        }
        self.forget_if_empty(owner);
    }

    /// How many more replicas of the view's shape would fit without the owner's pods and holds.
    pub(super) fn gain_without(&self, owner: OwnerKey, view: &View) -> u64 {
        let back = self.back(owner);
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

    /// What the owner's pods and holds would give back.
    pub(super) fn back(&self, owner: OwnerKey) -> Back {
        let mut back = Back::new();
        let Some(owned) = self.owners.get(&owner) else {
            return back;
        };
        let mut give = |node: u32, load: u32| {
            if let Some(load) = self.loads.get(load) {
                let (amounts, pods) = back.entry(node).or_default();
                *amounts = amounts.saturating_add(load);
                *pods += 1.0;
            }
        };
        for key in &owned.pods {
            if let Some(bound) = self.pods.get(key) {
                give(bound.node, bound.load);
            }
        }
        if let Some((load, _)) = owned.held_as {
            owned.held.iter().for_each(|node| give(*node, load));
        }
        back
    }

    /// Where the owner's pods and holds are; nowhere, without an owner.
    pub(super) fn own_pods(&self, owner: Option<OwnerKey>) -> OwnPods {
        let mut own = OwnPods::default();
        let Some(owned) = owner.and_then(|owner| self.owners.get(&owner)) else {
            return own;
        };
        let count = |pods: &mut BTreeMap<u32, BTreeMap<u32, u32>>, profile: u32, node: u32| {
            *pods.entry(profile).or_default().entry(node).or_default() += 1;
        };
        for bound in owned.pods.iter().filter_map(|key| self.pods.get(key)) {
            count(&mut own.all, bound.profile, bound.node);
            count(&mut own.seen, bound.profile, bound.node);
        }
        for node in &owned.held {
            if let Some((_, profile)) = owned.held_as {
                count(&mut own.all, profile, *node);
            }
        }
        own
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
        let freed = owned.held.swap_remove(position);
        let Some((load, profile)) = owned.held_as else {
            return;
        };
        self.leave(freed, load, profile, cache);
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
        if let Some((load, profile)) = owned.held_as {
            for _ in 0..lost {
                self.leave(node as u32, load, profile, cache);
            }
        }
    }

    /// Nodes for so many replicas: one on each node that has room, again and again.
    fn spread(&mut self, shape: &PodShape, replicas: u32, cache: &mut Cache) -> Vec<u32> {
        let view = cache.view(shape, self);
        if let Some(peers) = self.peers(shape, None) {
            return self.seats(view, peers, &Back::new(), replicas as usize);
        }
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
        let empty = self.owners.get(&owner).is_some_and(|owned| {
            owned.pods.is_empty() && owned.held.is_empty() && owned.homeless == 0
        });
        let owned = empty.then(|| self.owners.remove(&owner)).flatten();
        if let Some((load, profile)) = owned.and_then(|owned| owned.held_as) {
            self.loads.release(load);
            self.profiles.release(profile);
        }
    }
}
