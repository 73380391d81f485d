//! The profiles of a cluster's pods, and where the pods of each are. Pods of a `ReplicaSet` share one.

use std::collections::{BTreeMap, BTreeSet};

use super::interned::Interned;
use crate::profile::Profile;

#[derive(Default)]
pub(super) struct Profiles {
    all: Interned<Profile>,
    /// By profile, the nodes in order, and how many pods each has.
    there: Vec<Vec<(u32, u32)>>,
    /// Profiles with anti-affinity, by the namespace that it means.
    repelling: BTreeMap<Box<str>, BTreeSet<u32>>,
}

/// Stands for anti-affinity that means namespaces by their labels; no namespace is called so.
const ANY: &str = "";

impl Profiles {
    /// The number of a profile, held once more.
    pub(super) fn hold(&mut self, profile: Profile) -> u32 {
        let number = self.all.hold(profile);
        let place = number as usize;
        if place >= self.there.len() {
            self.there.resize_with(place + 1, Vec::new);
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
        for namespace in meant(&profile) {
            if let Some(numbers) = self.repelling.get_mut(&namespace) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.repelling.remove(&namespace);
                }
            }
        }
    }

    /// A pod comes to a node.
    pub(super) fn add(&mut self, number: u32, node: u32) {
        let there = &mut self.there[number as usize];
        match there.binary_search_by_key(&node, |(node, _)| *node) {
            Ok(place) => there[place].1 += 1,
            Err(place) => there.insert(place, (node, 1)),
        }
    }

    /// A pod goes from a node.
    pub(super) fn remove(&mut self, number: u32, node: u32) {
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
        self.all.is_empty() && self.repelling.is_empty() && self.there.iter().all(Vec::is_empty)
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
        [ANY, &pod.namespace].iter().any(|namespace| {
            let numbers = self.repelling.get(*namespace).into_iter().flatten();
            let mut repelling = numbers.filter_map(|number| self.get(*number));
            repelling.any(|one| one.anti_affinity.iter().any(|term| term.matches(pod)))
        })
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
