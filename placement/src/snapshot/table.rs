//! One cluster: its nodes by column, its pods, and what is reserved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::bound::Bound;
use super::column::Values;
use super::holders::Holders;
use super::interned::Interned;
use super::labels::Labels;
use super::marks::Marks;
use super::profiles::Profiles;
use super::reservation::Owned;
use super::room::Free;
use super::settling::Crowd;
use super::summarized::ClusterSummary;
use super::views::Views;
use super::waiting::Waiting;
use crate::cluster::{Node, Taint, TaintEffect};
use crate::name::{OwnerKey, PodKey};
use crate::resources::Resources;

/// The class of nodes on which nothing fits: unknown yet, gone, or not ready.
pub(super) const UNUSABLE: u32 = 0;

#[derive(Clone, Default)]
pub(super) struct Table {
    pub(super) views: Views,
    pub(super) marks: Marks,
    pub(super) free: Free,
    pub(super) names: Vec<Arc<str>>,
    pub(super) by_name: HashMap<Arc<str>, u32>,
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
    pub(super) holders: Holders,
    pub(super) waiting: Waiting,
    /// The nodes that the change which is being made may have crowded.
    pub(super) crowded: Vec<Crowd>,
    /// Where the next reservation starts, so that several do not pile up on the first nodes.
    pub(super) turn: usize,
    /// The summary, while the cluster is known by one: nodes stand for what it says.
    pub(super) summarized: Option<Arc<ClusterSummary>>,
}

#[derive(Clone)]
pub(super) struct Slot {
    /// Reported as a node, not only as the node of a pod.
    pub(super) present: bool,
    ready: bool,
    /// The number of its allocatable amounts.
    allocatable: u32,
    /// The number of what is used of them by pods that are not known one by one.
    used: u32,
}

/// What a node has, and of it what is used by pods that are not known one by one.
pub(super) struct Amounts {
    pub(super) allocatable: Resources,
    pub(super) used: Option<Resources>,
}

impl Table {
    /// A node joined or changed, of which so much is used by pods that are not known one by one.
    pub(super) fn set_node(&mut self, node: Node, used: Option<Resources>) {
        let index = self.slot(&node.name);
        let class = match taint_set(&node) {
            Some(taints) => self.taint_sets.hold(taints),
            None => UNUSABLE,
        };
        let is_new = !self.slots[index].present;
        let moved =
            is_new || self.classes.at(index) != class || !self.labels.are(index, &node.labels);
        let amounts = Amounts {
            allocatable: node.allocatable,
            used,
        };
        let mut more = Resources::default();
        self.change(index, |table| {
            if moved {
                table.labels.set(index, &node.labels);
            }
            table.classify(index, class);
            let slot = &mut table.slots[index];
            slot.present = true;
            slot.ready = node.ready;
            more = table.equip(index, Some(amounts));
        });
        if moved {
            self.remask(index);
            self.marks.layout_changed();
        }
        if moved || more.has_any() {
            self.marks.grew(index);
        }
        self.crowd(index, more, moved);
    }

    /// Whether the node is known just so.
    pub(super) fn has_node(&self, node: &Node) -> bool {
        let Some(index) = self.by_name.get(node.name.as_str()) else {
            return false;
        };
        let index = *index as usize;
        let class = self.taint_sets.get(self.classes.at(index));
        self.summarized.is_none()
            && self.slots[index].present
            && self.slots[index].ready == node.ready
            && self.slots[index].used == 0
            && self.allocatable(index) == Some(&node.allocatable)
            && class.map(|taints| &**taints) == taint_set(node).as_ref()
            && self.labels.are(index, &node.labels)
    }

    pub(super) fn remove_node(&mut self, name: &str) {
        let Some(index) = self.by_name.get(name).map(|index| *index as usize) else {
            return;
        };
        let mut more = Resources::default();
        self.change(index, |table| {
            table.classify(index, UNUSABLE);
            let slot = &mut table.slots[index];
            slot.present = false;
            slot.ready = false;
            more = table.equip(index, None);
        });
        self.remask(index);
        // What is held there is held elsewhere.
        self.crowd(index, more, true);
        self.vacate_if_empty(index);
        self.marks.layout_changed();
        self.grow_for_sought();
    }

    /// Gives a node another class.
    fn classify(&mut self, node: usize, class: u32) {
        let before = self.classes.at(node);
        self.classes.put(node, class);
        self.taint_sets.release(before);
    }

    /// Gives a node other amounts, or none; how much more of each is free.
    fn equip(&mut self, node: usize, amounts: Option<Amounts>) -> Resources {
        let (allocatable, used) = match amounts {
            Some(Amounts { allocatable, used }) => (
                self.loads.hold(allocatable),
                used.map_or(0, |used| self.loads.hold(used)),
            ),
            None => (0, 0),
        };
        let slot = &mut self.slots[node];
        let before = (slot.allocatable, slot.used);
        (slot.allocatable, slot.used) = (allocatable, used);
        let mut more = Resources::default();
        for (number, times) in [
            (before.0, -1.0),
            (before.1, 1.0),
            (allocatable, 1.0),
            (used, -1.0),
        ] {
            if let Some(amounts) = self.loads.get(number) {
                self.free
                    .add(node, amounts, times, times * amounts.pods as f64);
                more = if times > 0.0 {
                    more.saturating_add(amounts)
                } else {
                    more.saturating_sub(amounts)
                };
            }
        }
        self.loads.release(before.0);
        self.loads.release(before.1);
        more
    }

    /// What a node has.
    pub(super) fn allocatable(&self, node: usize) -> Option<&Resources> {
        let amounts = self.loads.get(self.slots[node].allocatable);
        amounts.map(|amounts| &**amounts)
    }

    /// Nodes that are known and not among the names.
    pub(super) fn node_names_but(&self, names: &BTreeSet<String>) -> Vec<Arc<str>> {
        let present = self
            .names
            .iter()
            .zip(&self.slots)
            .filter(|(_, slot)| slot.present);
        present
            .map(|(name, _)| name)
            .filter(|name| !names.contains(&***name))
            .cloned()
            .collect()
    }

    /// What each node has and what of it is free.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeAmounts<'_>> {
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
                let taints = self.taint_sets.get(self.classes.at(index));
                NodeAmounts {
                    ready: slot.ready,
                    tainted: taints.is_none_or(|taints| !taints.is_empty()),
                    allocatable,
                    free,
                }
            })
    }

    /// The slot of a node, a new one (unusable, empty) if the name is new.
    pub(super) fn slot(&mut self, name: &str) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index as usize;
        }
        let name: Arc<str> = name.into();
        if let Some(index) = self.vacant.pop() {
            self.by_name.insert(name.clone(), index);
            self.names[index as usize] = name;
            return index as usize;
        }
        let index = self.slots.len();
        self.by_name.insert(name.clone(), index as u32);
        self.names.push(name);
        self.slots.push(Slot {
            present: false,
            ready: false,
            allocatable: 0,
            used: 0,
        });
        self.classes.put(index, UNUSABLE);
        self.free.push();
        self.marks.push();
        for view in self.views.iter_mut() {
            view.mark(index, false, index);
        }
        index
    }

    /// A node that has left, and the last of its pods too, makes room for another.
    pub(super) fn vacate_if_empty(&mut self, node: usize) {
        if !self.slots[node].present
            && self.free.pods[node] == 0.0
            && self.by_name.remove(&self.names[node]).is_some()
        {
            self.names[node] = "".into();
            self.labels.set(node, &BTreeMap::new());
            self.vacant.push(node as u32);
        }
    }

    /// After a change of a node's labels or taints: which views it belongs to now.
    fn remask(&mut self, node: usize) {
        let nodes = self.slots.len();
        let mut views = std::mem::take(&mut self.views);
        for view in views.iter_mut() {
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
            view.mark(node, is, nodes);
        }
        self.views = views;
    }

    /// Changes the free room of a node, and every view's total with it.
    fn change(&mut self, node: usize, change: impl FnOnce(&mut Self)) {
        let mut views = std::mem::take(&mut self.views);
        for view in views.iter_mut().filter(|view| view.matches(node)) {
            view.total -= self.free.fits(node, &view.load, None) as u64;
        }
        change(self);
        for view in views.iter_mut().filter(|view| view.matches(node)) {
            view.total += self.free.fits(node, &view.load, None) as u64;
        }
        self.views = views;
    }

    /// Adds `times` the load to what is free on a node (negative: takes them).
    pub(super) fn amounts(&mut self, node: usize, load: u32, times: f64) {
        self.change(node, |table| {
            if let Some(load) = table.loads.get(load) {
                table.free.add(node, load, times, times);
            }
        });
    }
}

/// What a node has and what of it is free.
pub(super) struct NodeAmounts<'a> {
    pub(super) ready: bool,
    /// It has taints, or is cordoned.
    pub(super) tainted: bool,
    pub(super) allocatable: &'a Resources,
    pub(super) free: Resources,
}

/// The taints that keep pods from a node, in order; `None` for one that is not ready.
fn taint_set(node: &Node) -> Option<Vec<Taint>> {
    let cordon = node.unschedulable.then(|| Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
    });
    let keeps = |taint: &&Taint| taint.effect != TaintEffect::PreferNoSchedule;
    let taints = node.taints.iter().filter(keeps).cloned();
    let mut taints: Vec<Taint> = taints.chain(cordon).collect();
    taints.sort();
    taints.dedup();
    node.ready.then_some(taints)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
