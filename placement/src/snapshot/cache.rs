//! What was computed for a shape: which nodes of a cluster match, and how many replicas fit.
//!
//! The most recently asked shapes are kept; every change of a node is folded into each.

use std::collections::HashMap;
use std::sync::Arc;

use super::room::Load;
use super::table::Table;
use crate::resources::Resources;
use crate::shape::{NodeConstraints, PodShape};

/// Shapes that are kept. Each costs a byte a node at most.
const SHAPES: usize = 128;

/// Cached shapes, as far as nodes alone decide: by their requests and the nodes that will do.
#[derive(Default)]
pub(super) struct Cache {
    numbers: HashMap<Arc<NodeConstraints>, HashMap<Arc<Resources>, usize>>,
    kept: Vec<Kept>,
    /// By table, each shape's view in its place: a change of a node walks along one of them.
    views: HashMap<u32, Vec<Option<View>>>,
    uses: u64,
}

struct Kept {
    requests: Arc<Resources>,
    constraints: Arc<NodeConstraints>,
    last_use: u64,
}

/// A shape on a cluster.
pub(super) struct View {
    pub(super) load: Load,
    pub(super) requests: Arc<Resources>,
    pub(super) constraints: Arc<NodeConstraints>,
    /// Nodes that match, one byte each; `None` when all do.
    pub(super) mask: Option<Vec<u8>>,
    /// Replicas that fit.
    pub(super) total: u64,
}

impl Cache {
    /// The view of a shape on a cluster, computed if it is new.
    pub(super) fn view(&mut self, shape: &PodShape, table: &Table) -> &View {
        let known = self.numbers.get(&shape.constraints);
        let number = match known.and_then(|known| known.get(&shape.requests)) {
            Some(number) => *number,
            None => self.keep(shape),
        };
        self.uses += 1;
        let kept = &mut self.kept[number];
        kept.last_use = self.uses;
        let views = self.views.entry(table.id).or_default();
        if views.len() <= number {
            views.resize_with(number + 1, || None);
        }
        views[number].get_or_insert_with(|| View::of(kept, table))
    }

    /// A number for a new shape: the next, or that of the one that was not used for longest.
    fn keep(&mut self, shape: &PodShape) -> usize {
        let kept = Kept {
            requests: Arc::new(shape.requests.clone()),
            constraints: Arc::new(shape.constraints.clone()),
            last_use: self.uses,
        };
        let oldest = (0..self.kept.len()).min_by_key(|number| self.kept[*number].last_use);
        let number = match oldest.filter(|_| self.kept.len() >= SHAPES) {
            Some(oldest) => {
                self.forget_number(oldest);
                for views in self.views.values_mut() {
                    if let Some(view) = views.get_mut(oldest) {
                        *view = None;
                    }
                }
                oldest
            }
            None => self.kept.len(),
        };
        self.numbers
            .entry(kept.constraints.clone())
            .or_default()
            .insert(kept.requests.clone(), number);
        if number < self.kept.len() {
            self.kept[number] = kept;
        } else {
            self.kept.push(kept);
        }
        number
    }

    fn forget_number(&mut self, number: usize) {
        let kept = &self.kept[number];
        if let Some(known) = self.numbers.get_mut(&kept.constraints) {
            known.remove(&kept.requests);
            if known.is_empty() {
                self.numbers.remove(&kept.constraints);
            }
        }
    }

    /// Every view of a cluster.
    pub(super) fn views(&mut self, table: u32) -> impl Iterator<Item = &mut View> {
        self.views.get_mut(&table).into_iter().flatten().flatten()
    }

    /// A cluster left.
    pub(super) fn forget(&mut self, table: u32) {
        self.views.remove(&table);
    }
}

impl View {
    fn of(kept: &Kept, table: &Table) -> Self {
        let load = Load::of(&kept.requests);
        let mask = table.mask(&kept.constraints);
        Self {
            total: table.free.fit_all(&load, mask.as_deref()),
            requests: kept.requests.clone(),
            constraints: kept.constraints.clone(),
            load,
            mask,
        }
    }

    /// Whether a node matches.
    pub(super) fn matches(&self, node: usize) -> bool {
        self.mask.as_ref().is_none_or(|mask| mask[node] != 0)
    }
}
