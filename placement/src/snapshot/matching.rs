//! Which nodes of a cluster a shape may run on.

use super::table::{Table, UNUSABLE};
use crate::shape::{NodeConstraints, NodeTerm};

impl Table {
    /// Which nodes match, a byte each; `None` when all do.
    pub(super) fn mask(&self, constraints: &NodeConstraints) -> Option<Vec<u8>> {
        if self.summarized.is_some() {
            let admits = |node| u8::from(self.admits_node(node, constraints));
            return Some((0..self.slots.len()).map(admits).collect());
        }
        let classes = self.taint_sets.end();
        let admitted: Vec<u32> = (0..classes)
            .filter(|class| self.admits(*class, constraints))
            .collect();
        let NodeConstraints {
            node_name,
            node_selector,
            affinity,
            ..
        } = constraints;
        let mut mask = vec![1_u8; self.slots.len()];
        self.classes.keep(&mut mask, &admitted, classes as usize);
        if node_name.is_none()
            && node_selector.is_empty()
            && affinity.is_none()
            && !mask.contains(&0)
        {
            return None;
        }
        for requirement in constraints.selector_requirements() {
            self.labels.restrict(&requirement, &mut mask);
        }
        let terms: Vec<&NodeTerm> = (affinity.iter().flatten())
            .filter(|term| !term.is_empty())
            .collect();
        match terms[..] {
            [] if affinity.is_some() => mask.fill(0),
            [] => {}
            // One alone needs no room of its own.
            [term] => self.restrict(term, &mut mask),
            [..] => {
                let mut any = vec![0_u8; mask.len()];
                let mut holds = vec![1_u8; mask.len()];
                for term in terms {
                    holds.fill(1);
                    self.restrict(term, &mut holds);
                    any.iter_mut()
                        .zip(&holds)
                        .for_each(|(any, holds)| *any |= holds);
                }
                mask.iter_mut().zip(&any).for_each(|(one, any)| *one &= any);
            }
        }
        if let Some(name) = node_name {
            let only = self.by_name.get(name.as_str()).map(|index| *index as usize);
            mask.iter_mut()
                .enumerate()
                .for_each(|(node, one)| *one &= u8::from(Some(node) == only));
        }
        Some(mask)
    }

    /// Leaves the nodes that meet a term.
    fn restrict(&self, term: &NodeTerm, mask: &mut [u8]) {
        for requirement in &term.labels {
            self.labels.restrict(requirement, mask);
        }
        for field in &term.fields {
            mask.iter_mut()
                .zip(&self.names)
                .for_each(|(one, name)| *one &= u8::from(field.holds_for_name(name)));
        }
    }

    /// Whether one node matches.
    pub(super) fn admits_node(&self, node: usize, constraints: &NodeConstraints) -> bool {
        let name = &self.names[node];
        let label = |key: &str| self.labels.get(node, key);
        let only = constraints.node_name.as_deref();
        self.admits(self.classes.at(node), constraints)
            && match self.summarized {
                Some(_) => constraints.select_surely(label),
                None => only.is_none_or(|only| *only == **name) && constraints.select(name, label),
            }
    }

    /// Whether a node is there and has no taint that is not tolerated.
    pub(super) fn tolerated(&self, node: usize, constraints: &NodeConstraints) -> bool {
        self.admits(self.classes.at(node), constraints)
    }

    fn admits(&self, class: u32, constraints: &NodeConstraints) -> bool {
        class != UNUSABLE
            && self
                .taint_sets
                .get(class)
                .is_some_and(|taints| constraints.tolerate(taints))
    }
}
