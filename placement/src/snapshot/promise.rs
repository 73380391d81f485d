//! What an owner is promised: room for each of its replicas that are not seen yet.

use std::sync::Arc;

use super::bound::Bound;
use super::table::Table;
use super::waiting::Wait;
use crate::name::OwnerKey;
use crate::shape::PodShape;

/// Replicas that are not seen yet. Each holds room on a node, as long as one has room for it.
#[derive(Clone)]
pub(super) struct Promise {
    pub(super) shape: Arc<PodShape>,
    /// The numbers of its requests and of its profile.
    pub(super) load: u32,
    pub(super) profile: u32,
    /// The nodes on which room is held, once for each replica.
    pub(super) nodes: Vec<u32>,
    /// Replicas for which no node has room.
    pub(super) unassigned: u32,
    /// How they wait for it.
    wait: Option<Wait>,
}

impl Table {
    pub(super) fn promised(&self, owner: OwnerKey) -> Option<&Promise> {
        self.owners.get(&owner)?.promise.as_deref()
    }

    fn promised_mut(&mut self, owner: OwnerKey) -> Option<&mut Promise> {
        self.owners.get_mut(&owner)?.promise.as_deref_mut()
    }

    /// Promises an owner that has no promise so many replicas, of which these nodes hold some.
    pub(super) fn promise(
        &mut self,
        owner: OwnerKey,
        shape: &PodShape,
        nodes: Vec<u32>,
        replicas: u32,
    ) {
        let load = self.loads.hold(shape.requests.clone());
        let profile = self.profiles.hold(shape.profile.clone());
        for node in &nodes {
            self.occupy(*node, load, profile);
            self.holders.add(*node, owner);
        }
        let held = u32::try_from(nodes.len()).unwrap_or(replicas);
        let promise = Promise {
            shape: Arc::new(shape.clone()),
            load,
            profile,
            nodes,
            unassigned: 0,
            wait: None,
        };
        let owned = self.owners.entry(owner).or_default();
        owned.promise = Some(Box::new(promise));
        self.set_unassigned(owner, replicas.saturating_sub(held));
    }

    /// Takes an owner's promise back; the nodes that held room for it.
    pub(super) fn withdraw(&mut self, owner: OwnerKey) -> Vec<u32> {
        let owned = self.owners.get_mut(&owner);
        let Some(promise) = owned.and_then(|owned| owned.promise.take()) else {
            return Vec::new();
        };
        for node in &promise.nodes {
            self.leave(*node, promise.load, promise.profile);
            self.holders.remove(*node, owner);
        }
        if let Some(wait) = promise.wait {
            self.waiting.remove(owner, wait);
        }
        self.loads.release(promise.load);
        self.profiles.release(promise.profile);
        promise.nodes
    }

    /// A node holds room for one more replica.
    pub(super) fn hold(&mut self, owner: OwnerKey, node: u32) {
        let Some(promise) = self.promised_mut(owner) else {
            return;
        };
        promise.nodes.push(node);
        let (load, profile) = (promise.load, promise.profile);
        self.occupy(node, load, profile);
        self.holders.add(node, owner);
    }

    /// And for one less: of those that it holds room for, the one of this place in their list.
    pub(super) fn unhold(&mut self, owner: OwnerKey, place: usize) {
        let Some(promise) = self.promised_mut(owner) else {
            return;
        };
        let node = promise.nodes.swap_remove(place);
        let (load, profile) = (promise.load, promise.profile);
        self.leave(node, load, profile);
        self.holders.remove(node, owner);
    }

    /// A replica was seen: its hold goes, if there is one on its node. Otherwise it is one of those
    /// that had no node, or else the hold of another goes.
    pub(super) fn fulfil(&mut self, owner: OwnerKey, seen: Bound) {
        let Some(promise) = self.promised_mut(owner) else {
            return;
        };
        let own = promise.nodes.iter().position(|held| *held == seen.node);
        if own.is_none() && promise.unassigned > 0 {
            let unassigned = promise.unassigned - 1;
            self.set_unassigned(owner, unassigned);
            return;
        }
        let Some(place) = own.or_else(|| promise.nodes.len().checked_sub(1)) else {
            return;
        };
        let freed = promise.nodes.swap_remove(place);
        let (load, profile) = (promise.load, promise.profile);
        let is_kept = promise.nodes.is_empty() && promise.unassigned == 0;
        self.leave(freed, load, profile);
        self.holders.remove(freed, owner);
        // What has just taken the place of the hold leaves no more room.
        if (freed, load, profile) != (seen.node, seen.load, seen.profile) {
            self.marks.grew(freed as usize);
        }
        if is_kept {
            self.withdraw(owner);
        }
    }

    /// So many replicas of an owner have no node. They wait for one; when there are none, and all
    /// others are seen, the promise is kept.
    pub(super) fn set_unassigned(&mut self, owner: OwnerKey, unassigned: u32) {
        let owned = self.owners.get_mut(&owner);
        let Some(promise) = owned.and_then(|owned| owned.promise.as_deref_mut()) else {
            return;
        };
        promise.unassigned = unassigned;
        match promise.wait {
            None if unassigned > 0 => {
                let shape = &promise.shape;
                let among_pods = shape.depends_on_pods() || self.profiles.repel(&shape.profile);
                promise.wait = Some(self.waiting.add(owner, shape, among_pods));
            }
            Some(wait) if unassigned == 0 => {
                self.waiting.remove(owner, wait);
                promise.wait = None;
            }
            _ => {}
        }
        if unassigned == 0 && promise.nodes.is_empty() {
            self.withdraw(owner);
        }
    }

    /// Pods that came have a say, now, where an owner's replicas may be.
    pub(super) fn wait_among_pods(&mut self, owner: OwnerKey) {
        let owned = self.owners.get_mut(&owner);
        let Some(promise) = owned.and_then(|owned| owned.promise.as_deref_mut()) else {
            return;
        };
        if let Some(wait) = promise.wait.take() {
            self.waiting.remove(owner, wait);
            promise.wait = Some(self.waiting.add(owner, &promise.shape, true));
        }
    }
}
