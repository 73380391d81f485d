//! How many replicas fit into free room, on one node or along columns.
//!
//! Amounts are whole numbers held as `f64`. Below 2^53 they are exact, and so is the floor of a
//! quotient of two of them: a quotient that is not whole lies at least 1/divisor below the next
//! whole number, which is more than rounding can lift it.

use std::collections::BTreeMap;

use crate::resources::Resources;

/// 2^52: adding it to a smaller positive number and taking it away again rounds to a whole number.
const ROUND: f64 = 4_503_599_627_370_496.0;

/// Free amounts of a cluster's nodes, by column.
#[derive(Default)]
pub(super) struct Free {
    pub(super) cpu: Vec<f64>,
    pub(super) memory: Vec<f64>,
    pub(super) pods: Vec<f64>,
    pub(super) storage: Vec<f64>,
    pub(super) extended: BTreeMap<String, Vec<f64>>,
}

/// What one replica takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Load {
    cpu: f64,
    memory: f64,
    storage: f64,
    extended: Vec<(String, f64)>,
}

impl Load {
    pub(super) fn of(requests: &Resources) -> Self {
        let amount = |value: i64| value.max(0) as f64;
        Self {
            cpu: amount(requests.cpu_milli),
            memory: amount(requests.memory),
            storage: amount(requests.ephemeral_storage),
            extended: requests
                .extended
                .iter()
                .filter(|(_, value)| **value > 0)
                .map(|(name, value)| (name.clone(), amount(*value)))
                .collect(),
        }
    }
}

impl Free {
    pub(super) fn push(&mut self) {
        for column in [
            &mut self.cpu,
            &mut self.memory,
            &mut self.pods,
            &mut self.storage,
        ] {
            column.push(0.0);
        }
        self.extended
            .values_mut()
            .for_each(|column| column.push(0.0));
    }

    /// Adds `times` the amounts to a node (negative: takes them), and `pods`.
    pub(super) fn add(&mut self, node: usize, amounts: &Resources, times: f64, pods: f64) {
        self.cpu[node] += times * amounts.cpu_milli as f64;
        self.memory[node] += times * amounts.memory as f64;
        self.storage[node] += times * amounts.ephemeral_storage as f64;
        self.pods[node] += pods;
        for (name, amount) in &amounts.extended {
            let nodes = self.cpu.len();
            if !self.extended.contains_key(name) {
                self.extended.insert(name.clone(), vec![0.0; nodes]);
            }
            if let Some(column) = self.extended.get_mut(name) {
                column[node] += times * *amount as f64;
            }
        }
    }

    /// Replicas that fit on a node with `extra` more of each column's own load given back.
    pub(super) fn fits(&self, node: usize, load: &Load, back: Option<(&Resources, f64)>) -> f64 {
        let with = |free: f64, amount: fn(&Resources) -> i64| {
            back.map_or(free, |(resources, _)| free + amount(resources) as f64)
        };
        let mut most = self.pods[node] + back.map_or(0.0, |(_, pods)| pods);
        if load.cpu > 0.0 {
            most = most.min(with(self.cpu[node], |r| r.cpu_milli) / load.cpu);
        }
        if load.memory > 0.0 {
            most = most.min(with(self.memory[node], |r| r.memory) / load.memory);
        }
        if load.storage > 0.0 {
            most = most.min(with(self.storage[node], |r| r.ephemeral_storage) / load.storage);
        }
        for (name, amount) in &load.extended {
            let free = self.extended.get(name).map_or(0.0, |column| column[node]);
            let free = free
                + back.map_or(0.0, |(resources, _)| {
                    resources.extended.get(name).copied().unwrap_or(0) as f64
                });
            most = most.min(free / amount);
        }
        floor(most.max(0.0))
    }

    /// Replicas that fit on all nodes of the mask (on all, without one).
    pub(super) fn fit_all(&self, load: &Load, mask: Option<&[u8]>) -> u64 {
        let nodes = self.cpu.len();
        if !load.extended.is_empty() || load.storage > 0.0 {
            let matches = |node: &usize| mask.is_none_or(|mask| mask[*node] != 0);
            return (0..nodes)
                .filter(matches)
                .map(|node| self.fits(node, load, None))
                .sum::<f64>() as u64;
        }
        // By far the most frequent shapes. What is not asked for divides by the smallest amount
        // there is, which never limits.
        let divisor = |amount: f64| {
            if amount > 0.0 {
                amount
            } else {
                f64::MIN_POSITIVE
            }
        };
        let (cpu, memory) = (divisor(load.cpu), divisor(load.memory));
        let unlimited = |amount: f64| if amount > 0.0 { 0.0 } else { 1.0 };
        let (any_cpu, any_memory) = (unlimited(load.cpu), unlimited(load.memory));
        let one = |c: f64, m: f64, p: f64| {
            floor(
                p.min((c.max(0.0) + any_cpu) / cpu)
                    .min((m.max(0.0) + any_memory) / memory)
                    .max(0.0),
            )
        };
        let columns = self.cpu.iter().zip(&self.memory).zip(&self.pods);
        let total: f64 = match mask {
            None => sum(columns.map(|((c, m), p)| one(*c, *m, *p))),
            Some(mask) => sum(columns
                .zip(mask)
                .map(|(((c, m), p), keep)| one(*c, *m, *p) * f64::from(*keep))),
        };
        total as u64
    }
}

/// The floor of a number from 0 to 2^52, without a call into the maths library.
fn floor(value: f64) -> f64 {
    let rounded = (value + ROUND) - ROUND;
    if rounded > value {
        rounded - 1.0
    } else {
        rounded
    }
}

/// A sum of whole numbers: exact, so the order is free, which lets the loop run wide.
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.sum()
}
