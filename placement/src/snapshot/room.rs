//! How many replicas fit into free room, on one node or along columns.
//!
//! Amounts are whole numbers held as `f64`. Below 2^53 they are exact. Of two that are below 2^50
//! (a pebibyte), the floor of the quotient is, too: a quotient that is not whole lies at least
//! 1/divisor below the next whole number, which is more than rounding can lift it.

use std::collections::BTreeMap;

use crate::resources::Resources;

/// 2^52: adding it to a smaller positive number and taking it away again rounds to a whole number.
const ROUND: f64 = 4_503_599_627_370_496.0;

/// Free amounts of a cluster's nodes, by column.
#[derive(Clone, Default)]
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

    /// Whether less of anything is free on a node than nothing.
    pub(super) fn is_exceeded(&self, node: usize) -> bool {
        self.cpu[node] < 0.0
            || self.memory[node] < 0.0
            || self.pods[node] < 0.0
            || self.storage[node] < 0.0
            || self.extended.values().any(|column| column[node] < 0.0)
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
        let requested = [
            (load.cpu, &self.cpu),
            (load.memory, &self.memory),
            (load.storage, &self.storage),
        ];
        let mut limits: Vec<(f64, &[f64])> = requested
            .into_iter()
            .filter(|(amount, _)| *amount > 0.0)
            .map(|(amount, column)| (amount, column.as_slice()))
            .collect();
        for (name, amount) in &load.extended {
            match self.extended.get(name) {
                Some(column) => limits.push((*amount, column)),
                None => return 0,
            }
        }
        let mut total = 0.0;
        let mut block = [0.0; BLOCK];
        for start in (0..self.pods.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(self.pods.len());
            let most = &mut block[..end - start];
            most.copy_from_slice(&self.pods[start..end]);
            for (amount, column) in &limits {
                lower(most, &column[start..end], *amount);
            }
            total += sum(most, mask.map(|mask| &mask[start..end]));
        }
        total as u64
    }
}

/// Nodes that are looked at together: few enough to stay in the fastest memory.
const BLOCK: usize = 512;

/// Lowers each number to the times that the amount fits into what is free, to be rounded down when
/// all amounts are seen. Without a division, which would take most of the time: a product with the
/// reciprocal, made larger by 2^-51, lies above the quotient by less than 2^-50 of it. So it is
/// never below a whole quotient, and while less than 2^50 is free it does not reach the next.
fn lower(most: &mut [f64], free: &[f64], amount: f64) {
    const LARGER: f64 = 1.0 + 2.0 * f64::EPSILON;
    let reciprocal = LARGER / amount;
    for (most, free) in most.iter_mut().zip(free) {
        let times = free * reciprocal;
        *most = if times < *most { times } else { *most };
    }
}

/// The sum of what is positive and not masked, each rounded down. Of whole numbers it is exact in any
/// order, and several sums side by side let the loop run as wide as the processor does.
fn sum(most: &[f64], mask: Option<&[u8]>) -> f64 {
    const WIDE: usize = 8;
    let positive = |value: f64| floor(if value > 0.0 { value } else { 0.0 });
    let mut sums = [0.0; WIDE];
    let (blocks, rest) = most.as_chunks::<WIDE>();
    let Some(mask) = mask else {
        for block in blocks {
            for (sum, one) in sums.iter_mut().zip(block) {
                *sum += positive(*one);
            }
        }
        return sums.iter().sum::<f64>() + rest.iter().copied().map(positive).sum::<f64>();
    };
    let (masks, rest_mask) = mask.as_chunks::<WIDE>();
    for (block, mask) in blocks.iter().zip(masks) {
        for ((sum, one), keep) in sums.iter_mut().zip(block).zip(mask) {
            *sum += positive(*one) * f64::from(i32::from(*keep));
        }
    }
    let rest = rest.iter().zip(rest_mask);
    sums.iter().sum::<f64>()
        + rest
            .map(|(one, keep)| positive(*one) * f64::from(*keep))
            .sum::<f64>()
}

/// The floor of a number from 0 to 2^52, without a call into the maths library.
fn floor(value: f64) -> f64 {
    let rounded = (value + ROUND) - ROUND;
    let above = if rounded > value { 1.0 } else { 0.0 };
    rounded - above
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount() -> impl Strategy<Value = i64> {
        prop_oneof![1_i64..200, 1_i64..1 << 20, 1_i64..1 << 40, 1_i64..1 << 50]
    }

    /// Free room around a multiple of an amount, where a quotient is nearly whole.
    fn nearly_whole() -> impl Strategy<Value = (i64, i64)> {
        (amount(), amount(), -2_i64..=2).prop_map(|(load, free, off)| {
            let free = (free / load * load + off).clamp(-5, (1 << 50) - 1);
            (load, free)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_fits_is_the_quotient_rounded_down(
            nodes in prop::collection::vec((nearly_whole(), nearly_whole(), any::<bool>()), 1..20),
        ) {
            for ((cpu, free_cpu), (memory, free_memory), counts) in nodes {
                let requests = Resources { cpu_milli: cpu, memory, ..Resources::default() };
                let free = Resources { cpu_milli: free_cpu, memory: free_memory, ..Resources::default() };
                let mut columns = Free::default();
                columns.push();
                columns.add(0, &free, 1.0, (1_u64 << 52) as f64);
                let wanted = free_cpu.div_euclid(cpu).min(free_memory.div_euclid(memory)).max(0);
                let load = Load::of(&requests);
                prop_assert_eq!(columns.fits(0, &load, None) as i64, wanted);
                let mask = [u8::from(counts)];
                let wanted = if counts { wanted as u64 } else { 0 };
                prop_assert_eq!(columns.fit_all(&load, Some(&mask)), wanted);
            }
        }
    }
}
