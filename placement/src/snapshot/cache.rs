//! What was computed for a shape: which nodes of a cluster match, and how many replicas fit.
//!
//! The most recently asked shapes are kept; every change of a node is folded into each.

use std::collections::{BTreeMap, HashMap};

use super::room::Load;
use super::table::Table;
use crate::shape::PodShape;

/// Shapes that are kept. Each costs a byte a node at most.
const SHAPES: usize = 128;

/// Cached shapes.
#[derive(Default)]
pub(super) struct Cache {
    shapes: HashMap<PodShape, u64>,
    /// By the number of the last use: the first is the oldest.
    by_age: BTreeMap<u64, Entry>,
    uses: u64,
}

struct Entry {
    shape: PodShape,
    load: Load,
    views: BTreeMap<u32, View>,
}

/// A shape on a cluster.
pub(super) struct View {
    pub(super) load: Load,
    pub(super) shape: PodShape,
    /// Nodes that match, one byte each; `None` when all do.
    pub(super) mask: Option<Vec<u8>>,
    /// Replicas that fit.
    pub(super) total: u64,
}

impl Cache {
    /// The view of a shape on a cluster, computed if it is new.
    pub(super) fn view(&mut self, shape: &PodShape, table: &Table) -> &View {
        self.uses += 1;
        let age = self.uses;
        let entry = if let Some(known) = self.shapes.get_mut(shape) {
            let entry = self.by_age.remove(known);
            *known = age;
            entry
        } else {
            self.shapes.insert(shape.clone(), age);
            if self.shapes.len() > SHAPES
                && let Some((_, oldest)) = self.by_age.pop_first()
            {
                self.shapes.remove(&oldest.shape);
            }
            None
        };
        let entry = entry.unwrap_or_else(|| Entry {
            shape: shape.clone(),
            load: Load::of(&shape.requests),
            views: BTreeMap::new(),
        });
        let entry = self.by_age.entry(age).or_insert(entry);
        let (load, shape) = (&entry.load, &entry.shape);
        entry.views.entry(table.id).or_insert_with(|| {
            let mask = table.mask(&shape.constraints);
            let total = table.free.fit_all(load, mask.as_deref());
            View {
                load: load.clone(),
                shape: shape.clone(),
                mask,
                total,
            }
        })
    }

    /// Every view of a cluster.
    pub(super) fn views(&mut self, table: u32) -> impl Iterator<Item = &mut View> {
        self.by_age
            .values_mut()
            .filter_map(move |entry| entry.views.get_mut(&table))
    }

    /// A cluster left.
    pub(super) fn forget(&mut self, table: u32) {
        for entry in self.by_age.values_mut() {
            entry.views.remove(&table);
        }
    }
}
