//! The profiles of a cluster's pods, and where the pods of each are. Pods of a `ReplicaSet` share one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::interned::Interned;
use crate::profile::Profile;

#[derive(Clone, Default)]
pub(super) struct Profiles {
    all: Interned<Profile>,
    /// By profile, the nodes in order, and how many pods each has.
    there: Vec<Vec<(u32, u32)>>,
    /// By profile, the number of the change at which a pod came or went last.
    changed: Vec<u64>,
    gone: Gone,
    /// Profiles with anti-affinity, by the namespace that it means.
    repelling: BTreeMap<Box<str>, BTreeSet<u32>>,
}

/// Profiles with anti-affinity of which the last pod has gone: the latest of them, in order.
#[derive(Clone, Default)]
struct Gone {
    latest: VecDeque<(u64, Arc<Profile>)>,
    /// When the last of those went that are not among the latest.
    earlier: u64,
}

/// Profiles without pods that are remembered.
const GONE: usize = 64;

/// Stands for anti-affinity that means namespaces by their labels; no namespace is called so.
const ANY: &str = "";

impl Profiles {
    /// The number of a profile, held once more.
    pub(super) fn hold(&mut self, profile: Profile) -> u32 {
        let number = self.all.hold(profile);
        let place = number as usize;
        if place >= self.there.len() {
            self.there.resize_with(place + 1, Vec::new);
            self.changed.resize(place + 1, 0);
        }
        if self.all.times(number) == 1
            && let Some(profile) = self.all.get(number)
        {
            for namespace in meant(profile) {
                self.repelling.entry(namespace).or_default().insert(number);
            }
        }
        number
    }

    /// Held once less.
    pub(super) fn release(&mut self, number: u32) {
        let Some(profile) = self.all.get(number).cloned() else {
            return;
        };
        if !self.all.release(number) {
            return;
        }
        self.there[number as usize] = Vec::new();
        let changed = std::mem::take(&mut self.changed[number as usize]);
        if !profile.anti_affinity.is_empty() {
            self.gone.push(changed, &profile);
        }
        for namespace in meant(&profile) {
            if let Some(numbers) = self.repelling.get_mut(&namespace) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.repelling.remove(&namespace);
                }
            }
        }
    }

    /// A pod comes to a node, with the change of this number.
    pub(super) fn add(&mut self, number: u32, node: u32, now: u64) {
        self.changed[number as usize] = now;
        let there = &mut self.there[number as usize];
        match there.binary_search_by_key(&node, |(node, _)| *node) {
            Ok(place) => there[place].1 += 1,
            Err(place) => there.insert(place, (node, 1)),
        }
    }

    /// A pod goes from a node, with the change of this number.
    pub(super) fn remove(&mut self, number: u32, node: u32, now: u64) {
        self.changed[number as usize] = now;
        let there = &mut self.there[number as usize];
        if let Ok(place) = there.binary_search_by_key(&node, |(node, _)| *node) {
            there[place].1 -= 1;
            if there[place].1 == 0 {
                there.remove(place);
            }
        }
    }

    /// All profiles, and where their pods are.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Profile, &[(u32, u32)])> {
        let all = self.all.iter();
        all.map(|(number, profile)| (number, profile, self.there[number as usize].as_slice()))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
            && self.repelling.is_empty()
            && self.there.iter().all(Vec::is_empty)
            && self.gone.latest.len() <= GONE
    }

    pub(super) fn get(&self, number: u32) -> Option<&Profile> {
        self.all.get(number).map(|profile| &**profile)
    }

    /// Where the pods of a profile are.
    pub(super) fn there(&self, number: u32) -> Option<&[(u32, u32)]> {
        self.there.get(number as usize).map(Vec::as_slice)
    }

    /// Whether some pod's anti-affinity means such a pod.
    pub(super) fn repel(&self, pod: &Profile) -> bool {
        self.repelling_in(&pod.namespace)
            .filter_map(|number| self.get(number))
            .any(|one| one.repels(pod))
    }

    /// Whether pods whose anti-affinity means such a pod have gone, or moved, since the change of
    /// this number.
    pub(super) fn repelled_more(&self, pod: &Profile, since: u64) -> bool {
        let repels = |number: u32| {
            self.changed[number as usize] > since
                && self.get(number).is_some_and(|one| one.repels(pod))
        };
        self.gone.earlier > since
            || self.gone.since(since).any(|one| one.repels(pod))
            || self.repelling_in(&pod.namespace).any(repels)
    }

    /// Profiles whose anti-affinity may mean pods of a namespace.
    fn repelling_in(&self, namespace: &str) -> impl Iterator<Item = u32> {
        let numbers = [ANY, namespace].map(|namespace| self.repelling.get(namespace));
        numbers.into_iter().flatten().flatten().copied()
    }
}

impl Gone {
    fn push(&mut self, changed: u64, profile: &Arc<Profile>) {
        if self.latest.len() == GONE
            && let Some((changed, _)) = self.latest.pop_front()
        {
            self.earlier = changed;
        }
        self.latest.push_back((changed, profile.clone()));
    }

    fn since(&self, since: u64) -> impl Iterator<Item = &Profile> {
        let latest = self.latest.iter().rev();
        let latest = latest.take_while(move |(changed, _)| *changed > since);
        latest.map(|(_, profile)| &**profile)
    }
}

/// The namespaces that a profile's anti-affinity means.
fn meant(profile: &Profile) -> BTreeSet<Box<str>> {
    let namespaces = profile.anti_affinity.iter().flat_map(|term| {
        let any = term.namespace_selector.as_ref().map(|_| ANY);
        term.namespaces.iter().map(String::as_str).chain(any)
    });
    namespaces.map(Box::from).collect()
}
