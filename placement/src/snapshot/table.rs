//! One cluster: its nodes by column, its pods, and what is reserved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::cache::Cache;
use super::column::Values;
use super::labels::Labels;
use super::reservation::Owned;
use super::room::Free;
use crate::cluster::{Node, Pod, Taint, TaintEffect};
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
    pub(super) taint_sets: Vec<Vec<Taint>>,
    /// Each node's set of taints.
    pub(super) classes: Values,
    pub(super) pods: HashMap<PodKey, Bound>,
    pub(super) loads: Loads,
    pub(super) owners: HashMap<OwnerKey, Owned>,
    /// Where the next reservation starts, so that several do not pile up on the first nodes.
    pub(super) turn: usize,
}

pub(super) struct Slot {
    /// Heard of by itself, not only as the node of a pod.
    present: bool,
    ready: bool,
    allocatable: Arc<Resources>,
}

/// A pod: its node, its load, its owner.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) node: u32,
    pub(super) load: u32,
    owner: Option<OwnerKey>,
}

/// Distinct requests; pods of a workload share one.
#[derive(Default)]
pub(super) struct Loads {
    pub(super) all: Vec<Arc<Resources>>,
    numbers: HashMap<Arc<Resources>, u32>,
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
            taint_sets: vec![Vec::new()],
            classes: Values::default(),
            pods: HashMap::new(),
            loads: Loads::default(),
            owners: HashMap::new(),
            turn: 0,
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
            self.taint_class(taints)
        } else {
            UNUSABLE
        };
        self.change(index, cache, |table| {
            table.labels.set(index, &node.labels);
            table.classes.put(index, class);
            let slot = &mut table.slots[index];
            slot.present = true;
            slot.ready = node.ready;
            let before =
                std::mem::replace(&mut slot.allocatable, table.loads.shared(node.allocatable));
            let after = slot.allocatable.clone();
            table.free.add(index, &before, -1.0, -(before.pods as f64));
            table.free.add(index, &after, 1.0, after.pods as f64);
        });
        self.remask(index, cache);
        self.version += 1;
    }

    pub(super) fn remove_node(&mut self, name: &str, cache: &mut Cache) {
        let Some(index) = self.by_name.get(name).map(|index| *index as usize) else {
            return;
        };
        self.change(index, cache, |table| {
            table.classes.put(index, UNUSABLE);
            let slot = &mut table.slots[index];
            slot.present = false;
            slot.ready = false;
            let before = std::mem::take(&mut slot.allocatable);
            table.free.add(index, &before, -1.0, -(before.pods as f64));
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
    }

    pub(super) fn upsert_pod(&mut self, key: PodKey, pod: Pod, cache: &mut Cache) {
        let node = self.slot(&pod.node, cache) as u32;
        let load = self.loads.number(pod.requests);
        let bound = Bound {
            node,
            load,
            owner: pod.owner,
        };
        let before = self.pods.insert(key, bound);
        if before.is_some_and(|before| {
            before.node == node && before.load == load && before.owner == pod.owner
        }) {
            return;
        }
        // Taken first: the slot of a node that is only known by this pod must not be vacated.
        self.load(node as usize, load, -1.0, cache);
        if let Some(before) = before {
            self.unbind(key, before, cache);
        }
        if let Some(owner) = pod.owner {
            let owned = self.owners.entry(owner).or_default();
            let newly_seen =
                owned.pods.insert(key) && before.is_none_or(|before| before.owner != pod.owner);
            if newly_seen {
                self.fulfil(owner, node as usize, cache);
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

    /// Each node: ready, allocatable, free.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (bool, &Resources, Resources)> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.present)
            .map(|(index, slot)| {
                let whole = |column: &[f64]| column[index] as i64;
                let extended = self
                    .free
                    .extended
                    .iter()
                    .filter(|(name, _)| slot.allocatable.extended.contains_key(*name));
                let free = Resources {
                    cpu_milli: whole(&self.free.cpu),
                    memory: whole(&self.free.memory),
                    ephemeral_storage: whole(&self.free.storage),
                    pods: whole(&self.free.pods),
                    extended: extended
                        .map(|(name, column)| (name.clone(), whole(column)))
                        .collect(),
                };
                (slot.ready, &*slot.allocatable, free)
            })
    }

    /// The slot of a node, a new one (unusable, empty) if it is heard of for the first time.
    fn slot(&mut self, name: &str, cache: &mut Cache) -> usize {
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
            allocatable: Arc::default(),
        });
        self.classes.put(index, UNUSABLE);
        self.free.push();
        for view in cache.views(self.id) {
            view.mask.get_or_insert_with(|| vec![1; index]).push(0);
        }
        index
    }

    /// A node that has left, and the last of its pods too, makes room for another.
    fn vacate_if_empty(&mut self, node: usize) {
        if !self.slots[node].present
            && self.free.pods[node] == 0.0
            && self.by_name.remove(&self.names[node]).is_some()
        {
            self.names[node].clear();
            self.labels.set(node, &BTreeMap::new());
            self.vacant.push(node as u32);
        }
    }

    fn taint_class(&mut self, taints: Vec<Taint>) -> u32 {
        let known = self
            .taint_sets
            .iter()
            .skip(1)
            .position(|set| *set == taints);
        let class = known.map_or(self.taint_sets.len(), |position| position + 1);
        if class == self.taint_sets.len() {
            self.taint_sets.push(taints);
        }
        class as u32
    }

    /// After a change of a node's labels or taints: which views it belongs to now.
    fn remask(&mut self, node: usize, cache: &mut Cache) {
        let nodes = self.slots.len();
        for view in cache.views(self.id) {
            let (was, is) = (
                view.matches(node),
                self.admits_node(node, &view.shape.constraints),
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

    fn load(&mut self, node: usize, load: u32, times: f64, cache: &mut Cache) {
        let load = self.loads.all[load as usize].clone();
        self.amounts(node, &load, times, cache);
    }

    pub(super) fn amounts(&mut self, node: usize, load: &Resources, times: f64, cache: &mut Cache) {
        self.change(node, cache, |table| {
            table.free.add(node, load, times, times);
        });
    }

    fn unbind(&mut self, key: PodKey, bound: Bound, cache: &mut Cache) {
        self.load(bound.node as usize, bound.load, 1.0, cache);
        self.version += 1;
        self.vacate_if_empty(bound.node as usize);
        if let Some(owned) = bound.owner.and_then(|owner| self.owners.get_mut(&owner)) {
            owned.pods.remove(&key);
        }
    }
}

impl Loads {
    fn number(&mut self, load: Resources) -> u32 {
        if let Some(number) = self.numbers.get(&load) {
            return *number;
        }
        let shared = Arc::new(load);
        let number = self.all.len() as u32;
        self.all.push(shared.clone());
        self.numbers.insert(shared, number);
        number
    }

    pub(super) fn shared(&mut self, load: Resources) -> Arc<Resources> {
        let number = self.number(load);
        self.all[number as usize].clone()
    }
}
