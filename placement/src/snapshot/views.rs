//! What was computed for a shape: which nodes of a cluster match, and how many replicas fit.
//!
//! The most recently used shapes are kept; every change of a node is folded into each. A snapshot
//! and its forks share the list of shapes; the totals belong to the cluster that they were computed
//! for, and a fork shares them until it changes that cluster.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::room::Load;
use super::table::Table;
use crate::resources::Resources;
use crate::shape::{NodeConstraints, PodShape};

/// Shapes that are kept. Each costs a byte a node at most.
const SHAPES: usize = 128;

/// The shapes that are kept, as far as nodes alone decide: by their requests and the nodes that
/// match.
#[derive(Default)]
pub(super) struct Shapes(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    numbers: HashMap<Arc<NodeConstraints>, HashMap<Arc<Resources>, usize>>,
    shapes: Vec<KeptShape>,
    uses: u64,
    /// Serial number of the last shape that was added.
    serial: u64,
}

struct KeptShape {
    shape: KnownShape,
    last_use: u64,
}

/// A shape that is kept.
#[derive(Clone)]
pub(super) struct KnownShape {
    /// The place of its views.
    number: usize,
    /// Tells it from the shapes that had the number before.
    serial: u64,
    requests: Arc<Resources>,
    constraints: Arc<NodeConstraints>,
}

impl Shapes {
    /// The shape by its number; a new one takes the next, or that of the one that was not used for
    /// longest.
    pub(super) fn find(&self, shape: &PodShape) -> KnownShape {
        let mut kept = lock(&self.0);
        kept.uses += 1;
        let uses = kept.uses;
        let known = kept.numbers.get(&shape.constraints);
        if let Some(number) = known.and_then(|known| known.get(&shape.requests)).copied() {
            let known = &mut kept.shapes[number];
            known.last_use = uses;
            return known.shape.clone();
        }
        kept.add(shape)
    }
}

impl Kept {
    fn add(&mut self, shape: &PodShape) -> KnownShape {
        self.serial += 1;
        let number = self.free_number();
        let shape = KnownShape {
            number,
            serial: self.serial,
            requests: Arc::new(shape.requests.clone()),
            constraints: Arc::new(shape.constraints.clone()),
        };
        self.numbers
            .entry(shape.constraints.clone())
            .or_default()
            .insert(shape.requests.clone(), number);
        let kept = KeptShape {
            shape: shape.clone(),
            last_use: self.uses,
        };
        match self.shapes.get_mut(number) {
            Some(place) => *place = kept,
            None => self.shapes.push(kept),
        }
        shape
    }

    fn free_number(&mut self) -> usize {
        if self.shapes.len() < SHAPES {
            return self.shapes.len();
        }
        let last_use = |number: &usize| self.shapes[*number].last_use;
        let oldest = (0..self.shapes.len()).min_by_key(last_use).unwrap_or(0);
        let shape = &self.shapes[oldest].shape;
        if let Some(known) = self.numbers.get_mut(&shape.constraints) {
            known.remove(&shape.requests);
            if known.is_empty() {
                self.numbers.remove(&shape.constraints);
            }
        }
        oldest
    }
}

/// A cluster's views, by the numbers of their shapes.
#[derive(Default)]
pub(super) struct Views {
    all: Mutex<Vec<Option<View>>>,
    /// Room was counted that a pod which comes may make more of: what affinity looks for, or the
    /// emptiest domain of a spread.
    sought: AtomicBool,
}

impl Clone for Views {
    fn clone(&self) -> Self {
        Self {
            all: Mutex::new(lock(&self.all).clone()),
            sought: AtomicBool::new(self.sought.load(Ordering::Relaxed)),
        }
    }
}

impl Views {
    /// Something of a shape's view, which is computed if it is new.
    pub(super) fn read<T>(
        &self,
        shape: &KnownShape,
        table: &Table,
        read: impl FnOnce(&View) -> T,
    ) -> T {
        let mut all = lock(&self.all);
        if all.len() <= shape.number {
            all.resize_with(shape.number + 1, || None);
        }
        let place = &mut all[shape.number];
        if place
            .as_ref()
            .is_some_and(|view| view.serial != shape.serial)
        {
            *place = None;
        }
        read(place.get_or_insert_with(|| View::of(shape, table)))
    }

    /// Every view.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut View> {
        let all = self.all.get_mut().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().flatten()
    }

    pub(super) fn seek(&self) {
        self.sought.store(true, Ordering::Relaxed);
    }

    /// Whether such room was counted since this was called last.
    pub(super) fn take_sought(&mut self) -> bool {
        std::mem::take(self.sought.get_mut())
    }
}

/// A shape on a cluster.
#[derive(Clone)]
pub(super) struct View {
    serial: u64,
    pub(super) load: Load,
    pub(super) requests: Arc<Resources>,
    pub(super) constraints: Arc<NodeConstraints>,
    /// Nodes that match; `None` when all do.
    mask: Option<Mask>,
    /// Replicas that fit.
    pub(super) total: u64,
}

impl View {
    fn of(shape: &KnownShape, table: &Table) -> Self {
        let load = Load::of(&shape.requests);
        let mask = table.mask(&shape.constraints);
        Self {
            serial: shape.serial,
            total: table.free.fit_all(&load, mask.as_deref()),
            requests: shape.requests.clone(),
            constraints: shape.constraints.clone(),
            load,
            mask: mask.map(|mask| Mask(mask.into())),
        }
    }

    /// Whether a node matches.
    pub(super) fn matches(&self, node: usize) -> bool {
        self.mask.as_ref().is_none_or(|mask| mask.0[node] != 0)
    }

    /// A node matches from now on, or no longer, of so many.
    pub(super) fn mark(&mut self, node: usize, matches: bool, nodes: usize) {
        let mask = self.mask.get_or_insert_with(|| Mask::all(nodes));
        mask.set(node, matches);
    }
}

/// Nodes that match, one byte each, shared with forks until one of them changes.
#[derive(Clone)]
struct Mask(Arc<[u8]>);

impl Mask {
    fn all(nodes: usize) -> Self {
        Self(vec![1; nodes].into())
    }

    fn set(&mut self, node: usize, matches: bool) {
        if node >= self.0.len() {
            // Nodes that may come next do not match yet.
            let mut longer = vec![0; (node + 1).next_power_of_two()];
            longer[..self.0.len()].copy_from_slice(&self.0);
            self.0 = longer.into();
        }
        Arc::make_mut(&mut self.0)[node] = u8::from(matches);
    }
}

/// Nothing that is done under these locks leaves the values half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
