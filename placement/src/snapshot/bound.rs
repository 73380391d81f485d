//! The pods that are bound to the nodes of a cluster.

use std::collections::BTreeSet;

use super::cache::Cache;
use super::table::Table;
use crate::cluster::Pod;
use crate::name::{OwnerKey, PodKey};

/// A pod: its node, its owner, the numbers of its load and its profile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) node: u32,
    pub(super) load: u32,
    pub(super) profile: u32,
    owner: Option<OwnerKey>,
}

impl Table {
    pub(super) fn upsert_pod(&mut self, key: PodKey, pod: Pod, cache: &mut Cache) {
        let bound = Bound {
            node: self.slot(&pod.node, cache) as u32,
            load: self.loads.hold(pod.requests),
            profile: self.profiles.hold(pod.profile),
            owner: pod.owner,
        };
        let before = self.pods.insert(key, bound);
        if before == Some(bound) {
            self.loads.release(bound.load);
            self.profiles.release(bound.profile);
            return;
        }
        // Taken first: the slot of a node that is only known by this pod must not be vacated.
        self.occupy(bound.node, bound.load, bound.profile, cache);
        self.find_sought();
        if let Some(before) = before {
            self.unbind(key, before, cache);
        }
        if let Some(owner) = pod.owner {
            let owned = self.owners.entry(owner).or_default();
            let newly_seen =
                owned.pods.insert(key) && before.is_none_or(|before| before.owner != pod.owner);
            if newly_seen {
                self.fulfil(owner, bound.node as usize, cache);
            }
        }
    }

    pub(super) fn remove_pod(&mut self, key: PodKey, cache: &mut Cache) {
        if let Some(bound) = self.pods.remove(&key) {
            self.unbind(key, bound, cache);
            if let Some(owner) = bound.owner {
                self.forget_if_empty(owner);
            }
        }
    }

    /// Pods that are known and not among the keys, in order.
    pub(super) fn pods_but(&self, keys: &BTreeSet<PodKey>) -> Vec<PodKey> {
        let mut gone: Vec<_> = self
            .pods
            .keys()
            .filter(|key| !keys.contains(key))
            .copied()
            .collect();
        gone.sort_unstable();
        gone
    }

    /// A pod, or a hold for one, takes its place on a node.
    pub(super) fn occupy(&mut self, node: u32, load: u32, profile: u32, cache: &mut Cache) {
        self.profiles.add(profile, node);
        self.amounts(node as usize, load, -1.0, cache);
    }

    /// And gives it back.
    pub(super) fn leave(&mut self, node: u32, load: u32, profile: u32, cache: &mut Cache) {
        self.profiles.remove(profile, node);
        self.amounts(node as usize, load, 1.0, cache);
    }

    /// There may be more room now for what other pods must be near to.
    pub(super) fn find_sought(&mut self) {
        if self.sought.replace(false) {
            self.version += 1;
        }
    }

    fn unbind(&mut self, key: PodKey, bound: Bound, cache: &mut Cache) {
        self.leave(bound.node, bound.load, bound.profile, cache);
        self.loads.release(bound.load);
        self.profiles.release(bound.profile);
        self.version += 1;
        self.vacate_if_empty(bound.node as usize);
        if let Some(owned) = bound.owner.and_then(|owner| self.owners.get_mut(&owner)) {
            owned.pods.remove(&key);
        }
    }
}
