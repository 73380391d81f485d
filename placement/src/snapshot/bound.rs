//! The pods that are bound to the nodes of a cluster.

use std::collections::BTreeSet;

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
    /// Whether the pod is known just so.
    pub(super) fn has_pod(&self, key: PodKey, pod: &Pod) -> bool {
        self.pods.get(&key).is_some_and(|bound| {
            let load = self.loads.get(bound.load);
            *self.names[bound.node as usize] == *pod.node
                && bound.owner == pod.owner
                && load.is_some_and(|load| **load == pod.requests)
                && self.profiles.get(bound.profile) == Some(&pod.profile)
        })
    }

    pub(super) fn upsert_pod(&mut self, key: PodKey, pod: Pod) {
        let bound = Bound {
            node: self.slot(&pod.node) as u32,
            load: self.loads.hold(pod.requests),
            profile: self.profiles.hold(pod.profile),
            owner: pod.owner,
        };
        let before = self.pods.insert(key, bound);
        // Taken first: the slot of a node that is only known by this pod must not be vacated.
        self.occupy(bound.node, bound.load, bound.profile);
        self.grow_for_sought();
        if let Some(before) = before {
            self.unbind(key, before);
        }
        if let Some(owner) = pod.owner {
            let owned = self.owners.entry(owner).or_default();
            let newly_seen =
                owned.add(key) && before.is_none_or(|before| before.owner != pod.owner);
            if newly_seen {
                self.fulfil(owner, bound);
            }
        }
        self.crowd_by_pod(bound.node, bound.load, bound.profile);
    }

    pub(super) fn remove_pod(&mut self, key: PodKey) {
        if let Some(bound) = self.pods.remove(&key) {
            self.unbind(key, bound);
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
    pub(super) fn occupy(&mut self, node: u32, load: u32, profile: u32) {
        self.profiles.add(profile, node, self.marks.now);
        self.amounts(node as usize, load, -1.0);
    }

    /// And gives it back.
    pub(super) fn leave(&mut self, node: u32, load: u32, profile: u32) {
        self.profiles.remove(profile, node, self.marks.now);
        self.amounts(node as usize, load, 1.0);
    }

    /// There may be more room now for what other pods must be near to.
    pub(super) fn grow_for_sought(&mut self) {
        if self.views.take_sought() {
            self.marks.grew_among_pods();
        }
    }

    fn unbind(&mut self, key: PodKey, bound: Bound) {
        self.leave(bound.node, bound.load, bound.profile);
        self.loads.release(bound.load);
        self.profiles.release(bound.profile);
        self.marks.grew(bound.node as usize);
        self.vacate_if_empty(bound.node as usize);
        if let Some(owned) = bound.owner.and_then(|owner| self.owners.get_mut(&owner)) {
            owned.remove(key);
        }
    }
}
