//! What owners have on a cluster, and room that is held for their replicas that are not seen yet.

use std::collections::{BTreeMap, HashMap};

use super::promise::Promise;
use super::table::Table;
use super::views::{KnownShape, View};
use crate::name::{OwnerKey, PodKey};
use crate::resources::Resources;
use crate::shape::PodShape;

/// What an owner has on the cluster.
#[derive(Clone, Default)]
pub(super) struct Owned {
    /// In order: most have few, which are smaller as a list than as a tree.
    pods: Vec<PodKey>,
    /// What it is promised beyond them.
    pub(super) promise: Option<Box<Promise>>,
}

impl Owned {
    /// A pod of the owner; whether it is new.
    pub(super) fn add(&mut self, key: PodKey) -> bool {
        let place = self.pods.binary_search(&key);
        if let Err(place) = place {
            self.pods.insert(place, key);
        }
        place.is_err()
    }

    /// A pod that is none of the owner's any more.
    pub(super) fn remove(&mut self, key: PodKey) {
        if let Ok(place) = self.pods.binary_search(&key) {
            self.pods.remove(place);
        }
    }
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
        known: &KnownShape,
        replicas: u32,
    ) {
        let is_same = self.is_held_as(owner, shape);
        let before = self.withdraw(owner);
        let unseen = self.unseen(owner, replicas);
        if unseen > 0 {
            // Where nothing else has changed, the same nodes are found again.
            let turn = self.turn;
            self.turn = before.first().map_or(turn, |first| *first as usize);
            let nodes = self.spread(shape, known, unseen);
            if !before.is_empty() {
                self.turn = turn;
            }
            self.promise(owner, shape, nodes, unseen);
        }
        let mut held = self.promised(owner).map(|promise| promise.nodes.clone());
        for node in before {
            let held = held.iter_mut().flatten().find(|held| **held == node);
            match held.filter(|_| is_same) {
                // One for one.
                Some(held) => *held = u32::MAX,
                None => self.marks.grew(node as usize),
            }
        }
        self.forget_if_empty(owner);
    }

    /// Whether the owner's holds are such replicas.
    fn is_held_as(&self, owner: OwnerKey, shape: &PodShape) -> bool {
        self.promised(owner).is_some_and(|promise| {
            promise.shape.requests == shape.requests && promise.shape.profile == shape.profile
        })
    }

    /// Replicas of the owner that are not seen as pods.
    fn unseen(&self, owner: OwnerKey, replicas: u32) -> u32 {
        let seen = self.owners.get(&owner).map_or(0, |owned| owned.pods.len());
        replicas.saturating_sub(u32::try_from(seen).unwrap_or(u32::MAX))
    }

    /// Whether replicas that are not seen are reserved.
    pub(super) fn holds_any(&self, owner: OwnerKey) -> bool {
        self.promised(owner).is_some()
    }

    pub(super) fn release(&mut self, owner: OwnerKey) {
        for node in self.withdraw(owner) {
            self.marks.grew(node as usize);
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
        if let Some(promise) = &owned.promise {
            let nodes = promise.nodes.iter();
            nodes.for_each(|node| give(*node, promise.load));
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
        if let Some(promise) = &owned.promise {
            for node in &promise.nodes {
                count(&mut own.all, promise.profile, *node);
            }
        }
        own
    }

    /// Nodes for so many replicas: one on each node that has room, again and again.
    pub(super) fn spread(
        &mut self,
        shape: &PodShape,
        known: &KnownShape,
        replicas: u32,
    ) -> Vec<u32> {
        if self.is_unknown_for(shape) {
            return Vec::new();
        }
        let view = &self.views.read(known, self, View::clone);
        if view.total == 0 {
            return Vec::new();
        }
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
        let owned = self.owners.get(&owner);
        if owned.is_some_and(|owned| owned.pods.is_empty() && owned.promise.is_none()) {
            self.owners.remove(&owner);
        }
    }
}
