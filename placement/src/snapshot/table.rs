//! One cluster: its nodes by column, its pods, and what is reserved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::cache::{Cache, View};
use super::labels::Labels;
use super::room::Free;
use crate::cluster::{Node, Pod, Taint, TaintEffect};
use crate::name::{OwnerKey, PodKey};
use crate::resources::Resources;
use crate::shape::{NodeConstraints, PodShape, untolerated};

/// The class of nodes on which nothing fits: unknown yet, gone, or not ready.
const UNUSABLE: u32 = 0;

pub(super) struct Table {
    pub(super) id: u32,
    pub(super) version: u64,
    pub(super) free: Free,
    names: Vec<String>,
    by_name: HashMap<String, u32>,
    slots: Vec<Slot>,
    /// Slots of nodes that have left with all their pods, to be used again.
    vacant: Vec<u32>,
    labels: Labels,
    /// Sets of taints that nodes have; a cordon is a taint, as in Kubernetes.
    taint_sets: Vec<Vec<Taint>>,
    members: Vec<BTreeSet<u32>>,
    pods: HashMap<PodKey, Bound>,
    loads: Loads,
    owners: HashMap<OwnerKey, Owned>,
    /// Where the next reservation starts, so that several do not pile up on the first nodes.
    turn: usize,
}

struct Slot {
    /// Heard of by itself, not only as the node of a pod.
    present: bool,
    ready: bool,
    class: u32,
    allocatable: Arc<Resources>,
}

/// A pod: its node, its load, its owner.
#[derive(Clone, Copy)]
struct Bound {
    node: u32,
    load: u32,
    owner: Option<OwnerKey>,
}

/// Distinct requests; pods of a workload share one.
#[derive(Default)]
struct Loads {
    all: Vec<Arc<Resources>>,
    numbers: HashMap<Arc<Resources>, u32>,
}

/// What an owner has on the cluster.
#[derive(Default)]
struct Owned {
    pods: BTreeSet<PodKey>,
    /// Loads that stand for replicas not seen yet, by node.
    held: Vec<u32>,
    /// Replicas not seen yet for which there is no node.
    homeless: u32,
    load: Option<Arc<Resources>>,
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
            members: vec![BTreeSet::new()],
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
            table.classify(index, class);
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
            table.classify(index, UNUSABLE);
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

    /// Which nodes match, a byte each; `None` when all do.
    pub(super) fn mask(&self, constraints: &NodeConstraints) -> Option<Vec<u8>> {
        let excluded: Vec<_> = (0..self.taint_sets.len())
            .filter(|class| !self.members[*class].is_empty() && !self.admits(*class, constraints))
            .collect();
        let NodeConstraints {
            node_name,
            node_selector,
            affinity,
            ..
        } = constraints;
        if excluded.is_empty()
            && node_name.is_none()
            && node_selector.is_empty()
            && affinity.is_none()
        {
            return None;
        }
        let mut mask = vec![1_u8; self.slots.len()];
        for class in excluded {
            self.members[class]
                .iter()
                .for_each(|node| mask[*node as usize] = 0);
        }
        for requirement in constraints.selector_requirements() {
            self.labels.restrict(&requirement, &mut mask);
        }
        if let Some(terms) = affinity {
            let mut any = vec![0_u8; mask.len()];
            for term in terms
                .iter()
                .filter(|term| !term.labels.is_empty() || !term.fields.is_empty())
            {
                let mut holds = vec![1_u8; mask.len()];
                term.labels
                    .iter()
                    .for_each(|requirement| self.labels.restrict(requirement, &mut holds));
                for field in &term.fields {
                    let meets = |name: &String| {
                        u8::from(field.key == "metadata.name" && field.holds(Some(name)))
                    };
                    holds
                        .iter_mut()
                        .zip(&self.names)
                        .for_each(|(one, name)| *one &= meets(name));
                }
                any.iter_mut()
                    .zip(&holds)
                    .for_each(|(any, holds)| *any |= holds);
            }
            mask.iter_mut().zip(&any).for_each(|(one, any)| *one &= any);
        }
        if let Some(name) = node_name {
            let only = self.by_name.get(name).map(|index| *index as usize);
            mask.iter_mut()
                .enumerate()
                .for_each(|(node, one)| *one &= u8::from(Some(node) == only));
        }
        Some(mask)
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

    /// Whether one node matches.
    fn admits_node(&self, node: usize, constraints: &NodeConstraints) -> bool {
        let name = &self.names[node];
        let label = |key: &str| self.labels.get(node, key);
        self.admits(self.slots[node].class as usize, constraints)
            && constraints
                .node_name
                .as_ref()
                .is_none_or(|only| only == name)
            && constraints
                .node_selector
                .iter()
                .all(|(key, value)| label(key) == Some(value))
            && constraints.affinity.as_ref().is_none_or(|terms| {
                terms.iter().any(|term| {
                    (!term.labels.is_empty() || !term.fields.is_empty())
                        && term.labels.iter().all(|one| one.holds(label(&one.key)))
                        && term
                            .fields
                            .iter()
                            .all(|one| one.key == "metadata.name" && one.holds(Some(name)))
                })
            })
    }

    fn admits(&self, class: usize, constraints: &NodeConstraints) -> bool {
        let effects = [TaintEffect::NoSchedule, TaintEffect::NoExecute];
        class != UNUSABLE as usize
            && untolerated(&self.taint_sets[class], &constraints.tolerations, &effects).is_none()
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
            class: UNUSABLE,
            allocatable: Arc::default(),
        });
        self.members[UNUSABLE as usize].insert(index as u32);
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
            self.members.push(BTreeSet::new());
        }
        class as u32
    }

    fn classify(&mut self, node: usize, class: u32) {
        let before = std::mem::replace(&mut self.slots[node].class, class);
        self.members[before as usize].remove(&(node as u32));
        self.members[class as usize].insert(node as u32);
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

    fn amounts(&mut self, node: usize, load: &Resources, times: f64, cache: &mut Cache) {
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

    /// A replica was seen: one hold goes, on its own node if there is one.
    fn fulfil(&mut self, owner: OwnerKey, node: usize, cache: &mut Cache) {
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
    fn unhold(&mut self, owner: OwnerKey, node: usize, cache: &mut Cache) {
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

    fn forget_if_empty(&mut self, owner: OwnerKey) {
        if self.owners.get(&owner).is_some_and(|owned| {
            owned.pods.is_empty() && owned.held.is_empty() && owned.homeless == 0
        }) {
            self.owners.remove(&owner);
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

    fn shared(&mut self, load: Resources) -> Arc<Resources> {
        let number = self.number(load);
        self.all[number as usize].clone()
    }
}
