//! Who holds room on a node.

use crate::name::OwnerKey;

/// Owners that hold room, by node: one for each replica, the latest last. Shorter than the table
/// where later nodes have none.
#[derive(Clone, Default)]
pub(super) struct Holders(Vec<Vec<OwnerKey>>);

impl Holders {
    pub(super) fn add(&mut self, node: u32, owner: OwnerKey) {
        let node = node as usize;
        if node >= self.0.len() {
            self.0.resize_with(node + 1, Vec::new);
        }
        self.0[node].push(owner);
    }

    /// One replica less; the latest of the owner's.
    pub(super) fn remove(&mut self, node: u32, owner: OwnerKey) {
        let Some(owners) = self.0.get_mut(node as usize) else {
            return;
        };
        if let Some(place) = owners.iter().rposition(|one| *one == owner) {
            owners.remove(place);
        }
        if owners.is_empty() {
            *owners = Vec::new();
        }
    }

    pub(super) fn are_on(&self, node: u32) -> bool {
        !self.on(node).is_empty()
    }

    pub(super) fn on(&self, node: u32) -> &[OwnerKey] {
        self.0.get(node as usize).map_or(&[], Vec::as_slice)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }
}
