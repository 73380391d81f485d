//! Sums over a cluster's nodes, for people and for operators that plan without the details.

use std::collections::BTreeMap;

use super::table::{NodeAmounts, Table};
use crate::resources::Resources;

/// Classes in a summary.
const CLASSES: usize = 8;

/// Sums over a cluster's nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Nodes.
    pub nodes: u32,
    /// Nodes that are ready.
    pub ready_nodes: u32,
    /// What the ready nodes have.
    pub allocatable: Resources,
    /// Of it, what is free.
    pub free: Resources,
    /// Ready nodes without taints by size, the most frequent first, at most 8: where what tolerates
    /// nothing may run.
    pub classes: Vec<NodeClass>,
}

/// Nodes of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeClass {
    /// How many.
    pub nodes: u32,
    /// What one has.
    pub allocatable: Resources,
    /// What is free on all of them.
    pub free: Resources,
    /// What is free on the one with the most, in the order of [`Resources`]: CPU first.
    pub largest_free: Resources,
}

impl Summary {
    pub(super) fn of(table: &Table) -> Self {
        let mut summary = Self::default();
        let mut classes: BTreeMap<&Resources, NodeClass> = BTreeMap::new();
        for node in table.nodes() {
            let NodeAmounts {
                allocatable, free, ..
            } = node;
            summary.nodes += 1;
            if !node.ready {
                continue;
            }
            summary.ready_nodes += 1;
            summary.allocatable = summary.allocatable.saturating_add(allocatable);
            summary.free = summary.free.saturating_add(&free);
            if node.tainted {
                continue;
            }
            let class = classes.entry(allocatable).or_insert_with(|| NodeClass {
                allocatable: allocatable.clone(),
                ..NodeClass::default()
            });
            class.nodes += 1;
            class.free = class.free.saturating_add(&free);
            if class.nodes == 1 || free > class.largest_free {
                class.largest_free = free;
            }
        }
        summary.classes = classes.into_values().collect();
        summary
            .classes
            .sort_by(|a, b| (b.nodes, &b.allocatable).cmp(&(a.nodes, &a.allocatable)));
        summary.classes.truncate(CLASSES);
        summary
    }
}
