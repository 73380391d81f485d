//! One cluster: its nodes by column, its pods, and what is reserved.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::bound::Bound;
use super::cache::Cache;
use super::column::Values;
use super::interned::Interned;
use super::labels::Labels;
use super::profiles::Profiles;
use super::reservation::Owned;
use super::room::Free;
use crate::cluster::{Node, Taint, TaintEffect};
use crate::name::{OwnerKey, PodKey};
use crate::resources::Resources;

/// The class of nodes on which nothing fits: unknown yet, gone, or not ready.
pub(super) const UNUSABLE: u32 = 0;

pub(super) struct Table {
    pub(super) id: u32,
    pub(super) version: u64,
    pub(super) free: Free,
    pub(super) names: Vec<String>,
    pub(super) by_name: HashMap<String, u32>,
    pub(super) slots: Vec<Slot>,
    /// Slots of nodes that have left with all their pods, to be used again.
    vacant: Vec<u32>,
    pub(super) labels: Labels,
    /// Sets of taints that nodes have; a cordon is a taint, as in Kubernetes.
    pub(super) taint_sets: Interned<Vec<Taint>>,
    /// Each node's set of taints.
    pub(super) classes: Values,
    pub(super) pods: HashMap<PodKey, Bound>,
    /// Distinct amounts; pods of a workload share one, and nodes of a size.
    pub(super) loads: Interned<Resources>,
    pub(super) profiles: Profiles,
    pub(super) owners: HashMap<OwnerKey, Owned>,
    /// Where the next reservation starts, so that several do not pile up on the first nodes.
    pub(super) turn: usize,
    /// Room was counted that a pod which comes may make more of: what affinity looks for, or the
    /// emptiest domain of a spread.
    pub(super) sought: Cell<bool>,
}

pub(super) struct Slot {
    /// Heard of by itself, not only as the node of a pod.
    pub(super) present: bool,
    ready: bool,
    /// The number of what it has.
    allocatable: u32,
}

impl Table {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            version: 1,
            free: Free::default(),
            names: Vec::new(),
            by_name: HashMap::new(),
            slots: Vec::new(),
            vacant: Vec::new(),
            labels: Labels::default(),
            taint_sets: Interned::default(),
            classes: Values::default(),
            pods: HashMap::new(),
            loads: Interned::default(),
            profiles: Profiles::default(),
            owners: HashMap::new(),
            turn: 0,
            sought: Cell::new(false),
        }
    }

    pub(super) fn upsert_node(&mut self, node: Node, cache: &mut Cache) {
        let index = self.slot(&node.name, cache);
        let mut taints = node.taints;
        if node.unschedulable {
            taints.push(Taint {
                key: "node.kubernetes.io/unschedulable".to_owned(),
                value: String::new(),
                effect: TaintEffect::NoSchedule,
            });
        }
        taints.retain(|taint| taint.effect != TaintEffect::PreferNoSchedule);
        taints.sort();
        taints.dedup();
        let class = if node.ready {
            self.taint_sets.hold(taints)
        } else {
            UNUSABLE
        };
        self.change(index, cache, |table| {
            table.labels.set(index, &node.labels);
            table.classify(index, class);
            let slot = &mut table.slots[index];
            slot.present = true;
            slot.ready = node.ready;
            table.equip(index, Some(node.allocatable));
        });
        self.remask(index, cache);
        self.version += 1;
    }

    pub(super) fn remove_node(&mut self, name: &str, cache: &mut Cache) {
        let Some(index) = self.by_name.get(name).map(|index| *index as usize) else {
            return;
        };
        self.change(index, cache, |table| {
            table.classify(index, UNUSABLE);
            let slot = &mut table.slots[index];
            slot.present = false;
            slot.ready = false;
            table.equip(index, None);
        });
        self.remask(index, cache);
        // What was held there is looked for elsewhere.
        let holds_here = |owned: &Owned| owned.held.contains(&(index as u32));
        let moved: BTreeSet<_> = self
            .owners
            .iter()
            .filter(|(_, owned)| holds_here(owned))
            .map(|(owner, _)| *owner)
            .collect();
        for owner in moved {
            self.unhold(owner, index, cache);
        }
        self.vacate_if_empty(index);
        self.find_sought();
    }

    /// Gives a node another class.
    fn classify(&mut self, node: usize, class: u32) {
        let before = self.classes.at(node);
        self.classes.put(node, class);
        self.taint_sets.release(before);
    }

    /// Gives a node other amounts, or none.
    fn equip(&mut self, node: usize, amounts: Option<Resources>) {
        let number = amounts.map_or(0, |amounts| self.loads.hold(amounts));
        let before = std::mem::replace(&mut self.slots[node].allocatable, number);
        if let Some(before) = self.loads.get(before) {
            self.free.add(node, before, -1.0, -(before.pods as f64));
        }
        if let Some(after) = self.loads.get(number) {
            self.free.add(node, after, 1.0, after.pods as f64);
        }
        self.loads.release(before);
    }

    /// What a node has.
    pub(super) fn allocatable(&self, node: usize) -> Option<&Resources> {
        let amounts = self.loads.get(self.slots[node].allocatable);
        amounts.map(|amounts| &**amounts)
    }

    /// Nodes that are known and not among the names.
    pub(super) fn node_names_but(&self, names: &BTreeSet<String>) -> Vec<String> {
        let present = self
            .names
            .iter()
            .zip(&self.slots)
            .filter(|(_, slot)| slot.present);
        present
            .map(|(name, _)| name)
            .filter(|name| !names.contains(*name))
            .cloned()
            .collect()
    }

    /// Each node: ready, allocatable, free.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (bool, &Resources, Resources)> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.present)
            .filter_map(|(index, slot)| Some((index, slot, self.allocatable(index)?)))
            .map(|(index, slot, allocatable)| {
                let whole = |column: &[f64]| column[index] as i64;
                let extended = self
                    .free
                    .extended
                    .iter()
                    .filter(|(name, _)| allocatable.extended.contains_key(*name));
                let free = Resources {
                    cpu_milli: whole(&self.free.cpu),
                    memory: whole(&self.free.memory),
                    ephemeral_storage: whole(&self.free.storage),
                    pods: whole(&self.free.pods),
                    extended: extended
                        .map(|(name, column)| (name.clone(), whole(column)))
                        .collect(),
                };
                (slot.ready, allocatable, free)
            })
    }

    /// The slot of a node, a new one (unusable, empty) if it is heard of for the first time.
    pub(super) fn slot(&mut self, name: &str, cache: &mut Cache) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index as usize;
        }
        if let Some(index) = self.vacant.pop() {
            self.by_name.insert(name.to_owned(), index);
            name.clone_into(&mut self.names[index as usize]);
            return index as usize;
        }
        let index = self.slots.len();
        self.by_name.insert(name.to_owned(), index as u32);
        self.names.push(name.to_owned());
        self.slots.push(Slot {
            present: false,
            ready: false,
            allocatable: 0,
        });
        self.classes.put(index, UNUSABLE);
        self.free.push();
        for view in cache.views(self.id) {
            view.mask.get_or_insert_with(|| vec![1; index]).push(0);
        }
        index
    }

    /// A node that has left, and the last of its pods too, makes room for another.
    pub(super) fn vacate_if_empty(&mut self, node: usize) {
        if !self.slots[node].present
            && self.free.pods[node] == 0.0
            && self.by_name.remove(&self.names[node]).is_some()
        {
            self.names[node].clear();
            self.labels.set(node, &BTreeMap::new());
            self.vacant.push(node as u32);
        }
    }

    /// After a change of a node's labels or taints: which views it belongs to now.
    fn remask(&mut self, node: usize, cache: &mut Cache) {
        let nodes = self.slots.len();
        for view in cache.views(self.id) {
            let (was, is) = (
                view.matches(node),
                self.admits_node(node, &view.constraints),
            );
            if was == is {
                continue;
            }
            let fits = self.free.fits(node, &view.load, None) as u64;
            view.total = if is {
                view.total + fits
            } else {
                view.total - fits
            };
            view.mask.get_or_insert_with(|| vec![1; nodes])[node] = u8::from(is);
        }
    }

    /// Changes the free room of a node, and every view's total with it.
    fn change(&mut self, node: usize, cache: &mut Cache, change: impl FnOnce(&mut Self)) {
        for view in cache.views(self.id).filter(|view| view.matches(node)) {
            view.total -= self.free.fits(node, &view.load, None) as u64;
        }
        change(self);
        for view in cache.views(self.id).filter(|view| view.matches(node)) {
            view.total += self.free.fits(node, &view.load, None) as u64;
        }
    }

    /// Adds `times` the load to what is free on a node (negative: takes them).
    pub(super) fn amounts(&mut self, node: usize, load: u32, times: f64, cache: &mut Cache) {
        self.change(node, cache, |table| {
            if let Some(load) = table.loads.get(load) {
                table.free.add(node, load, times, times);
            }
        });
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
